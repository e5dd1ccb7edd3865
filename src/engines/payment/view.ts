/**
 * What a watcher of payments should see: the event stream folded into clicks, payments, hops, the bank's ledger, links and verdicts.
 *
 *   client.*  ──▶ clicks ─────▶ told      ┐
 *   engine.*  ──▶ payments ───▶ believed  ├─ side by side, order by order: a difference is the loudest thing there is
 *   bank.*    ──▶ charges ────▶ true      ┘
 *
 * What many customers see together and how the services fare is folded beside it: view-customers.ts, view-services.ts.
 * It keeps no clock and asks nobody: all times are the events' own `t`, ms since the run began. Events of the engine may be late or missing;
 * of a stranger's service there are none: then clicks, exchanges and ledger still tell the story.
 */
import type { Event } from '../../events.ts'
import type { Finding, Verdict, Violation } from '../../invariant.ts'
import { visibleCopy } from '../../visible.ts'
import type { ToldWord } from './adapter.ts'
import type { State } from './machine.ts'
import { chargeState } from './machine.ts'
import { count as tick } from './tally.ts'
import type { Customers, Word } from './view-customers.ts'
import { customers, foldCustomers, heard } from './view-customers.ts'
import type { Hop, ServiceLine } from './view-services.ts'
import { foldService, LINK_OF } from './view-services.ts'

/** What is kept of lists that have no end; the oldest go first. What must be exact is counted. */
export const EVENTS_KEPT = 2000
export const CLICKS_KEPT = 500
export const PAYMENTS_KEPT = 500
export const LEDGER_KEPT = 500
export const EXCHANGES_KEPT = 2000
/** Orders whose truth is still compared; what an older one came to is in `past`. */
export const ORDERS_KEPT = 5000
/** Of one order or payment. */
const CLICKS_OF_ORDER = 100
const CHARGES_OF_ORDER = 100
const STEPS_KEPT = 40
const HOPS_KEPT = 60
/** Calls under way, each by its two names. */
const CALLS_KEPT = 4000
const STRIKES_KEPT = 20
const ALARMS_KEPT = 20
/** A toxic may strike before the engine's word of the hop arrives: how far back a hop looks, ms. */
const LATE_WORD_MS = 250
const LOOSE_KEPT = 50
/** Moments: what changed for everybody, of which a storm of single payments would leave nothing to see. */
const MOMENTS_KEPT = 100
/** Times in which a fault was in place. */
const SPELLS_KEPT = 50

/** One toxic that struck one exchange. */
export interface Strike {
  t: number
  link: string
  toxic: string
  toxicType: string
  /** What it did, in the proxy's words. */
  action: string
  /** The Idempotency-Key of the exchange, when it was seen. */
  key: string | null
}

/** One request of a client, and what it was told. */
export interface Click {
  client: string
  ask: string
  key: string
  order: string
  amount: number
  currency: string
  /** The body differs from the key's first one, on purpose. */
  changed: boolean
  sentAt: number
  sentSeq: number
  toldAt: number | null
  toldSeq: number | null
  outcome: 'ok' | 'failed' | 'unknown' | null
  status: number
  told: ToldWord | null
  /** Why there was no answer. */
  why: string
  replayed: boolean
  digest: string | null
  ms: number
  strikes: Strike[]
}

export interface Step {
  t: number
  /** `claimed`, `fraud cleared`, `bank sent`, `UNKNOWN`, `looked up`, `charged`, `notified`. */
  label: string
  /** How often in a row. */
  times: number
}

export interface HopLine {
  hop: Hop
  attempt: number
  startedAt: number
  endedAt: number | null
  timeoutMs: number
  outcome: 'ok' | 'failed' | 'unknown' | null
  status: number
  detail: string
  ms: number
  bankKey: string | null
  /** What was learnt from it: `allow`, `found 1 charge`. */
  learnt: string
  strikes: Strike[]
}

export interface WaitLine {
  startedAt: number
  /** When it is planned to end, until it has ended. */
  endsAt: number
  why: string
}

export interface PaymentLine {
  payment: string
  key: string
  order: string
  amount: number
  currency: string
  deadlineMs: number
  state: State
  epoch: number
  claimedAt: number
  /** When it came to rest. */
  restedAt: number | null
  steps: Step[]
  hops: HopLine[]
  waits: WaitLine[]
  /** Requests that waited for the running operation. */
  joined: number
  /** What the first answer had spent of the deadline, ms; null before it. */
  spentMs: number | null
  bankKey: string | null
  alarms: string[]
  notified: boolean
}

/** A charge in the bank's ledger. */
export interface Charge {
  charge: string
  amount: number
  currency: string
  t: number
  seq: number
  undone: 'refunded' | 'voided' | null
  undoneSeq: number
}

export interface OrderLine {
  order: string
  amount: number
  currency: string
  /** Times that a client asked to pay it. */
  asked: number
  clicks: Click[]
  charges: Charge[]
  declined: string | null
  payment: string | null
  /** What the customer was told last; null before the first answer. */
  word: Word | null
  /** As of the last event about it. */
  fate: Fate
  /** Nobody who asked got an answer. */
  silent: boolean
}

export interface LedgerLine {
  t: number
  seq: number
  what: 'authorised' | 'charged' | 'declined' | 'replayed' | 'refunded' | 'voided'
  id: string
  key: string | null
  reference: string
  order: string | null
  amount: number | null
  currency: string
  reason: string
}

export interface ExchangeLine {
  link: string
  exchange: number
  method: string
  path: string
  key: string | null
  openedAt: number
  endedAt: number | null
  status: number
  /** How it ended without an answer, and by whom. */
  cut: string
  strikes: Strike[]
}

export interface ToxicLine {
  toxic: string
  toxicType: string
  stream: string
  attributes: Record<string, number | string>
  hits: number
  /** False once it was taken away. */
  live: boolean
}

export interface LinkLine {
  link: string
  opened: number
  answered: number
  cut: number
  hits: number
  up: boolean
  toxics: ToxicLine[]
}

