/** What a watcher sees of webhooks: each customer's lane, what is dead and why, the latest attempts, and what became of those that were away. */
import type { Event } from '../../events.ts'
import type { Finding, Verdict, Violation } from '../../invariant.ts'
import { visibleCopy } from '../../visible.ts'
import type { LaneSeen } from './observed.ts'

/**
 * | word     | the lane                                                     |
 * |----------|--------------------------------------------------------------|
 * | healthy  | what comes is sent at once                                   |
 * | slow     | an attempt takes SLOW_MS or more, by and large               |
 * | parked   | its breaker is open: nothing but a probe goes there          |
 * | quiet    | the receiver asked to be left alone for a while              |
 * | paused   | an operator holds it                                         |
 * | disabled | an operator, a 410 or days of failures hold it               |
 */
export type LaneWord = 'healthy' | 'slow' | 'parked' | 'quiet' | 'paused' | 'disabled'

export interface LaneView {
  endpoint: string
  /** The customer's name where it is known, else the endpoint's id. */
  name: string
  state: 'enabled' | 'paused' | 'disabled'
  /** Why it is not enabled. */
  reason: string | null
  parked: boolean
  /** When it was parked, and when something may be sent again, ms of the run; null when nothing keeps it. */
  parkedAt: number | null
  nextAt: number | null
  /** Deliveries that its owner knew of at its last look. */
  owed: number
  waiting: number
  /** When what waits longest was accepted, ms of the run; null when nothing waits. */
  oldestAt: number | null
  inFlight: number
  limit: number
  places: number
  /** Failures since the last success, and when the first of them was, ms of the run. */
  failures: number
  failingAt: number | null
  /** What an attempt takes, ms, the latest counting most; 0 before the first. */
  typicalMs: number
  delivered: Spark
  dead: number
}

/** How many came in each of SPARKS stretches of time, the first of which begins with the run; they grow with it. */
export interface Spark {
  stretchMs: number
  counts: number[]
  /** Of each of the latest seconds: its number since the run began, and how many. */
  seconds: { second: number; n: number }[]
}

export interface AttemptView {
  t: number
  endpoint: string
  name: string
  event: string
  n: number
  meaning: string
  status: number | null
  detail: string | null
  ms: number
  /** Its lane was parked when it ended: it cost the message nothing. */
  parked: boolean
}

/** A customer that was away. */
export interface Outage {
  name: string
  /** What was wrong with it: `down`, `answering 503`. */
  how: string
  at: number
  backAt: number | null
  /** Accepted while it was away, and delivered to it after that. */
  held: number
  lastAt: number
}

export interface WebhookView {
  t: number
  started: boolean
  scenario: string
  summary: string
  mode: string
  seed: string
  verdict: Verdict | null
  ended: boolean
  story: string
  again: string
  unfired: readonly string[]
  invariants: readonly { invariant: string; verdict: Verdict | null; looked: string; violations: readonly Violation[] }[]
  /** By endpoint, in the order in which they came. */
  lanes: Map<string, LaneView>
  /** The customer that keys act on. */
  selected: string | null
  accepted: number
  /** Deliveries that the producers of the run were told are owed to somebody (see `owedOf`), and first arrivals. */
  owed: number
  delivered: number
  attempts: number
  /** Requests that customers read whole, and those of them that were answered 2xx though nothing was or had been done. */
  received: number
  unprocessed: number
  /** Deaths by reason, also of what was replayed since. */
  deaths: Map<DeathWord, number>
  latest: AttemptView[]
  outages: Outage[]
  /** Events that were accepted while somebody was away, by id, and when: until all have arrived. */
  keptSince: Map<string, number>
  events: Event[]
}

export type DeathWord = 'age' | 'gone (410)' | 'too large' | 'poison' | 'forbidden' | 'other'
export const DEATH_WORDS: readonly DeathWord[] = ['age', 'gone (410)', 'too large', 'poison', 'forbidden', 'other']

export const SPARKS = 10
/** From here on an attempt is slow, ms. */
export const SLOW_MS = 500
/** Weight of the latest attempt in what one takes. */
const TYPICAL_WEIGHT = 1 / 8
/** Seconds that a rate is of. */
const RATE_SECONDS = 10
/** Lanes that are followed; of further ones only the sums are. */
const LANES_KEPT = 64
const LATEST_KEPT = 20
const EVENTS_KEPT = 2000
const OUTAGES_KEPT = 50
const KEPT_MOST = 200_000
/** From so many events on, single messages are no longer kept for the list: the recording has them. */
export const CROWD = 60
/** What is said of each message. */
const OF_EACH: ReadonlySet<string> = new Set(['event.sent', 'event.accepted', 'delivery.attempted', 'customer.received', 'lane.probed', 'exchange.opened', 'exchange.answered', 'exchange.cut', 'connection.opened', 'connection.closed'])

export const isOfEach = (type: string): boolean => OF_EACH.has(type)

export function empty(): WebhookView {
  return {
    t: 0, started: false, scenario: '', summary: '', mode: '', seed: '', verdict: null, ended: false, story: '', again: '', unfired: [], invariants: [],
    lanes: new Map(), selected: null, accepted: 0, owed: 0, delivered: 0, attempts: 0, received: 0, unprocessed: 0, deaths: new Map(), latest: [], outages: [], keptSince: new Map(), events: [],
  }
}

function fresh(endpoint: string): LaneView {
  return {
    endpoint, name: endpoint, state: 'enabled', reason: null, parked: false, parkedAt: null, nextAt: null, owed: 0, waiting: 0, oldestAt: null, inFlight: 0, limit: 0, places: 0,
    failures: 0, failingAt: null, typicalMs: 0, delivered: { stretchMs: 1000, counts: [], seconds: [] }, dead: 0,
  }
}

/** Takes one event into `view`, which it changes and answers: a run has more events than a copy each would bear. The same events always make the same view. */
export function fold(view: WebhookView, raw: Event): WebhookView {
  // What is read at the very end is for the judge.
  if (raw.src === 'audit') return view
  const event = visibleCopy(raw)
  const { type, t } = event
  view.t = t
  if (type !== 'lanes.observed' && !(view.accepted > CROWD && OF_EACH.has(type))) {
    if (view.events.length >= EVENTS_KEPT) view.events = view.events.slice(-EVENTS_KEPT / 2)
    view.events.push(event)
  }
  const take = FOLDS[type]
  if (take) take(view, event)
  return view
}

const get = <T>(event: Event, field: string) => event[field] as T

function laneOf(view: WebhookView, endpoint: string): LaneView | undefined {
  const known = view.lanes.get(endpoint)
  if (known || view.lanes.size >= LANES_KEPT) return known
  const lane = fresh(endpoint)
  view.lanes.set(endpoint, lane)
  return lane
}