export interface NodeLine {
  node: string
  state: 'up' | 'killed' | 'terminated' | 'paused'
  incarnation: number
  pid: number | null
  t: number
}

export interface InvariantLine extends Omit<Finding, 'verdict'> {
  invariant: string
  /** Null while nothing speaks against it. */
  verdict: Verdict | null
}

/** Where what was told or believed is not what the ledger says. */
export interface Difference {
  order: string
  who: string
  /** One sentence without its full stop. */
  words: string
}

/** A fault in place: a toxic on a link, a link that is down, a storm at a service. */
export interface Spell {
  what: string
  from: number
  /** Null while it lasts. */
  to: number | null
}

/** What an order came to. */
export type Fate = 'charged' | 'twice' | 'undone' | 'declined' | 'not charged' | 'open'

export interface PaymentView {
  run: string
  scenario: string
  summary: string
  mode: string
  seed: string
  subject: string
  options: Record<string, unknown>
  /** Of the latest event, ms. */
  t: number
  started: boolean
  /** `violated` as soon as one invariant is; the judgement at the end; null before. */
  verdict: Verdict | null
  ended: boolean
  exit: number | null
  story: string
  again: string
  unfired: string[]
  urls: Record<string, string>
  clicks: Click[]
  /** By id, oldest first. */
  payments: Map<string, PaymentLine>
  /** By name, oldest first. */
  orders: Map<string, OrderLine>
  /** Orders that are no longer kept, and how many of them differed. */
  past: { orders: number; differences: number }
  /** What all orders came to, those of the past included, and of how many nobody got an answer. */
  fates: Record<Fate, number>
  silent: number
  /** What stands of all charges, by currency, minor units. */
  sums: Map<string, number>
  /** Orders of which something differs, by name. */
  differing: Map<string, Difference[]>
  /** The order of a payment, as the engine or an answer named it. */
  orderOf: Map<string, string>
  customers: Customers
  services: Map<string, ServiceLine>
  moments: Event[]
  spells: Spell[]
  ledger: LedgerLine[]
  /** By link and number, oldest first. */
  exchanges: Map<string, ExchangeLine>
  /** Hops under way, by link and key: the bank's, or the payment. */
  calling: Map<string, HopLine>
  /** The hop that began last, by link. */
  newest: Map<string, HopLine>
  /** Strikes whose hop has not been heard of. */
  loose: Strike[]
  links: Map<string, LinkLine>
  nodes: Map<string, NodeLine>
  notifications: { received: number; duplicates: number }
  /** Lies that a mock told, by `bank: slow_success`. */
  lies: Map<string, number>
  kills: number
  invariants: InvariantLine[]
  alarms: { t: number; payment: string | null; why: string }[]
  healedAt: number | null
  /** The latest ones, every text in them made visible. */
  events: Event[]
  counts: { events: number; clicks: number; answers: number; payments: number; charges: number; declines: number; refunds: number; voids: number; replays: number; hits: number }
}

const CUT: Record<string, string> = { fin: 'closed', rst: 'reset', hang: 'silence' }

/** How an exchange ended without an answer: `reset by the toxic`. */
export function cutWords(how: string, by: string): string {
  return `${CUT[how] ?? how} by the ${by}`
}

export function empty(): PaymentView {
  return {
    run: '', scenario: '', summary: '', mode: '', seed: '', subject: '', options: {}, t: 0, started: false,
    verdict: null, ended: false, exit: null, story: '', again: '', unfired: [], urls: {},
    clicks: [], payments: new Map(), orders: new Map(), past: { orders: 0, differences: 0 },
    fates: { charged: 0, twice: 0, undone: 0, declined: 0, 'not charged': 0, open: 0 }, silent: 0, sums: new Map(), differing: new Map(), orderOf: new Map(),
    customers: customers(), services: new Map(), moments: [], spells: [],
    ledger: [], exchanges: new Map(), calling: new Map(), newest: new Map(), loose: [], links: new Map(), nodes: new Map(), notifications: { received: 0, duplicates: 0 }, lies: new Map(), kills: 0,
    invariants: [], alarms: [], healedAt: null, events: [],
    counts: { events: 0, clicks: 0, answers: 0, payments: 0, charges: 0, declines: 0, refunds: 0, voids: 0, replays: 0, hits: 0 },
  }
}

/** Takes one event into `view`, which it changes and answers: a run has more events than a copy each would bear. The same events always make the same view. */
export function fold(view: PaymentView, raw: Event): PaymentView {
  const event = visibleCopy(raw)
  view.run = event.run
  view.t = Math.max(view.t, event.t)
  view.counts.events++
  keep(view.events, event, EVENTS_KEPT)
  if (MOMENTS.has(event.type) && !isRepeated(view, event)) keep(view.moments, event, MOMENTS_KEPT)
  if (Object.hasOwn(FOLDS, event.type)) FOLDS[event.type]!(view, event)
  foldCustomers(view.customers, event)
  foldService(view.services, event)
  return view
}

/** Whether the same was said of the same service just now: a warning that comes back every second would push all other moments out. */
function isRepeated({ moments }: PaymentView, { type, service, t }: Event): boolean {
  return NAGGING.has(type) && moments.some((one) => one.type === type && one['service'] === service && one.t > t - NAG_MS)
}
const NAGGING = new Set(['dependency.warned', 'retry_budget.emptied'])
/** How long a warning holds, ms. */
const NAG_MS = 10_000

/** Whether an event of that type changes the run for all customers. */
export const isMoment = (type: string) => MOMENTS.has(type)

const MOMENTS = new Set([
  'world.healed', 'node.started', 'node.killed', 'node.terminated', 'node.paused', 'node.resumed', 'store.spoilt', 'link.downed', 'link.raised', 'toxic.added', 'toxic.removed', 'weather.changed', 'key.pressed',
  'expectation.failed', 'storm.measured', 'cascade.measured', 'service.failed', 'dependency.warned', 'retry_budget.emptied',
  'breaker.opened', 'breaker.half_opened', 'breaker.closed', 'breaker.forced_open', 'breaker.disabled', 'breaker.observed_only', 'breaker.trip_observed',
])