const FOLDS: Readonly<Record<string, (view: WebhookView, event: Event) => void>> = {
  'run.started': (view, event) => {
    const invariants = get<string[]>(event, 'invariants').map((invariant) => ({ invariant, verdict: null, looked: '', violations: [] }))
    Object.assign(view, { started: true, scenario: get(event, 'scenario'), summary: get(event, 'summary'), mode: get(event, 'mode'), seed: String(get(event, 'seed')), invariants })
  },
  'run.ended': (view, event) => {
    Object.assign(view, { ended: true, verdict: get(event, 'verdict'), story: get(event, 'story'), again: get(event, 'again'), unfired: get(event, 'unfired'), invariants: get<(Finding & { invariant: string })[]>(event, 'findings') })
  },
  'invariant.violated': (view) => void (view.verdict = 'violated'),
  'expectation.failed': (view) => void (view.verdict = 'violated'),

  'endpoint.added': (view, event) => {
    const lane = laneOf(view, get(event, 'endpoint'))
    if (!lane) return
    lane.name = get(event, 'customer')
    view.selected ??= lane.name
  },
  'customer.selected': (view, event) => void (view.selected = get(event, 'customer')),

  'event.accepted': (view, event) => {
    if (++view.accepted === CROWD + 1) view.events = view.events.filter((each) => !OF_EACH.has(each.type))
    view.owed += get<number>(event, 'deliveries')
    if (view.outages.some(({ backAt }) => backAt === null) && view.keptSince.size < KEPT_MOST) view.keptSince.set(get(event, 'event'), event.t)
  },
  'customer.received': (view, event) => {
    view.received++
    const status = get<number>(event, 'status')
    // 202 puts it off.
    if (status >= 200 && status < 300 && status !== 202 && !get<boolean>(event, 'processed') && !get<boolean>(event, 'duplicate')) view.unprocessed++
    arrived(view, event)
  },
  'customer.processed': arrived,
  'delivery.attempted': attemptEnded,

  'lanes.observed': (view, event) => get<LaneSeen[]>(event, 'lanes').forEach((seen) => observed(view, seen, event.t)),
  'lane.parked': (view, event) => {
    const lane = laneOf(view, get(event, 'endpoint'))
    if (lane) Object.assign(lane, { parked: true, parkedAt: lane.parkedAt ?? event.t, failures: Math.max(lane.failures, get<number>(event, 'failures')) })
  },
  'lane.woken': (view, event) => {
    const lane = laneOf(view, get(event, 'endpoint'))
    if (lane) Object.assign(lane, { parked: false, parkedAt: null, nextAt: null })
  },
  'endpoint.disabled': (view, event) => {
    const lane = laneOf(view, get(event, 'endpoint'))
    if (lane) Object.assign(lane, { state: 'disabled', reason: get(event, 'why') })
  },
  'delivery.died': (view, event) => died(view, event, deathWord(get(event, 'reason')), 1),
  'deliveries.aged': (view, event) => died(view, event, 'age', get(event, 'deliveries')),

  'link.downed': (view, event) => away(view, get(event, 'link'), 'down', event.t),
  'link.raised': (view, event) => back(view, get(event, 'link'), event.t),
  'customer.changed': (view, event) => {
    // Its kind, then its numbers: `error, status 503`.
    const [kind, ...rest] = String(event['mood']).split(', ')
    if (FINE.has(kind!)) back(view, get(event, 'customer'), event.t)
    else if (AWAY.has(kind!)) away(view, get(event, 'customer'), kind === 'down' ? 'down' : `answering ${/^status (\d+)$/.exec(rest[0] ?? '')?.[1] ?? 'errors'}`, event.t)
  },
}

/** Moods in which a customer takes what comes, and those in which it takes nothing. */
const FINE: ReadonlySet<string> = new Set(['healthy', 'slow', 'receipt', 'deferred'])
const AWAY: ReadonlySet<string> = new Set(['down', 'error'])

function away(view: WebhookView, name: string, how: string, at: number): void {
  const isCustomer = [...view.lanes.values()].some((lane) => lane.name === name)
  if (!isCustomer || view.outages.length >= OUTAGES_KEPT || view.outages.some((outage) => outage.name === name && outage.backAt === null)) return
  view.outages.push({ name, how, at, backAt: null, held: 0, lastAt: at })
}

function back(view: WebhookView, name: string, at: number): void {
  const outage = view.outages.find((one) => one.name === name && one.backAt === null)
  if (outage) outage.backAt = at
}

function arrived(view: WebhookView, event: Event): void {
  if (!get<boolean>(event, 'processed') || get<boolean>(event, 'duplicate')) return
  view.delivered++
  const name = get<string>(event, 'customer')
  const acceptedAt = view.keptSince.get(get(event, 'id'))
  for (const outage of view.outages) {
    if (outage.name !== name || outage.backAt === null || acceptedAt === undefined || acceptedAt < outage.at || acceptedAt > outage.backAt) continue
    outage.held++
    outage.lastAt = event.t
  }
  if (view.delivered === owedOf(view) && view.outages.every(({ backAt }) => backAt !== null)) view.keptSince.clear()
}

function attemptEnded(view: WebhookView, event: Event): void {
  view.attempts++
  const { t } = event
  const [endpoint, meaning, ms] = [get<string>(event, 'endpoint'), get<string>(event, 'meaning'), get<number>(event, 'ms')]
  const lane = laneOf(view, endpoint)
  view.latest.push({ t, endpoint, name: lane?.name ?? endpoint, event: get(event, 'event'), n: get(event, 'n'), meaning, status: get(event, 'status'), detail: get(event, 'detail'), ms, parked: lane?.parked ?? false })
  if (view.latest.length > LATEST_KEPT) view.latest.shift()
  if (!lane) return
  lane.typicalMs = lane.typicalMs === 0 ? ms : lane.typicalMs + (ms - lane.typicalMs) * TYPICAL_WEIGHT
  if (meaning === 'delivered' || meaning === 'deferred') {
    lane.failures = 0
    lane.failingAt = null
    lane.waiting = Math.max(0, lane.waiting - (meaning === 'delivered' ? 1 : 0))
    if (lane.waiting === 0) lane.oldestAt = null
    addTo(lane.delivered, t)
  } else if (meaning !== 'throttled') {
    lane.failures++
    lane.failingAt ??= t
  }
}

function observed(view: WebhookView, seen: LaneSeen, t: number): void {
  const lane = laneOf(view, seen.endpoint)
  if (!lane) return
  const { state, reason, owed, waiting, dead, oldestMs, inFlight, limit, places, parked, nextMs, failures, failingMs } = seen
  Object.assign(lane, {
    state, reason, owed, waiting, dead, inFlight, limit, places, parked, failures,
    oldestAt: oldestMs === null ? null : t - oldestMs,
    failingAt: failingMs === null ? null : t - failingMs,
    parkedAt: parked ? (lane.parkedAt ?? t) : null,
    nextAt: parked || nextMs > 0 ? t + nextMs : null,
  })
}

function died(view: WebhookView, event: Event, word: DeathWord, n: number): void {
  view.deaths.set(word, (view.deaths.get(word) ?? 0) + n)
  const lane = laneOf(view, get(event, 'endpoint'))
  if (!lane) return
  lane.dead += n
  lane.waiting = Math.max(0, lane.waiting - n)
}

function deathWord(reason: string | null): DeathWord {
  if (reason === null) return 'other'
  if (reason === 'age') return 'age'
  if (reason.startsWith('poison')) return 'poison'
  if (reason === 'status 413') return 'too large'
  if (reason === 'status 410') return 'gone (410)'
  return reason === 'FORBIDDEN_ADDRESS' || reason === 'INVALID_REQUEST' ? 'forbidden' : 'other'
}

function addTo(spark: Spark, t: number): void {
  while (t >= spark.stretchMs * SPARKS) {
    spark.counts = Array.from({ length: Math.ceil(spark.counts.length / 2) }, (_, n) => (spark.counts[2 * n] ?? 0) + (spark.counts[2 * n + 1] ?? 0))
    spark.stretchMs *= 2
  }
  const at = Math.floor(t / spark.stretchMs)
  while (spark.counts.length <= at) spark.counts.push(0)
  spark.counts[at]!++
  const second = Math.floor(t / 1000)
  const last = spark.seconds.at(-1)
  if (last?.second === second) last.n++
  else spark.seconds = [...spark.seconds.slice(-RATE_SECONDS), { second, n: 1 }]
}

/** Deliveries a second, of the latest whole seconds; of a run that is younger, of what there is. */
export function rateOf({ seconds }: Spark, now: number): number {
  const second = Math.floor(now / 1000)
  const span = Math.min(RATE_SECONDS, second)
  return span === 0 ? 0 : seconds.filter((each) => each.second < second && each.second >= second - span).reduce((sum, { n }) => sum + n, 0) / span
}