function keep<T>(list: T[], item: T, most: number): void {
  list.push(item)
  if (list.length > most) list.shift()
}

function keepBy<T>(map: Map<string, T>, name: string, item: T, most: number): void {
  map.set(name, item)
  if (map.size > most) map.delete(map.keys().next().value!)
}

const FOLDS: Record<string, (view: PaymentView, event: Event) => void> = {
  'run.started': (view, { scenario, summary, mode, seed, subject, options, invariants, toxics }) => {
    Object.assign(view, { started: true, scenario: scenario ?? '', summary: summary ?? '', mode: mode ?? '', seed: String(seed ?? ''), subject: subject ?? '', options: options ?? {} })
    view.invariants = (invariants ?? []).map((invariant: string) => ({ invariant, verdict: null, looked: '', violations: [] }))
    for (const { link, type, name, stream = '', attributes = {} } of toxics ?? []) toxicOf(linkOf(view, link), name ?? (stream ? `${type}_${stream}` : type), type, stream, attributes)
  },
  'world.opened': (view, { urls }) => {
    view.urls = urls ?? {}
  },
  'world.healed': (view, { t }) => {
    view.healedAt = t
    for (const spell of view.spells) spell.to ??= t
  },
  'invariant.violated': (view, { invariant, why, witness }) => {
    view.verdict = 'violated'
    const line = invariantOf(view, invariant)
    line.verdict = 'violated'
    line.violations.push({ why, witness: witness ?? [] } satisfies Violation)
  },
  'run.ended': (view, { verdict, exit, story, findings, unfired, seed, again }) => {
    Object.assign(view, { ended: true, verdict: verdict ?? null, exit: exit ?? null, story: story ?? '', unfired: unfired ?? [], again: again ?? '', seed: String(seed ?? view.seed) })
    for (const finding of findings ?? []) Object.assign(invariantOf(view, finding.invariant), finding)
  },

  'node.started': (view, event) => livesOn(view, event, 'up'),
  'node.killed': (view, event) => {
    view.kills++
    livesOn(view, event, 'killed')
  },
  'node.terminated': (view, event) => livesOn(view, event, 'terminated'),
  'node.paused': (view, event) => livesOn(view, event, 'paused'),
  'node.resumed': (view, event) => livesOn(view, event, 'up'),

  'client.sent': (view, { t, seq, client, ask, key, order, amount, currency, changed }) => {
    const click: Click = {
      client: client ?? 'client', ask: ask ?? 'pay', key: key ?? '', order: order ?? '', amount, currency, changed: changed ?? false,
      sentAt: t, sentSeq: seq, toldAt: null, toldSeq: null, outcome: null, status: 0, told: null, why: '', replayed: false, digest: null, ms: 0, strikes: [],
    }
    const line = orderOf(view, click.order, amount, currency)
    if (click.ask === 'pay') {
      view.counts.clicks++
      if (line.asked++ === 0) tick(view.customers.asked, t)
    }
    keep(view.clicks, click, CLICKS_KEPT)
    keep(line.clicks, click, CLICKS_OF_ORDER)
    touched(view, line)
  },
  'client.told': (view, event) => {
    const { t, seq, client, ask, key, order, outcome, status, told: word, why, payment, digest, replayed, ms } = event
    view.counts.answers++
    const line = view.orders.get(order)
    if (!line) return
    if (payment) names(view, line, payment)
    const click = line.clicks.find((one) => one.toldAt === null && one.client === (client ?? 'client') && one.ask === ask && one.key === key)
    if (click) Object.assign(click, { toldAt: t, toldSeq: seq, outcome, status: status ?? 0, told: word ?? 'nothing', why: why ?? '', digest: digest ?? null, replayed: replayed ?? false, ms: ms ?? t - click.sentAt })
    line.word = heard(view.customers, event, line.word)
    touched(view, line)
  },

  'exchange.opened': (view, { t, link, exchange, method, path, key }) => {
    linkOf(view, link).opened++
    keepBy(view.exchanges, `${link} ${exchange}`, { link, exchange, method, path, key: key ?? null, openedAt: t, endedAt: null, status: 0, cut: '', strikes: [] }, EXCHANGES_KEPT)
  },
  'exchange.answered': (view, { t, link, exchange, status }) => {
    linkOf(view, link).answered++
    const line = exchangeOf(view, link, exchange)
    if (line) Object.assign(line, { endedAt: t, status })
  },
  'exchange.cut': (view, { t, link, exchange, how, by }) => {
    linkOf(view, link).cut++
    const line = exchangeOf(view, link, exchange)
    if (line) Object.assign(line, { endedAt: t, cut: cutWords(how, by) })
  },
  'weather.changed': (view, { t, mock, weather }) => {
    endSpell(view, `${mock}: weather`, t)
    if (weather) keep(view.spells, { what: `${mock}: weather`, from: t, to: null }, SPELLS_KEPT)
  },
  'toxic.added': (view, { t, link, toxic, toxicType, stream, attributes }) => {
    toxicOf(linkOf(view, link), toxic, toxicType, stream ?? '', attributes ?? {}).live = true
    keep(view.spells, { what: `${link}: ${toxic}`, from: t, to: null }, SPELLS_KEPT)
  },
  'toxic.removed': (view, { t, link, toxic, toxicType }) => {
    toxicOf(linkOf(view, link), toxic, toxicType).live = false
    endSpell(view, `${link}: ${toxic}`, t)
  },
  'toxic.hit': (view, { t, link, toxic, toxicType, exchange, action }) => {
    const line = linkOf(view, link)
    line.hits++
    toxicOf(line, toxic, toxicType).hits++
    view.counts.hits++
    const struck = exchangeOf(view, link, exchange)
    const strike: Strike = { t, link, toxic, toxicType, action: action ?? '', key: struck?.key ?? null }
    if (struck) keep(struck.strikes, strike, STRIKES_KEPT)
    const under = hopUnder(view, strike) ?? clickUnder(view, strike)
    if (under) keep(under.strikes, strike, STRIKES_KEPT)
    else keep(view.loose, strike, LOOSE_KEPT)
  },
  'link.downed': (view, { t, link }) => {
    linkOf(view, link).up = false
    keep(view.spells, { what: `${link} down`, from: t, to: null }, SPELLS_KEPT)
  },
  'link.raised': (view, { t, link }) => {
    linkOf(view, link).up = true
    endSpell(view, `${link} down`, t)
  },

  'bank.charged': (view, event) => {
    const { t, seq, charge, amount, currency } = event
    view.counts.charges++
    const line = belongs(view, event)
    if (line) keep(line.charges, { charge, amount, currency, t, seq, undone: null, undoneSeq: 0 }, CHARGES_OF_ORDER)
    enter(view, event, 'charged', charge, line)
    if (!line) return
    view.sums.set(currency, (view.sums.get(currency) ?? 0) + (amount ?? 0))
    touched(view, line)
  },
  'bank.authorised': (view, event) => enter(view, event, 'authorised', event['charge'] ?? '', belongs(view, event)),
  'bank.declined': (view, event) => {
    view.counts.declines++
    const line = belongs(view, event)
    if (line) line.declined = event['reason'] ?? 'declined'
    enter(view, event, 'declined', '', line)
    if (line) touched(view, line)
  },
  'bank.replayed': (view, event) => {
    view.counts.replays++
    enter(view, event, 'replayed', event['charge'] ?? '', undefined)
  },
  'bank.refunded': (view, event) => {
    view.counts.refunds++
    enter(view, event, 'refunded', event['charge'] ?? '', undo(view, event, 'refunded'))
  },
  'bank.voided': (view, event) => {
    view.counts.voids++
    enter(view, event, 'voided', event['charge'] ?? '', undo(view, event, 'voided'))
  },
  'bank.lied': (view, { lie }) => lied(view, 'bank', lie),
  'fraud.lied': (view, { lie }) => lied(view, 'fraud', lie),
  'notification.lied': (view, { lie }) => lied(view, 'notification', lie),
  'bank.looked_up': (view, { value, found }) => {
    // By the bank's key or by the payment, as the bank was asked; a stranger's own words name neither.
    const hop = view.calling.get(`bank ${value}`) ?? latestUnderWay(view, 'bank')
    if (hop?.hop === 'lookup') hop.learnt = found === 0 ? 'no charge found' : `found ${found} charge${found === 1 ? '' : 's'}`
  },
  'fraud.assessed': (view, { reference, decision }) => {
    const hop = view.payments.get(reference)?.hops.findLast((line) => line.hop === 'fraud')
    if (hop) hop.learnt = decision
  },
  'notification.received': (view, { duplicate, payment, what }) => {
    if (what !== undefined && what !== 'payment.succeeded') return // of a refund, or that nothing was charged: no receipt
    if (duplicate) view.notifications.duplicates++
    else view.notifications.received++
    const line = view.payments.get(payment)
    if (line) line.notified = true
  },

  'payment.claimed': (view, { t, payment, key, order, amount, currency, deadlineMs, epoch }) => {
    view.counts.payments++
    const line: PaymentLine = view.payments.get(payment) ?? {
      payment, key, order, amount, currency, deadlineMs: deadlineMs ?? 0, state: 'claimed', epoch: epoch ?? 1, claimedAt: t, restedAt: null,
      steps: [], hops: [], waits: [], joined: 0, spentMs: null, bankKey: null, alarms: [], notified: false,
    }
    // A released payment is taken up again by its own key.
    if (view.payments.has(payment)) view.counts.payments--
    Object.assign(line, { state: 'claimed', restedAt: null })
    keepBy(view.payments, payment, line, PAYMENTS_KEPT)
    step(line, t, 'claimed')
    names(view, orderOf(view, order, amount, currency), payment)
  },
  'payment.joined': (view, { payment }) => {
    const line = view.payments.get(payment)
    if (line) line.joined++
  },
  'payment.moved': (view, { t, payment, to, epoch }) => {
    const line = view.payments.get(payment)
    if (!line) return
    if (epoch > line.epoch) {
      line.epoch = epoch
      step(line, t, 'taken over')
    }
    line.state = to
    endWait(line, t)
    line.restedAt = MOVES_ON.has(to) ? null : t
    if (to in STEP_OF) step(line, t, STEP_OF[to as State]!)
    const order = view.orders.get(line.order)
    if (order) touched(view, order)
  },
  'hop.started': (view, { t, payment, hop, attempt, timeoutMs, bankKey }) => {
    const line = view.payments.get(payment)
    if (!line) return
    endWait(line, t)
    const started: HopLine = { hop, attempt, startedAt: t, endedAt: null, timeoutMs, outcome: null, status: 0, detail: '', ms: 0, bankKey: bankKey ?? null, learnt: '', strikes: [] }
    keep(line.hops, started, HOPS_KEPT)
    const link = LINK_OF[started.hop]
    for (const name of [payment, started.bankKey]) if (name !== null) keepBy(view.calling, `${link} ${name}`, started, CALLS_KEPT)
    view.newest.set(link, started)
    if (hop === 'bank') {
      line.state = 'sent'
      line.bankKey = bankKey ?? null
      step(line, t, line.steps.some(({ label }) => label === 'bank sent') ? 'sent again' : 'bank sent')
    }
    if (view.loose.length === 0) return
    const mine = (strike: Strike) => strike.link === link && t - strike.t <= LATE_WORD_MS && (strike.key === null || strike.key === started.bankKey || started.bankKey === null)
    started.strikes = view.loose.filter(mine)
    view.loose = view.loose.filter((strike) => !mine(strike))
  },
  'hop.ended': (view, { t, payment, hop, attempt, outcome, status, detail, ms }) => {
    const line = view.payments.get(payment)
    const ended = line?.hops.findLast((one) => one.hop === hop && one.attempt === attempt && one.endedAt === null)
    if (!line || !ended) return
    Object.assign(ended, { endedAt: t, outcome, status: status ?? 0, detail: detail ?? '', ms: ms ?? t - ended.startedAt })
    for (const name of [payment, ended.bankKey]) if (view.calling.get(`${LINK_OF[ended.hop]} ${name}`) === ended) view.calling.delete(`${LINK_OF[ended.hop]} ${name}`)
    const well = outcome === 'ok' && status >= 200 && status < 300
    if (hop === 'fraud') step(line, t, !well ? 'fraud silent' : ended.learnt === 'deny' ? 'fraud denied' : 'fraud cleared')
    if (hop === 'lookup' && well) step(line, t, 'looked up')
    if (hop === 'notify' && well) step(line, t, 'notified')
  },
  'hop.refused': (view, { t, payment, hop, by }) => {
    const line = view.payments.get(payment)
    if (line) step(line, t, `${hop} turned away by the ${by}`)
  },
  'payment.cancelled': (view, { t, payment }) => {
    const line = view.payments.get(payment)
    if (line) step(line, t, 'cancelled')
  },
  'refund.moved': (view, { t, payment, to }) => {
    const line = view.payments.get(payment)
    if (line) step(line, t, to === 'succeeded' ? 'refunded' : `refund ${to === 'unknown' || to === 'review' ? to.toUpperCase() : to}`)
  },
  'payment.waiting': (view, { t, payment, ms, why }) => {
    const line = view.payments.get(payment)
    if (line) keep(line.waits, { startedAt: t, endsAt: t + ms, why }, HOPS_KEPT)
  },
  'payment.answered': (view, { payment, spentMs, deadlineMs }) => {
    const line = view.payments.get(payment)
    if (!line) return
    line.spentMs ??= spentMs
    line.deadlineMs ||= deadlineMs
  },
  'payment.alarmed': (view, { t, payment, why }) => {
    keep(view.alarms, { t, payment: payment ?? null, why }, ALARMS_KEPT)
    const line = view.payments.get(payment)
    if (line) keep(line.alarms, why, ALARMS_KEPT)
  },
}

/** States in which a payment does not rest: something is still to be done with it. */
const MOVES_ON = new Set<State>(['claimed', 'queued', 'sent', 'unknown', 'authorised'])

/** What a move to this state is called in the path. */
const STEP_OF: Partial<Record<State, string>> = { queued: 'queued', unknown: 'UNKNOWN', authorised: 'held', succeeded: 'charged', declined: 'declined', released: 'released', voided: 'voided', review: 'REVIEW' }

function step(line: PaymentLine, t: number, label: string): void {
  const last = line.steps.at(-1)
  if (last?.label === label) last.times++
  else keep(line.steps, { t, label, times: 1 }, STEPS_KEPT)
}

function endWait(line: PaymentLine, t: number): void {
  const wait = line.waits.at(-1)
  if (wait && wait.endsAt > t) wait.endsAt = t
}

function lied(view: PaymentView, mock: string, lie: string): void {
  const name = `${mock}: ${lie}`
  view.lies.set(name, (view.lies.get(name) ?? 0) + 1)
}

function linkOf(view: PaymentView, name: string): LinkLine {
  const known = view.links.get(name)
  if (known) return known
  const link: LinkLine = { link: name, opened: 0, answered: 0, cut: 0, hits: 0, up: true, toxics: [] }
  view.links.set(name, link)
  return link
}