export function wordOf(lane: LaneView, now: number): LaneWord {
  if (lane.state !== 'enabled') return lane.state
  if (lane.parked) return 'parked'
  if (lane.nextAt !== null && lane.nextAt > now && isSilence(lane, now)) return 'quiet'
  return lane.typicalMs >= SLOW_MS ? 'slow' : 'healthy'
}

/** Between two messages of a lane with a rate there are moments in which nothing may be sent: nobody would call it quiet. */
const SILENCE_MS = 1000
const isSilence = (lane: LaneView, now: number) => lane.nextAt! - now >= SILENCE_MS

/** Deliveries that wait, and that are dead now, as their owners said last. */
export function sums(view: WebhookView): { waiting: number; dead: number } {
  const lanes = [...view.lanes.values()]
  return { waiting: lanes.reduce((sum, { waiting }) => sum + waiting, 0), dead: lanes.reduce((sum, { dead }) => sum + dead, 0) }
}

/** Deliveries that are owed to somebody. Owners of lanes also know of events whose producers the laboratory does not hear. */
export function owedOf(view: WebhookView): number {
  return Math.max(view.owed, [...view.lanes.values()].reduce((sum, { owed }) => sum + owed, 0))
}

/** Attempts for each delivery that arrived; null before the first. */
export function requestsEach({ attempts, received, delivered }: WebhookView): number | null {
  // Engines tell of attempts that nobody received; a life that was killed tells of none.
  return delivered === 0 ? null : Math.max(attempts, received) / delivered
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** `2 h`, `3 m 20 s`, `4.1 s`: as one says it, without what is nothing. */
export function lengthOf(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < MINUTE_MS - 500) return `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`
  const grain = ms < HOUR_MS - 500 ? 1000 : MINUTE_MS
  const whole = Math.round(ms / grain) * grain
  const parts = [[Math.floor(whole / HOUR_MS), 'h'], [Math.floor((whole % HOUR_MS) / MINUTE_MS), 'm'], [(whole % MINUTE_MS) / 1000, 's']] as const
  return parts.filter(([n]) => n > 0).map(([n, unit]) => `${n} ${unit}`).join(' ')
}

export const number = (n: number) => n.toLocaleString('en')

const many = (n: number, one: string) => `${number(n)} ${one}${n === 1 ? '' : 's'}`

/** What happened to the webhooks, in a sentence or three. */
export function story(view: WebhookView): string {
  const { delivered } = view
  const owed = owedOf(view)
  const { waiting, dead } = sums(view)
  const longest = view.outages.toSorted((a, b) => (b.backAt ?? view.t) - b.at - ((a.backAt ?? view.t) - a.at))[0]
  const others = view.outages.length - 1
  const each = requestsEach(view)
  const told = [
    ...(longest ? [outageStory(view, longest)] : []),
    ...(others > 0 ? [`${many(others, 'other outage')}.`] : []),
    `${many(owed, 'webhook')} owed, ${number(delivered)} delivered${each === null ? '' : `, ${each.toFixed(2)} requests each`}${waiting > 0 && delivered < owed ? `, ${number(waiting)} waiting` : ''}${dead > 0 ? `, ${number(dead)} in the dead letter queue` : ''}.`,
  ]
  return told.join(' ')
}

function outageStory(view: WebhookView, { name, how, at, backAt, held, lastAt }: Outage): string {
  if (backAt === null) {
    const waiting = [...view.lanes.values()].filter((lane) => lane.name === name).reduce((sum, lane) => sum + lane.waiting, 0)
    return `${name} has been ${how} for ${lengthOf(view.t - at)}: ${many(waiting, 'webhook')} held so far.`
  }
  const was = `${name} was ${how} for ${lengthOf(backAt - at)}`
  if (view.delivered === owedOf(view)) return held === 0 ? `${was}: nothing had to be held.` : `${was}: ${many(held, 'webhook')} held, 0 lost, all delivered ${lengthOf(lastAt - backAt)} after it came back.`
  return `${was}: ${many(held, 'webhook')} of what was held delivered so far.`
}