/** By name; a toxic that the plan names without its stream is the one that is later added with it. */
function toxicOf(link: LinkLine, name = '', type = '', stream = '', attributes: ToxicLine['attributes'] = {}): ToxicLine {
  const known = link.toxics.find((line) => line.toxic === name) ?? link.toxics.find((line) => line.toxic === line.toxicType && line.stream === '' && name.startsWith(`${line.toxic}_`))
  if (known) {
    known.toxic = name
    if (stream) known.stream = stream
    if (Object.keys(attributes).length > 0) known.attributes = attributes
    return known
  }
  const line: ToxicLine = { toxic: name, toxicType: type, stream, attributes, hits: 0, live: true }
  link.toxics.push(line)
  return line
}

function exchangeOf(view: PaymentView, link: string, exchange: number | null): ExchangeLine | undefined {
  return exchange === null ? undefined : view.exchanges.get(`${link} ${exchange}`)
}

function endSpell(view: PaymentView, what: string, t: number): void {
  const spell = view.spells.findLast((one) => one.what === what && one.to === null)
  if (spell) spell.to = t
}

function invariantOf(view: PaymentView, name: string): InvariantLine {
  let line = view.invariants.find((one) => one.invariant === name)
  if (!line) {
    line = { invariant: name, verdict: null, looked: '', violations: [] }
    view.invariants.push(line)
  }
  return line
}

function livesOn(view: PaymentView, { t, node, incarnation, pid }: Event, state: NodeLine['state']): void {
  const name = node ?? ''
  const before = view.nodes.get(name)
  view.nodes.set(name, { node: name, state, incarnation: incarnation ?? before?.incarnation ?? 1, pid: pid ?? before?.pid ?? null, t })
}

/** The hop that a strike on a link falls into: the one with the exchange's key, else the latest under way there. */
function hopUnder(view: PaymentView, { link, key }: Strike): HopLine | undefined {
  return (key === null ? undefined : view.calling.get(`${link} ${key}`)) ?? latestUnderWay(view, link)
}

function latestUnderWay(view: PaymentView, link: string): HopLine | undefined {
  const newest = view.newest.get(link)
  if (!newest || newest.endedAt === null) return newest
  let latest: HopLine | undefined
  for (const hop of view.calling.values()) if (LINK_OF[hop.hop] === link && (!latest || hop.startedAt > latest.startedAt)) latest = hop
  return latest
}

function clickUnder(view: PaymentView, { link, key }: Strike): Click | undefined {
  if (Object.values(LINK_OF).includes(link)) return undefined
  return view.clicks.findLast((click) => click.toldAt === null && (key === null || click.key === key))
}

function orderOf(view: PaymentView, name: string, amount: number, currency: string): OrderLine {
  const known = view.orders.get(name)
  if (known) return known
  const line: OrderLine = { order: name, amount, currency, asked: 0, clicks: [], charges: [], declined: null, payment: null, word: null, fate: 'open', silent: false }
  view.orders.set(name, line)
  view.fates.open++
  if (view.orders.size > ORDERS_KEPT) {
    const [oldest] = view.orders.values()
    view.past.orders++
    if (view.differing.delete(oldest!.order)) view.past.differences++
    view.orders.delete(oldest!.order)
  }
  return line
}

/** What an order came to is counted anew after each event about it: of a storm nobody could count all orders for each picture. */
function touched(view: PaymentView, order: OrderLine): void {
  const fate = fateOf(order)
  view.fates[order.fate]--
  view.fates[fate]++
  order.fate = fate
  const silent = order.clicks.length > 0 && lastWords(order).every((click) => click.told === 'nothing')
  view.silent += Number(silent) - Number(order.silent)
  order.silent = silent
  const found = differencesOf(view, order)
  if (found.length > 0) view.differing.set(order.order, found)
  else view.differing.delete(order.order)
}

/** The payment is one of the order. */
function names(view: PaymentView, order: OrderLine, payment: string): void {
  order.payment = payment
  keepBy(view.orderOf, payment, order.order, ORDERS_KEPT)
}

/** The order of a line in the bank's ledger: by the payment or order that it refers to, else the only one that asked for this amount, else the only one there is. */
function belongs(view: PaymentView, { reference, amount, currency }: Event): OrderLine | undefined {
  const named = view.orders.get(view.orderOf.get(reference) ?? reference)
  if (named) return named
  const all = [...view.orders.values()]
  const same = all.filter((line) => line.amount === amount && line.currency === currency)
  if (same.length === 1) return same[0]
  return all.length === 1 ? all[0] : undefined
}

function undo(view: PaymentView, event: Event, how: 'refunded' | 'voided'): OrderLine | undefined {
  const has = (line: OrderLine | undefined) => line?.charges.find((one) => one.charge === event['charge'])
  const named = view.orders.get(view.orderOf.get(event['reference']) ?? event['reference'])
  const line = has(named) ? named : [...view.orders.values()].find(has)
  const found = has(line)
  if (!line || !found) return undefined
  if (found.undone === null) view.sums.set(found.currency, (view.sums.get(found.currency) ?? 0) - found.amount)
  found.undone = how
  found.undoneSeq = event.seq
  touched(view, line)
  return line
}

function enter(view: PaymentView, { t, seq, key, reference, amount, currency, reason }: Event, what: LedgerLine['what'], id: string, order: OrderLine | undefined): void {
  const known = order && amount !== undefined ? undefined : view.ledger.findLast((line) => line.what === 'charged' && line.id === id)
  keep(view.ledger, { t, seq, what, id, key: key ?? null, reference: reference ?? '', order: order?.order ?? known?.order ?? null, amount: amount ?? known?.amount ?? null, currency: currency ?? known?.currency ?? '', reason: reason ?? '' }, LEDGER_KEPT)
}

// ── what it comes to ────────────────────────────────────────────────────────────────────────────────────────────

/** Charges of the order that stand. */
export function standing(order: OrderLine): Charge[] {
  return order.charges.filter((charge) => charge.undone === null)
}

export function fateOf(order: OrderLine): Fate {
  const stands = standing(order).length
  if (stands > 1) return 'twice'
  if (stands === 1) return 'charged'
  if (order.charges.length > 0) return 'undone'
  if (order.declined !== null) return 'declined'
  const last = order.clicks.findLast((click) => click.told !== null && DENIALS.includes(click.told))
  if (last) return last.told === 'declined' ? 'declined' : 'not charged'
  return order.clicks.length > 0 && order.clicks.every((click) => click.told === 'refused') ? 'not charged' : 'open'
}

const DENIALS: readonly ToldWord[] = ['declined', 'not_charged']

/** What a told word means to the payer. */
export const TOLD: Record<ToldWord, string> = {
  charged: 'charged',
  authorised: 'held, to be captured',
  declined: 'declined',
  not_charged: 'not charged',
  pending: 'pending',
  review: 'under review',
  conflict: 'another request is at work',
  refused: 'refused as wrong',
  not_found: 'no such payment',
  nothing: 'no answer',
}

/** What the engine's state means for the money. */
export const BELIEVED: Record<State, string> = {
  claimed: 'nothing sent yet',
  queued: 'waiting, with consent',
  sent: 'asked, no answer yet',
  unknown: 'UNKNOWN',
  authorised: 'held',
  succeeded: 'charged',
  declined: 'declined',
  released: 'not charged',
  voided: 'voided',
  review: 'REVIEW',
}

/** What the bank's ledger says of an order, in a few words. */
export function truthOf(order: OrderLine): string {
  const stands = standing(order)
  const undone = order.charges.length - stands.length
  const gone = undone === 0 ? '' : `, ${undone} given back`
  if (stands.length === 0) return order.charges.length > 0 ? `nothing stands${gone}` : order.declined === null ? 'no charge' : `no charge (declined: ${order.declined})`
  return `${count(stands.length, 'charge')} of ${amounts(stands)}${gone}`
}

/** Whether what the click was told of the money was false: of a charge, at the moment; of none, also afterwards, unless somebody asked again. */
export function toldFalse(order: OrderLine, click: Click): boolean {
  if (click.toldSeq === null || click.told === null) return false
  const seq = click.toldSeq
  if (click.told === 'charged') return !order.charges.some((charge) => charge.seq < seq && (charge.undone === null || charge.undoneSeq > seq) && charge.amount === click.amount && charge.currency === click.currency)
  if (!DENIALS.includes(click.told)) return false
  return order.charges.some((charge) => {
    if (charge.undone !== null && charge.undoneSeq < seq) return false
    if (charge.seq < seq) return true
    return !order.clicks.some((other) => other !== click && other.ask === 'pay' && other.sentSeq < charge.seq && (other.toldSeq === null || other.toldSeq > seq))
  })
}

function differencesOf(view: PaymentView, order: OrderLine): Difference[] {
  const found: Difference[] = []
  const truth = () => truthOf(order)
  const stands = standing(order)
  if (stands.length > 1) found.push({ order: order.order, who: 'bank', words: `the bank has ${truth()} for one order: the customer paid ${times(stands.length)}` })
  for (const click of order.clicks) {
    if (toldFalse(order, click)) found.push({ order: order.order, who: click.client, words: `${click.client} was told ${click.told === 'charged' ? `that ${money(click.amount, click.currency)} was charged` : 'that nothing was charged'}, and the bank has ${truth()}` })
  }
  const payment = view.payments.get(order.payment ?? '')
  const believed = payment === undefined ? 'unknown' : chargeState(payment.state)
  if (payment?.restedAt !== null && believed === 'charged' && order.charges.length === 0) found.push({ order: order.order, who: 'engine', words: `the engine believes that it charged, and the bank has ${truth()}` })
  if (payment?.restedAt !== null && believed === 'none' && stands.length > 0) found.push({ order: order.order, who: 'engine', words: `the engine believes that nothing was charged, and the bank has ${truth()}` })
  return found
}

/** Where told, believed and true differ, worst first within an order. */
export function differences(view: PaymentView): Difference[] {
  return [...view.differing.values()].flat()
}

/** How the deadline of a payment was spent, ms: fraud and the first bank call, and all that came after it was unknown. */
export function budget(view: PaymentView, payment: PaymentLine): { deadlineMs: number; spentMs: number; fraudMs: number; bankMs: number; recoveryMs: number } {
  const lasted = (hop: HopLine) => (hop.endedAt ?? view.t) - hop.startedAt
  const sum = (kind: Hop) => payment.hops.filter((hop) => hop.hop === kind && hop.attempt === 1).reduce((total, hop) => total + lasted(hop), 0)
  const spentMs = payment.spentMs ?? (payment.restedAt ?? view.t) - payment.claimedAt
  const doubted = payment.steps.find(({ label }) => label === 'UNKNOWN')?.t
  return { deadlineMs: payment.deadlineMs, spentMs, fraudMs: sum('fraud'), bankMs: sum('bank'), recoveryMs: doubted === undefined ? 0 : Math.max(0, payment.claimedAt + spentMs - doubted) }
}

// ── the story ───────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * What happened to the money, in one to five plain sentences: asked and charged, what was told and whether it is true, what is still owed.
 * Told from the view alone; true at any moment of the run.
 */
export function story(view: PaymentView): string {
  const [first] = view.orders.values()
  const sentences = first && view.orders.size + view.past.orders === 1 ? storyOfOrder(view, first) : storyOfMany(view)
  if (view.kills > 0) sentences.push(`The service was killed ${times(view.kills)} on the way.`)
  return sentences.join(' ')
}

function storyOfOrder(view: PaymentView, order: OrderLine): string[] {
  const stands = standing(order)
  const clients = [...new Set(order.clicks.filter((click) => click.ask === 'pay').map((click) => click.client))]
  const asked = order.asked === 0 ? '1 payment' : order.asked > clients.length ? `${count(clients.length, 'client')} asked ${times(order.asked)}` : count(order.asked, 'click')

  const many = stands.length > 1 ? `: the customer paid ${times(stands.length)}` : ''
  const undone = order.charges.filter((charge) => charge.undone !== null)
  const refused = [...view.payments.values()].some((payment) => payment.order === order.order && payment.steps.some(({ label }) => label === 'fraud denied'))
  let charged = `no charge${order.declined !== null ? `: the bank declined (${order.declined})` : refused ? ': fraud refused it' : ''}`
  if (stands.length > 0) charged = `${count(stands.length, 'charge')} of ${amounts(stands)}${many}${undone.length > 0 ? ` (${count(undone.length, 'more charge')} given back)` : ''}`
  else if (undone.length > 0) charged = `${count(undone.length, 'charge')} of ${amounts(undone)}, given back: nothing stands`
  return [`${asked}, ${charged}.`, ...toldSentences(order), ...owedSentences(view, order)]
}

/** What each client was told last. */
function lastWords(order: OrderLine): Click[] {
  const last = new Map<string, Click>()
  for (const click of order.clicks) last.set(click.client, click)
  return [...last.values()]
}

const VERDICT_OF = { true: 'and it is true', false: 'and that is false' }

function toldSentences(order: OrderLine): string[] {
  const last = lastWords(order)
  if (last.length === 0) return []
  const lies = last.filter((click) => toldFalse(order, click))
  const words = new Set(last.map((click) => click.told))
  // Who asks again after an answer is a client with a program; who clicks once is a click.
  const noun = order.asked > last.length ? 'client' : 'click'
  const all = last.length === 1 ? `The ${noun}` : last.length === 2 ? `Both ${noun}s` : `All ${last.length} ${noun}s`
  const was = last.length === 1 ? 'was' : 'were'
  const [word] = words
  if (words.size > 1) {
    const groups = new Map<string, Click[]>()
    for (const click of last) groups.set(saidTo(order, click), [...(groups.get(saidTo(order, click)) ?? []), click])
    const each = [...groups].map(([said, clicks]) => `${few(clicks.map((click) => click.client))} ${clicks.length > 1 ? plural(said) : said}`)
    // Another key is another payment: only under one key must all be told the same.
    const contradict = last.some((click) => click.told === 'charged' && last.some((other) => other.key === click.key && DENIALS.includes(other.told!)))
    const sentence = `${contradict ? 'They were told differently: ' : ''}${each.join('; ')}.`
    const definite = last.filter((click) => click.told === 'charged' || DENIALS.includes(click.told!))
    const truth = lies.length > 0 ? `What ${listed(lies.map((click) => click.client))} ${lies.length === 1 ? 'was' : 'were'} told is false.` : definite.length > 0 ? 'What they were told of the money is true.' : ''
    return [capital(sentence), ...(truth ? [truth] : [])]
  }
  if (word === null || word === undefined) return [`${all} still wait${last.length === 1 ? 's' : ''} for an answer.`]
  if (word === 'charged' || DENIALS.includes(word)) {
    const same = last.length === 1 ? (word === 'charged' ? 'so' : `that it was ${TOLD[word]}`) : 'the same'
    if (lies.length === 0) return standing(order).length > 1 ? [`${all} ${was} told of one charge.`] : [`${all} ${was} told ${same}, ${VERDICT_OF.true}.`]
    if (lies.length < last.length) return [`${all} ${was} told that it was ${TOLD[word]}; to ${listed(lies.map((click) => click.client))} that was false.`]
    return [`${all} ${was} told that it was ${TOLD[word]}, ${VERDICT_OF.false}.`]
  }
  if (word === 'nothing') return [`${all} got no answer${last[0]!.why ? ` (${last[0]!.why})` : ''}${standing(order).length > 0 ? ': the client cannot know that it was charged' : ''}.`]
  return [`${all} ${was} ${SAID[word] ?? `told: ${TOLD[word]}`}.`]
}

/** What a client was, where `told` and the word make no sentence. */
const SAID: Partial<Record<ToldWord, string>> = {
  pending: 'told that it is pending: not known yet, do not pay again',
  review: 'told that somebody looks into it',
  conflict: 'told that another request is at work',
  refused: 'refused: its request is wrong',
  not_found: 'told that there is no such payment',
}

function saidTo(order: OrderLine, click: Click): string {
  if (click.told === null) return 'still waits'
  if (click.told === 'nothing') return 'got no answer'
  const words = SAID[click.told] ?? `told ${click.told === 'charged' ? `charged ${money(click.amount, click.currency)}` : TOLD[click.told]}`
  return `was ${words}${toldFalse(order, click) ? ' (false)' : ''}`
}

/** What is not yet as it should be: a belief, a receipt. */
function owedSentences(view: PaymentView, order: OrderLine): string[] {
  const payment = view.payments.get(order.payment ?? '')
  if (!payment) return []
  const said: string[] = []
  for (const { who, words } of differencesOf(view, order)) if (who === 'engine') said.push(`${capital(words)}: that is false.`)
  if (payment.state === 'unknown') said.push(order.charges.length > 0 ? 'The bank charged, and the engine does not know it yet.' : 'The engine does not know yet what the bank did.')
  if (payment.state === 'review') said.push('It rests with an operator.')
  const tried = payment.hops.filter((hop) => hop.hop === 'notify' && hop.endedAt !== null)
  if (payment.state === 'succeeded' && tried.length > 0 && !payment.notified) said.push(`The receipt is not delivered yet (${count(tried.length, 'attempt')}).`)
  return said
}

function storyOfMany(view: PaymentView): string[] {
  const { fates, silent, past } = view
  const total = view.orders.size + past.orders
  if (total === 0) return ['Nobody asked to pay, and nothing was charged.']
  const clicks = view.counts.clicks
  const sums = [...view.sums].filter(([, sum]) => sum !== 0)
  const inAll = sums.length > 0 ? ` (${sums.map(([currency, sum]) => money(sum, currency)).join(' and ')} in all)` : ''
  const parts = [`${number(fates.charged)} charged once${inAll}`]
  if (fates.declined > 0) parts.push(`${number(fates.declined)} declined`)
  if (fates['not charged'] > 0) parts.push(`${number(fates['not charged'])} not charged`)
  if (fates.undone > 0) parts.push(`${number(fates.undone)} given back`)
  if (fates.open > 0) parts.push(`${number(fates.open)} open`)
  parts.push(`${number(fates.twice)} charged twice`)

  const all = differences(view)
  const told = all.filter(({ who }) => who !== 'bank')
  const twice = [...view.differing.keys()].flatMap((name) => view.orders.get(name) ?? []).filter((order) => order.fate === 'twice')
  const said = [`${count(total, 'order')}${clicks > 0 ? `, ${count(clicks, 'click')}` : ''}: ${parts.join(', ')}.`]
  for (const order of twice.slice(0, 2)) said.push(`The bank has ${truthOf(order)} for ${order.order}: the customer paid ${times(standing(order).length)}.`)
  if (told.length > 0) said.push(...told.slice(0, 2).map(({ words }) => `${capital(words)}.`))
  if (told.length > 2) said.push(`${told.length - 2} more differ.`)
  if (past.differences > 0) said.push(`${past.differences} earlier orders differ.`)
  if (silent > 0) said.push(`${count(silent, 'client')} got no answer.`)
  if (all.length === 0 && past.differences === 0 && view.counts.answers > 0) said.push('What the clients were told of the money is true.')
  return said
}

/** `$99.00` when all are alike, `$99.00 and $98.00` else. */
function amounts(charges: Charge[]): string {
  return listed([...new Set(charges.map((charge) => money(charge.amount, charge.currency)))])
}

function listed(words: string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}

/** Names, of which there may be many. */
function few(names: string[]): string {
  return names.length <= 3 ? listed(names) : `${names.slice(0, 2).join(', ')} and ${names.length - 2} others`
}

function plural(said: string): string {
  return said.replace(/^was /, 'were ').replace(/^still waits/, 'still wait').replace('its request is', 'their requests are')
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function times(n: number): string {
  return n === 1 ? 'once' : n === 2 ? 'twice' : `${n} times`
}

function count(n: number, noun: string): string {
  return `${number(n)} ${noun}${n === 1 ? '' : 's'}`
}

const NUMBER = new Intl.NumberFormat('en')

/** `1,204`: the same in every place. */
export function number(n: number): string {
  return NUMBER.format(n)
}

const FORMATS = new Map<string, Intl.NumberFormat>()

/** `$99.00`. A stranger's currency that is none is shown as it came: a screen never fails on what it shows. */
export function money(amount: number, currency: string): string {
  if (!/^[A-Za-z]{3}$/.test(currency)) return `${amount} ${currency}`
  let format = FORMATS.get(currency)
  if (!format) FORMATS.set(currency, (format = new Intl.NumberFormat('en', { style: 'currency', currency })))
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2))
}
