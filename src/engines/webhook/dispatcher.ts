/**
 * Carries deliveries out: one node's lanes, side by side, none waiting for another.
 *
 *   store ──claim──▶ lane ──▶ signed, sent (between two transactions) ──▶ read ──▶ finish: collected for some ms, one commit ──▶ store
 *
 * A delivery is not written to when it is taken: its lane has one owner, whose fence is looked at when the end of the attempt is written. What was in flight when
 * a node died is pending still, and is sent again by the next owner: at least once.
 * Nothing here looks at all lanes: a lane is looked at when something has come to it, when an attempt has ended, or when its alarm rings.
 */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Log } from '../../events.ts'
import type { HttpResponse, Network, Outcome } from '../../network.ts'
import type { Random } from '../../random.ts'
import type { Pass } from '../policies/ambient.ts'
import type { Store, Tx } from '../store/store.ts'
import { Alarms } from './alarms.ts'
import { nextLink } from './chains.ts'
import type { EndpointRow, LaneRow, Spec } from './endpoints.ts'
import { changeState, splitTarget } from './endpoints.ts'
import type { Events } from './events.ts'
import type { Keyring } from './keyring.ts'
import type { Claimed, LaneFacts } from './lane.ts'
import { FIRST, Lane, REPLAY, RETRY } from './lane.ts'
import type { Read } from './meaning.ts'
import { read } from './meaning.ts'
import type { LaneSeen } from './observed.ts'
import { OBSERVED_EVERY_MS, observeLanes } from './observed.ts'
import type { Owned } from './ownership.ts'
import { Ownership, unlessTrouble } from './ownership.ts'
import { delayAfter } from './schedule.ts'
import type { Signer } from './signature.ts'
import type { WebhookSettings } from './settings.ts'
import { Steady } from './steady.ts'

export interface DispatcherSetup {
  clock: Clock
  random: Random
  network: Network
  store: Store
  log: Log
  node: string
  life: string
  settings: WebhookSettings
  events: Events
  keys: Keyring
  /** Of the program, for the User-Agent. */
  version: string
}

/** The end of one attempt, as it is to be written down. */
interface Ended {
  lane: Lane
  claimed: Claimed
  /** ms since 1970. */
  at: number
  ms: number
  meaning: Read['meaning']
  status: number | null
  detail: string | null
  body: string | null
  state: 'pending' | 'delivered' | 'dead'
  class: number
  due: number
  strikes: number
  flags: number
  reason: string | null
  /** It was put back, and is another attempt by now. */
  goesOn: boolean
}

/** Ends that are written in one commit. */
const FINISH_MOST = 500
/** Ends that are collected at most before a commit is asked for at once. */
const FINISH_EAGER = 100
/** Ends that wait for a store that cannot write: then nothing more is sent. */
const UNWRITTEN_MOST = 20_000
/** Work that begins so much later than it should says that the process is busy, and with so many in flight it is so with what they bring: lanes do not grow then. Connections that only wait for it cost memory, and others their time. */
const LATE_MS = 10
const LATE_IN_FLIGHT = 256
/** Rows that are fetched for one lane at a time. */
const FETCH_MOST = 256
/** Bytes of bodies in memory beyond which nothing is fetched ahead. */
const READY_BYTES_MOST = 64 * 1024 * 1024
/** New deliveries that are looked at in one transaction. */
const LOOK_MOST = 5000
/** Lanes that are looked into in one transaction; the others are next. */
const LANES_PER_CLAIM = 200
/** Deliveries that a parked lane probes with in turn: so a message that nobody can take does not keep its lane parked. */
const PROBES_SPREAD = 16
/** Characters of an answer that was no success. */
const BODY_KEPT = 16_384
const REASON_KEPT = 200
/** Events that are named when deliveries die. */
const EXHAUSTED_NAMED = 10

export const ANSWERED_LATER = 1
export const ANSWER_CUT = 2

export class Dispatcher {
  readonly #setup: DispatcherSetup
  readonly #steady: Steady
  readonly #ownership: Ownership
  readonly #lanes = new Map<number, Lane>()
  readonly #alarms = new Alarms()
  /** Lanes that may have something to fetch. */
  #hungry = new Set<Lane>()
  /** Lanes that may have something to send. */
  #eager = new Set<Lane>()
  #ended: Ended[] = []
  /** Strikes that were an outage's, by delivery; and lanes that have been parked, woken or were told of. */
  #refunds: { lane: Lane; id: number; strikes: number }[] = []
  #inFlight = 0
  #readyBytes = 0
  #stopping = false
  /** The newest delivery, nudge and change of an endpoint that were seen. */
  #seenDelivery = 0
  #seenNudge = 0
  #seenRevision = 0
  #begun = false
  #pollAt = 0
  /** When it was said last how the lanes stand. */
  #observedAt = Number.NEGATIVE_INFINITY
  /** Something new was enqueued here since the last look. */
  #fresh = false
  /** A chain's next link has become free: what stands in a row does not wait for company. */
  #freed = false
  /** When the last work ended, monotonic ms. */
  #workedAt = Number.NEGATIVE_INFINITY
  #timer: { at: number; cancel(): void } | undefined
  /** This process has more to do than it can: as of the last time that it was to begin work. */
  #late = false
  #working: Promise<void> | undefined
  #again = false
  #idle: (() => void) | undefined
  #bug: ((error: unknown) => void) | undefined

  constructor(setup: DispatcherSetup) {
    this.#setup = setup
    this.#steady = new Steady(setup.clock)
    this.#ownership = new Ownership(setup.clock, setup.settings.leaseMs, setup.node, setup.life)
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** Whether what is of no lane is this node's to do. */
  get isFirst(): boolean {
    return this.#ownership.isFirst && this.#ownership.trusted
  }

  get lanes(): ReadonlyMap<number, Lane> {
    return this.#lanes
  }

  /** Something was enqueued in this process, in somebody's own transaction: it is looked for at once, or together with what else came within flushMs of the last look. */
  wake(): void {
    this.#fresh = true
    const { clock, settings } = this.#setup
    this.#workIn(Math.max(0, this.#workedAt + settings.flushMs - clock.monotonic()))
  }

  /** Events go to the store in this turn: what there is to write goes with them, and the look that finds them, in one commit. */
  along(): void {
    if (!this.#begun || this.#stopping) return
    this.#fresh = true
    this.#workIn(0)
  }

  /** Runs until the signal aborts; then what is in flight ends, for up to drainMs, and is written. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, settings, store } = this.#setup
    const failed = new Promise<never>((_, reject) => {
      this.#bug = reject
    })
    failed.catch(() => {}) // told by the race below
    await Promise.race([this.#beats(signal), failed])
    this.#stopping = true
    if (this.#inFlight > 0) await Promise.race([new Promise<void>((resolve) => (this.#idle = resolve)), clock.sleep(settings.drainMs), failed])
    this.#timer?.cancel()
    this.#timer = undefined
    await this.#working
    while (this.#ended.length > 0) {
      const before = this.#ended.length
      await this.#finish()
      if (this.#ended.length === before) break // the store cannot: it is sent again by the next life
    }
    await store
      .transaction('leave', async (tx) => {
        const seen = await this.#observe(tx)
        await this.#ownership.leave(tx)
        return seen
      })
      .then((seen) => this.#tellObserved(seen), unlessTrouble)
    this.#setup.log.emit('node.left', {})
  }

  // ── whose lanes they are ──────────────────────────────────────────────────────────────────────────────────────

  async #beats(signal: AbortSignal): Promise<void> {
    const { clock, settings, log } = this.#setup
    let joined = false
    while (!signal.aborted) {
      try {
        await this.#beat()
        if (!joined) log.emit('node.joined', {})
        joined = true
      } catch (error) {
        unlessTrouble(error)
        log.emit('store.failed', { code: (error as ResilError).code, what: 'beat' })
      }
      await clock.sleep(settings.beatMs, signal)
    }
  }

  async #beat(): Promise<void> {
    const { store, log } = this.#setup
    const { taken, free, over, lost, rows, seen } = await store.transaction('beat', async (tx) => {
      const { taken, over, lost } = await this.#ownership.beat(tx, new Set(this.#lanes.keys()))
      const rows = await this.#load(tx, taken.map(({ lane }) => lane))
      // What came before is found by its lane; from here on, by being new.
      if (!this.#begun) {
        const [newest] = await tx.query<{ delivery: number | null; nudge: number | null; revision: number }>('SELECT (SELECT MAX(id) FROM delivery) AS delivery, (SELECT MAX(id) FROM nudge) AS nudge, (SELECT last FROM revision) AS revision')
        this.#seenDelivery = newest!.delivery ?? 0
        this.#seenNudge = newest!.nudge ?? 0
        this.#seenRevision = newest!.revision
      }
      const free = over.filter((lane) => this.#lanes.get(lane)!.inFlight === 0 && this.#lanes.get(lane)!.unwritten === 0)
      if (free.length > 0) await this.#ownership.letGo(tx, free)
      const isDue = this.#setup.clock.monotonic() - this.#observedAt >= OBSERVED_EVERY_MS
      return { taken, free, over: new Set(over), lost, rows, seen: isDue ? await this.#observe(tx) : undefined }
    })
    this.#ownership.beaten()
    this.#begun = true
    this.#tellObserved(seen)
    for (const number of [...free, ...lost]) {
      // One that was fenced or removed in the same commit is gone by now.
      const lane = this.#lanes.get(number)
      if (lane) this.#drop(lane)
    }
    for (const lane of this.#lanes.values()) {
      const retires = over.has(lane.facts.number)
      if (retires === lane.retired) continue
      lane.retired = retires
      if (retires) this.#release(lane)
      else this.#hungry.add(lane)
    }
    if (taken.length > 0) log.emit('lanes.taken', { lanes: taken.length })
    this.#take(taken, rows)
  }

  async #observe(tx: Tx): Promise<LaneSeen[] | undefined> {
    if (!this.#setup.settings.observed) return undefined
    return observeLanes(tx, this.#lanes, { monotonic: this.#setup.clock.monotonic(), wall: this.#steady.now() })
  }

  #tellObserved(lanes: readonly LaneSeen[] | undefined): void {
    if (!lanes) return
    this.#observedAt = this.#setup.clock.monotonic()
    this.#setup.log.emit('lanes.observed', { lanes })
  }

  #take(taken: readonly Owned[], rows: readonly (EndpointRow & LaneRow)[]): void {
    const { clock, random, settings } = this.#setup
    const byNumber = new Map(rows.map((row) => [row.lane, row]))
    for (const { lane: number, fence } of taken) {
      const row = byNumber.get(number)
      if (!row) continue
      const lane = new Lane(factsOf(row), fence, { clock, random: random.fork(`lane/${row.id}`) }, settings)
      if (row.breaker !== null) lane.breaker.restore(JSON.parse(row.breaker))
      lane.restoreLimit(row.places)
      lane.failures = row.failures
      lane.failingSince = row.failing_since
      lane.failedAt = row.failed_at
      lane.succeededAt = row.succeeded_at
      lane.told = row.told === 1
      lane.skewMs = row.skew_ms
      if (row.quiet_until !== null) lane.quietUntil = clock.monotonic() + Math.min(settings.retryAfterMaxMs, Math.max(0, row.quiet_until - this.#steady.now()))
      this.#lanes.set(number, lane)
      this.#hungry.add(lane)
    }
    if (taken.length > 0) this.#workIn(0)
  }

  #load(tx: Tx, lanes: readonly number[]): Promise<(EndpointRow & LaneRow)[]> {
    if (lanes.length === 0) return Promise.resolve([])
    return tx.query<EndpointRow & LaneRow>('SELECT l.*, e.* FROM json_each(:lanes) j CROSS JOIN lane l ON l.lane = j.value CROSS JOIN endpoint e ON e.lane = l.lane', { lanes: JSON.stringify(lanes) })
  }

  #drop(lane: Lane): void {
    this.#release(lane)
    // What of it is in flight still ends, and must not set it to work again.
    lane.retired = true
    this.#lanes.delete(lane.facts.number)
    this.#hungry.delete(lane)
    this.#eager.delete(lane)
    this.#setup.keys.forget(lane.facts.id)
  }

  #release(lane: Lane): void {
    this.#readyBytes -= lane.readyBytes
    lane.release()
  }

  // ── the work ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Within `ms`, and at once when it is 0. */
  #workIn(ms: number): void {
    const { clock } = this.#setup
    if (this.#working) {
      this.#again = true
      return
    }
    const at = clock.monotonic() + ms
    if (this.#timer && this.#timer.at <= at) return
    this.#timer?.cancel()
    this.#timer = {
      at,
      cancel: clock.after(ms, () => {
        this.#timer = undefined
        this.#late = this.#inFlight >= LATE_IN_FLIGHT && clock.monotonic() - at > LATE_MS
        this.#working = this.#work()
          .catch((error: unknown) => this.#bug?.(error))
          .then(() => {
            this.#working = undefined
            this.#next()
          })
      }),
    }
  }

  /** When there is something to do again. */
  #next(): void {
    const { clock, settings } = this.#setup
    const again = this.#again
    this.#again = false
    if (this.#stopping) {
      if (this.#ended.length > 0) this.#workIn(settings.flushMs)
      return
    }
    const now = clock.monotonic()
    this.#workedAt = now
    let ms = Math.min(this.#alarms.next - now, this.#pollAt - now)
    if (this.#ended.length > 0) ms = Math.min(ms, this.#ended.length >= FINISH_EAGER ? 0 : settings.flushMs)
    if (this.#hungry.size > 0 || this.#fresh) ms = Math.min(ms, this.#freed ? 0 : settings.flushMs)
    this.#freed = false
    this.#workIn(again ? Math.min(settings.flushMs, Math.max(0, ms)) : Math.max(0, ms))
  }

  async #work(): Promise<void> {
    const { clock, log } = this.#setup
    const now = clock.monotonic()
    for (let number = this.#alarms.ring(now); number !== undefined; number = this.#alarms.ring(now)) {
      const lane = this.#lanes.get(number)
      if (!lane) continue
      this.#eager.add(lane)
      this.#hungry.add(lane)
      // It rang for something else: the next retry has its time still to come.
      const ms = lane.retryAt - this.#steady.now()
      if (ms > 0 && Number.isFinite(ms)) this.#alarms.set(number, now + ms)
    }
    try {
      const finishing = this.#ended.length > 0 || this.#refunds.length > 0 ? this.#finish() : undefined
      const claiming = this.#stopping ? undefined : this.#claim(now)
      await Promise.all([finishing, claiming])
    } catch (error) {
      unlessTrouble(error)
      log.emit('store.failed', { code: (error as ResilError).code, what: 'work' })
      await clock.sleep(this.#setup.settings.pollMs)
    }
    this.#send()
  }

  /** Finds out what is new, and fetches for the lanes that can use it. */
  async #claim(now: number): Promise<void> {
    const { store, settings } = this.#setup
    const polls = now >= this.#pollAt
    const looks = polls || this.#fresh
    if (polls) this.#pollAt = now + settings.pollMs
    this.#fresh = false
    const lanes: Lane[] = []
    for (const lane of this.#hungry) {
      if (lanes.length >= LANES_PER_CLAIM) break
      this.#hungry.delete(lane)
      lanes.push(lane)
    }
    if (!looks && lanes.length === 0) return
    const steady = this.#steady.now()
    const seen = { delivery: this.#seenDelivery, nudge: this.#seenNudge }
    const removed: Lane[] = []
    try {
      await store.transaction('claim', async (tx) => {
        const touched = new Set<Lane>()
        if (looks) await this.#lookForNew(tx, touched)
        if (polls) removed.push(...(await this.#lookAround(tx, touched)))
        for (const lane of touched) if (!lanes.includes(lane)) lanes.push(lane)
        for (const lane of lanes) await this.#fetch(tx, lane, now, steady)
      })
    } catch (error) {
      // Others' works shared the commit: what was seen of theirs may never have been. It is forgotten, and looked for again.
      this.#seenDelivery = seen.delivery
      this.#seenNudge = seen.nudge
      this.#seenRevision = 0
      for (const lane of lanes) {
        this.#release(lane)
        lane.rewind(lane.cursor + 1)
        this.#hungry.add(lane)
      }
      throw error
    }
    for (const lane of removed) this.#drop(lane)
  }

  /** Deliveries that came since the last look; adds their lanes to `touched`. */
  async #lookForNew(tx: Tx, touched: Set<Lane>): Promise<void> {
    const fresh = await tx.query<{ lane: number; newest: number; many: number }>('SELECT lane, MAX(id) AS newest, COUNT(*) AS many FROM (SELECT lane, id FROM delivery WHERE id > :seen ORDER BY id LIMIT :most) AS fresh GROUP BY lane', { seen: this.#seenDelivery, most: LOOK_MOST })
    if (fresh.reduce((sum, { many }) => sum + many, 0) === LOOK_MOST) this.#fresh = true
    for (const { lane: number, newest } of fresh) {
      this.#seenDelivery = Math.max(this.#seenDelivery, newest)
      const lane = this.#lanes.get(number)
      if (!lane) continue
      lane.dry = false
      touched.add(lane)
    }
  }

  /** What else others have written since the last look; adds the lanes that it is about to `touched`, and answers those whose endpoint is removed. */
  async #lookAround(tx: Tx, touched: Set<Lane>): Promise<Lane[]> {
    const removed: Lane[] = []
    const nudges = await tx.query<{ lane: number; newest: number }>('SELECT lane, MAX(id) AS newest FROM nudge WHERE id > :seen GROUP BY lane', { seen: this.#seenNudge })
    for (const { lane: number, newest } of nudges) {
      this.#seenNudge = Math.max(this.#seenNudge, newest)
      const lane = this.#lanes.get(number)
      if (!lane) continue
      lane.rewind(1)
      touched.add(lane)
    }
    const changed = await tx.query<EndpointRow & LaneRow>('SELECT l.*, e.* FROM endpoint e JOIN lane l ON l.lane = e.lane WHERE e.revision > :seen ORDER BY e.revision LIMIT 1000', { seen: this.#seenRevision })
    for (const row of changed) {
      this.#seenRevision = row.revision
      const lane = this.#lanes.get(row.lane)
      if (!lane) continue
      this.#setup.keys.forget(row.id)
      const before = lane.facts.state
      lane.facts = factsOf(row)
      this.#release(lane)
      if (row.state === 'removed') {
        removed.push(lane)
        continue
      }
      if (row.state === 'enabled' && before !== 'enabled') {
        // Whoever enables it says that it is well.
        if (lane.isParked) lane.breaker.reset()
        lane.failures = row.failures
        lane.failingSince = row.failing_since
        lane.failedAt = row.failed_at
        lane.told = row.told === 1
        lane.quietUntil = 0
      }
      touched.add(lane)
    }
    return removed
  }

  async #fetch(tx: Tx, lane: Lane, now: number, steady: number): Promise<void> {
    const { settings } = this.#setup
    const appetite = lane.appetite(now)
    const wanted = Math.min(FETCH_MOST, this.#readyBytes > READY_BYTES_MOST ? Math.min(appetite, lane.waits === 0 ? 1 : 0) : appetite)
    if (wanted === 0) {
      const ms = lane.retryIn(now)
      if (ms > 0) this.#alarms.set(lane.facts.number, now + ms)
      return
    }
    const { keys } = this.#setup
    if (!keys.of(lane.facts.id)) await keys.load(tx, lane.facts.number, lane.facts.id)
    const before = lane.waits
    if (lane.isParked) await this.#fetchProbe(tx, lane)
    else {
      if (lane.promoted.length > 0) {
        const ids = lane.promoted
        lane.promoted = []
        this.#add(lane, await tx.query<Claimed>(`${CLAIM} d.id IN (SELECT value FROM json_each(:ids)) AND d.state = 'pending'`, { ids: JSON.stringify(ids) }))
      }
      if (!lane.dry && !settings.replaysOnly) {
        const rows = await tx.query<Claimed>(`${CLAIM} d.lane = :lane AND d.class = 0 AND d.state = 'pending' AND d.due = 0 AND d.id > :cursor ORDER BY d.id LIMIT :wanted`, { lane: lane.facts.number, cursor: lane.cursor, wanted })
        if (rows.length < wanted) lane.dry = true
        const last = rows.at(-1)
        if (last) lane.cursor = last.id
        this.#add(lane, rows)
      }
      if (lane.retryAt <= steady) await this.#fetchRetries(tx, lane, wanted, steady, now)
      if (lane.replays) {
        const limit = wanted + lane.held.size
        const rows = await tx.query<Claimed>(`${CLAIM} d.lane = :lane AND d.class = 2 AND d.state = 'pending' AND d.due <= :steady ORDER BY d.due, d.id LIMIT :limit`, { lane: lane.facts.number, steady, limit })
        if (rows.length < limit) lane.replays = false
        this.#add(lane, rows)
      }
    }
    if (lane.waits > before) this.#eager.add(lane)
  }

  async #fetchRetries(tx: Tx, lane: Lane, wanted: number, steady: number, now: number): Promise<void> {
    const { replaysOnly } = this.#setup.settings
    const limit = wanted + lane.held.size
    // Replays that failed again wait for their time as well.
    lane.replays = true
    if (!replaysOnly) {
      const rows = await tx.query<Claimed>(`${CLAIM} d.lane = :lane AND d.class = 1 AND d.state = 'pending' AND d.due <= :steady ORDER BY d.due, d.id LIMIT :limit`, { lane: lane.facts.number, steady, limit })
      this.#add(lane, rows)
      if (rows.length === limit) return
    }
    lane.retryAt = Number.POSITIVE_INFINITY
    for (const kind of replaysOnly ? [REPLAY] : [RETRY, REPLAY]) {
      const [next] = await tx.query<{ due: number }>("SELECT due FROM delivery WHERE lane = :lane AND class = :kind AND state = 'pending' AND due > :steady ORDER BY due LIMIT 1", { lane: lane.facts.number, kind, steady })
      lane.retryAt = Math.min(lane.retryAt, next?.due ?? Number.POSITIVE_INFINITY)
    }
    if (Number.isFinite(lane.retryAt)) this.#alarms.set(lane.facts.number, now + Math.max(1, lane.retryAt - steady))
  }

  /** One delivery to knock with: in turn, for the first may be the very one that nobody can take. */
  async #fetchProbe(tx: Tx, lane: Lane): Promise<void> {
    const skip = lane.probes % PROBES_SPREAD
    for (const offset of skip === 0 ? [0] : [skip, 0]) {
      for (const kind of this.#setup.settings.replaysOnly ? [REPLAY] : [FIRST, RETRY, REPLAY]) {
        const rows = await tx.query<Claimed>(`${CLAIM} d.lane = :lane AND d.class = :kind AND d.state = 'pending' ORDER BY d.due, d.id LIMIT 1 OFFSET :offset`, { lane: lane.facts.number, kind, offset })
        if (rows.length > 0) return this.#add(lane, rows)
      }
    }
  }

  #add(lane: Lane, rows: readonly Claimed[]): void {
    const before = lane.readyBytes
    for (const row of rows) lane.add(row)
    this.#readyBytes += lane.readyBytes - before
  }

  // ── one attempt ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Not when it ends, when its lanes may be another's by now, or when it could not write down what came of it. */
  get #maySend(): boolean {
    return !this.#stopping && this.#ownership.trusted && this.#ended.length <= UNWRITTEN_MOST
  }

  /** In turns, each lane as many as its weight, until none can or the node is full. */
  #send(): void {
    const { clock, settings } = this.#setup
    if (!this.#maySend) {
      if (!this.#stopping) this.#pollAt = Math.min(this.#pollAt, clock.monotonic() + settings.pollMs)
      return
    }
    const now = clock.monotonic()
    while (this.#eager.size > 0) {
      for (const lane of this.#eager) {
        for (let turn = 0; turn < lane.facts.spec.weight; turn++) {
          if (this.#inFlight >= settings.inFlightMost) return
          if (this.#sendOne(lane, now)) continue
          this.#eager.delete(lane)
          break
        }
      }
    }
  }

  #sendOne(lane: Lane, now: number): boolean {
    const signer = this.#setup.keys.of(lane.facts.id)
    const taken = signer && lane.take(now)
    if (!taken) {
      const ms = lane.waits > 0 ? lane.retryIn(now) : 0
      if (ms > 0) this.#alarms.set(lane.facts.number, now + ms)
      if (lane.appetite(now) > 0 && (!lane.dry || lane.replays || lane.promoted.length > 0)) this.#hungry.add(lane)
      return false
    }
    const { claimed, pass } = taken
    this.#readyBytes -= claimed.body.length
    this.#inFlight++
    const { settings, clock, network, log, version } = this.#setup
    const { facts } = lane
    const at = clock.now()
    const seconds = Math.floor(at / 1000)
    const headers: Record<string, string> = {
      ...facts.spec.headers,
      'content-type': 'application/json',
      'user-agent': `resil/${version}`,
      'webhook-id': claimed.event,
      'webhook-timestamp': String(seconds),
      'webhook-signature': signer.sign(claimed.event, seconds, claimed.body),
      'webhook-endpoint': facts.id,
      'webhook-sequence': String(claimed.n),
      'webhook-attempt': String(claimed.tries + 1),
    }
    if (facts.spec.stripeSignature) headers['stripe-signature'] = signer.stripe(seconds, claimed.body)
    if (taken.probe) log.emit('lane.probed', { endpoint: facts.id, event: claimed.event })
    network.call(facts.origin, { method: 'POST', path: facts.path, headers, body: claimed.body }, { timeoutMs: facts.spec.deadlineMs ?? settings.deadlineMs }).then(
      (outcome) => this.#end(lane, claimed, pass, outcome, at, now, signer),
      (error: unknown) => this.#bug?.(error),
    )
    return true
  }

  #end(lane: Lane, claimed: Claimed, pass: Pass, outcome: Outcome<HttpResponse>, at: number, sentAt: number, signer: Signer): void {
    const { clock, settings, random, log } = this.#setup
    const now = clock.monotonic()
    const ms = Math.round(now - sentAt)
    const { facts } = lane
    const answer = read(outcome, {
      demand: facts.spec.demand,
      mayDefer: facts.spec.ackMs !== undefined,
      receipt: (given) => signer.receiptValid(claimed.event, Math.floor(at / 1000), given),
      now: this.#steady.now(),
      retryAfterMaxMs: settings.retryAfterMaxMs,
      throttledMs: settings.throttledMs,
    })
    const { meaning } = answer
    this.#inFlight--
    lane.inFlight--
    const wasParked = lane.isParked
    const sick = meaning === 'failed' || meaning === 'unreachable'
    // The same message answered with an error once more says nothing new of its endpoint.
    const known = meaning === 'failed' && !wasParked && lane.streak.has(claimed.id)
    pass.end(meaning === 'throttled' || known ? 'ignored' : sick ? 'failure' : 'ok', ms, now)
    const steady = this.#steady.now()
    const ended: Ended = { lane, claimed, at, ms, meaning, status: answer.status, detail: answer.detail, body: bodyOf(outcome, meaning), state: 'pending', class: claimed.class, due: 0, strikes: claimed.strikes, flags: (claimed.flags & ~ANSWERED_LATER) | (answer.cut ? ANSWER_CUT : 0), reason: null, goesOn: false }
    const again = () => {
      // Replays stay replays: they have their own share of the lane.
      if (ended.class === FIRST) ended.class = RETRY
      lane.retryAt = Math.min(lane.retryAt, ended.due)
      if (ended.class === REPLAY) lane.replays = true
      this.#alarms.set(facts.number, now + Math.max(1, ended.due - steady))
    }
    const strike = () => {
      ended.strikes++
      ended.due = steady + delayAfter(ended.strikes, settings.schedule, settings.jitter, random)
      again()
    }
    const reason = answer.detail ?? (answer.status === null ? meaning : `status ${answer.status}`)
    ended.reason = meaning === 'delivered' ? null : reason.slice(0, REASON_KEPT)
    if (meaning === 'delivered') {
      ended.state = 'delivered'
      lane.succeeded(at, !this.#late)
    } else if (meaning === 'deferred') {
      ended.flags |= ANSWERED_LATER
      ended.due = steady + facts.spec.ackMs!
      lane.succeeded(at, !this.#late)
      again()
    } else if (meaning === 'too_large' || meaning === 'forbidden') {
      ended.state = 'dead'
      lane.failed(at)
    } else if (meaning === 'gone') {
      lane.facts = { ...facts, state: 'disabled', reason: 'the endpoint answered 410 Gone' }
      lane.failed(at)
      this.#release(lane)
    } else if (meaning === 'throttled') {
      lane.quietUntil = Math.max(lane.quietUntil, now + answer.quietMs!)
      lane.congested(sentAt, now)
    } else {
      lane.failed(at)
      if (answer.detail === 'TIMEOUT') lane.congested(sentAt, now)
      const parked = lane.isParked
      if (sick && parked) {
        // The endpoint's fault: it costs the message nothing.
        if (!wasParked) this.#park(lane)
      } else if (steady - claimed.created_at > settings.maxAgeMs) ended.state = 'dead'
      else {
        strike()
        if (sick) lane.streak.set(claimed.id, (lane.streak.get(claimed.id) ?? 0) + 1)
        if (ended.strikes >= settings.poisonStrikes && lane.isHealthy(settings.poisonShare, ended.strikes) && (lane.succeededAt ?? 0) > claimed.created_at) {
          ended.state = 'dead'
          ended.reason = `poison: ${ended.reason}`.slice(0, REASON_KEPT)
        }
      }
    }
    if (lane.isParked) this.#alarms.set(facts.number, now + lane.breaker.retryAfter(now))
    else if (wasParked) {
      log.emit('lane.woken', { endpoint: facts.id })
      this.#hungry.add(lane)
    }
    if (ended.state === 'pending' && ended.due === 0 && lane.mayWork && !lane.isParked) {
      // Held in memory still, and goes first when the lane may send again.
      ended.goesOn = true
      lane.putBack({ ...claimed, tries: claimed.tries + 1 })
      this.#readyBytes += claimed.body.length
    }
    // A date has whole seconds: half of one is what it leaves out on average.
    if (answer.theirNow !== undefined) lane.skewMs = Math.round(answer.theirNow + 500 - (at + ms))
    log.emit('delivery.attempted', { endpoint: facts.id, event: claimed.event, n: claimed.tries + 1, meaning, status: answer.status, detail: answer.detail, ms, ...(meaning === 'delivered' ? { lagMs: Math.max(0, at + ms - claimed.created_at) } : {}), ...(answer.theirNow === undefined ? {} : { skewMs: Math.round(answer.theirNow - at) }) })
    this.#ended.push(ended)
    lane.unwritten++
    if (!this.#maySend || this.#sendOne(lane, now)) this.#eager.add(lane)
    if (!lane.dry || lane.replays || lane.promoted.length > 0 || lane.retryAt <= steady) this.#hungry.add(lane)
    // Whoever waits for its turn behind this one waits for the commit, too.
    this.#workIn(this.#ended.length >= FINISH_EAGER || claimed.chain !== null ? 0 : settings.flushMs)
    if (this.#inFlight === 0) this.#idle?.()
  }

  /** The endpoint is down: nothing but a probe now and then goes there, and what failed meanwhile was not its messages' fault. */
  #park(lane: Lane): void {
    for (const [id, strikes] of lane.streak) this.#refunds.push({ lane, id, strikes })
    lane.streak.clear()
    this.#readyBytes -= lane.readyBytes
    lane.parked()
    this.#setup.log.emit('lane.parked', { endpoint: lane.facts.id, failures: lane.failures })
  }

  // ── what is written ───────────────────────────────────────────────────────────────────────────────────────────

  /** One commit for many ends. When it errs they stay, and are written again: what had been written by then is not written twice. */
  async #finish(): Promise<void> {
    const { store, log } = this.#setup
    const ended = this.#ended.splice(0, FINISH_MOST)
    const refunds = this.#refunds.splice(0)
    let lost: Set<Lane>
    try {
      lost = await store.transaction('finish', (tx) => this.#write(tx, ended, refunds))
    } catch (error) {
      this.#ended.unshift(...ended)
      this.#refunds.unshift(...refunds)
      throw error
    }
    for (const each of ended) this.#settle(each)
    for (const lane of lost) {
      log.emit('lane.fenced', { endpoint: lane.facts.id, fence: lane.fence })
      if (this.#lanes.get(lane.facts.number) === lane) this.#drop(lane)
    }
  }

  /** The end is in the store: from now on a look there finds what is true. Before, it would find the delivery as it was, and send it again or miss it. */
  #settle({ lane, claimed, state, due, goesOn }: Ended): void {
    lane.unwritten--
    if (goesOn) return
    lane.held.delete(claimed.id)
    if (state !== 'pending') return
    if (due === 0) lane.rewind(claimed.id)
    else lane.retryAt = Math.min(lane.retryAt, due)
    this.#hungry.add(lane)
  }

  async #write(tx: Tx, ended: readonly Ended[], refunds: readonly { lane: Lane; id: number; strikes: number }[]): Promise<Set<Lane>> {
    const lanes = new Set([...ended, ...refunds].map(({ lane }) => lane))
    const held = new Map((await tx.query<Owned>('SELECT lane, fence FROM lane WHERE lane IN (SELECT value FROM json_each(:lanes)) AND owner = :life', { lanes: JSON.stringify([...lanes].map(({ facts }) => facts.number)), life: this.#ownership.life })).map(({ lane, fence }) => [lane, fence]))
    const lost = new Set([...lanes].filter((lane) => held.get(lane.facts.number) !== lane.fence))
    const ours = ended.filter(({ lane }) => !lost.has(lane))
    const tallies = new Map<Lane, { delivered: number; dead: number }>()
    const tally = (lane: Lane) => {
      const known = tallies.get(lane)
      if (known) return known
      const fresh = { delivered: 0, dead: 0 }
      tallies.set(lane, fresh)
      return fresh
    }
    const byNumber = new Map(ours.map(({ lane }) => [lane.facts.number, lane]))
    const now = this.#setup.clock.now()
    await this.#writeAttempts(tx, ours)
    const jobs = new Map<string, { delivered: number; failed: number }>()
    // One that was sent again at once may have ended several times by now: what came of it last is written last.
    for (const { claimed, state, due, strikes, flags, reason, lane, ...each } of ours) {
      if (state === 'delivered') continue
      const [row] = await tx.query<{ job: string | null }>(
        `UPDATE delivery SET state = :state, class = :class, due = :due, tries = tries + 1, strikes = :strikes, flags = :flags, reason = :reason, ended_at = :endedAt
         WHERE id = :id AND state = 'pending' AND tries = :tries
         RETURNING job`,
        { id: claimed.id, tries: claimed.tries, state, class: each.class, due, strikes, flags, reason, endedAt: state === 'dead' ? now : null },
      )
      if (!row || state !== 'dead') continue
      tally(lane).dead++
      if (row.job !== null) count(jobs, row.job).failed++
    }
    const arrived = ours.filter(({ state }) => state === 'delivered')
    const rows = await tx.query<{ lane: number; job: string | null }>(
      `UPDATE delivery SET state = 'delivered', tries = tries + 1, reason = NULL, ended_at = :now
       FROM json_each(:ends) AS j
       WHERE delivery.id = json_extract(j.value, '$[0]') AND tries = json_extract(j.value, '$[1]') AND state = 'pending'
       RETURNING lane, job`,
      { ends: JSON.stringify(arrived.map(({ claimed }) => [claimed.id, claimed.tries])), now },
    )
    for (const { lane: number, job } of rows) {
      tally(byNumber.get(number)!).delivered++
      if (job !== null) count(jobs, job).delivered++
    }
    const cut = arrived.filter(({ flags }) => flags !== 0)
    if (cut.length > 0) await tx.query(`UPDATE delivery SET flags = ${ANSWER_CUT} WHERE id IN (SELECT value FROM json_each(:ids))`, { ids: JSON.stringify(cut.map(({ claimed }) => claimed.id)) })
    for (const { lane, id, strikes } of refunds) {
      if (lost.has(lane)) continue
      await tx.query("UPDATE delivery SET strikes = MAX(0, strikes - :strikes), class = CASE WHEN job IS NULL THEN 0 ELSE 2 END, due = 0 WHERE id = :id AND state = 'pending'", { id, strikes })
      lane.rewind(id)
    }
    await this.#tellExhausted(tx, ours.filter(({ state }) => state === 'dead'))
    for (const each of ours) if (each.state !== 'pending' && each.claimed.chain !== null) await this.#promote(tx, each.lane, each.claimed.chain)
    for (const [job, { delivered, failed }] of jobs) await tx.query('UPDATE replay SET delivered = delivered + :delivered, failed = failed + :failed WHERE id = :job', { job, delivered, failed })
    await this.#writeLanes(tx, [...lanes].filter((lane) => !lost.has(lane)), tally)
    for (const lane of new Set(ours.filter(({ meaning }) => meaning === 'gone').map(({ lane }) => lane))) await this.#disable(tx, lane, 'gone', now)
    return lost
  }

  async #writeAttempts(tx: Tx, ended: readonly Ended[]): Promise<void> {
    const rows = ended.map(({ claimed, at, ms, meaning, status, detail, body }) => [claimed.id, claimed.tries + 1, at, ms, meaning, status, detail, body])
    await tx.query(
      `INSERT INTO attempt (delivery, n, at, ms, outcome, status, detail, body)
       SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'), json_extract(value, '$[6]'), json_extract(value, '$[7]')
       FROM json_each(:rows) WHERE true
       ON CONFLICT (delivery, n) DO NOTHING`,
      { rows: JSON.stringify(rows) },
    )
  }

  async #promote(tx: Tx, lane: Lane, chain: string): Promise<void> {
    const id = await nextLink(tx, lane.facts.number, chain)
    if (id === undefined) return
    lane.promoted.push(id)
    this.#hungry.add(lane)
    this.#freed = true
  }

  async #writeLanes(tx: Tx, lanes: readonly Lane[], tally: (lane: Lane) => { delivered: number; dead: number }): Promise<void> {
    const { clock } = this.#setup
    const now = this.#steady.now()
    const monotonic = clock.monotonic()
    const rows = []
    for (const lane of lanes) {
      await this.#judge(tx, lane, now)
      const { delivered, dead } = tally(lane)
      const quiet = lane.quietUntil - monotonic
      rows.push([
        lane.facts.number, delivered, dead, lane.failures, lane.failingSince, lane.failedAt, lane.succeededAt, lane.told ? 1 : 0,
        lane.failures === 0 ? null : JSON.stringify(lane.breaker.snapshot()), lane.limit, quiet > 0 ? now + Math.ceil(quiet) : null, lane.skewMs,
      ])
    }
    await tx.query(
      `UPDATE lane
       SET delivered = delivered + json_extract(said.value, '$[1]'), dead = dead + json_extract(said.value, '$[2]'),
         failures = json_extract(said.value, '$[3]'), failing_since = json_extract(said.value, '$[4]'), failed_at = json_extract(said.value, '$[5]'), succeeded_at = json_extract(said.value, '$[6]'),
         told = json_extract(said.value, '$[7]'), breaker = json_extract(said.value, '$[8]'), places = json_extract(said.value, '$[9]'), quiet_until = json_extract(said.value, '$[10]'), skew_ms = json_extract(said.value, '$[11]')
       FROM json_each(:rows) AS said
       WHERE lane.lane = json_extract(said.value, '$[0]')`,
      { rows: JSON.stringify(rows) },
    )
  }

  /** What its owner is to be told, and whether it has failed for too long. */
  async #judge(tx: Tx, lane: Lane, now: number): Promise<void> {
    const { settings } = this.#setup
    const parkedLong = lane.isParked && lane.failingSince !== null && now - lane.failingSince >= settings.failingMs
    if (parkedLong && !lane.told) {
      lane.told = true
      await this.#tellOwner(tx, lane, 'failing', { failures: lane.failures, since: iso(lane.failingSince!) })
    } else if (lane.told && lane.failures === 0) {
      lane.told = false
      await this.#tellOwner(tx, lane, 'recovered', {})
    }
    if (lane.facts.state === 'enabled' && lane.failingSince !== null && lane.failedAt !== null && now - Math.max(lane.succeededAt ?? 0, lane.failingSince) >= settings.disableMs && lane.failedAt - lane.failingSince >= settings.disableSpanMs) {
      await this.#disable(tx, lane, 'failing', now)
    }
  }

  async #disable(tx: Tx, lane: Lane, why: 'gone' | 'failing', now: number): Promise<void> {
    const reason = why === 'gone' ? 'the endpoint answered 410 Gone' : `no success since ${iso(lane.failingSince!)}`
    await changeState(tx, lane.facts.number, 'disabled', reason, now)
    lane.facts = { ...lane.facts, state: 'disabled', reason }
    await this.#tellOwner(tx, lane, 'disabled', { reason })
    this.#setup.log.emit('endpoint.disabled', { endpoint: lane.facts.id, why: reason })
  }

  /** One word for all that died together in one lane. */
  async #tellExhausted(tx: Tx, dead: readonly Ended[]): Promise<void> {
    for (const lane of new Set(dead.map((each) => each.lane))) {
      const own = dead.filter((each) => each.lane === lane)
      await this.#setup.events.enqueue(tx, { type: 'resil.delivery.exhausted', tenant: lane.facts.tenant, data: { endpoint: lane.facts.id, deliveries: own.length, reason: own[0]!.reason, events: own.slice(0, EXHAUSTED_NAMED).map(({ claimed }) => claimed.event) } })
      for (const { claimed, reason } of own) this.#setup.log.emit('delivery.died', { endpoint: lane.facts.id, event: claimed.event, reason })
    }
  }

  /** In the same transaction as the fact: an event of the engine's own family, for whoever of the tenant has asked for it. */
  async #tellOwner(tx: Tx, lane: Lane, what: 'failing' | 'recovered' | 'disabled', data: Record<string, unknown>): Promise<void> {
    const { id, tenant, origin, path } = lane.facts
    await this.#setup.events.enqueue(tx, { type: `resil.endpoint.${what}`, tenant, data: { endpoint: id, url: `${origin}${path}`, ...data } })
    this.#setup.log.emit(`endpoint.${what === 'disabled' ? 'told' : what}`, { endpoint: id, ...data })
  }
}

const CLAIM = `SELECT d.id, d.n, e.id AS event, e.type, e.body, d.tries, d.strikes, d.class, d.chain, d.job, d.flags, d.created_at
  FROM delivery d CROSS JOIN event e ON e.seq = d.event WHERE`

function factsOf(row: EndpointRow): LaneFacts {
  return { number: row.lane, id: row.id, tenant: row.tenant, ...splitTarget(row.url), spec: JSON.parse(row.spec) as Spec, state: row.state, reason: row.reason }
}

function bodyOf(outcome: Outcome<HttpResponse>, meaning: Read['meaning']): string | null {
  if (outcome.kind !== 'ok' || meaning === 'delivered' || meaning === 'deferred' || outcome.value.body === '') return null
  return outcome.value.body.slice(0, BODY_KEPT)
}

function count(jobs: Map<string, { delivered: number; failed: number }>, job: string): { delivered: number; failed: number } {
  const known = jobs.get(job)
  if (known) return known
  const fresh = { delivered: 0, failed: 0 }
  jobs.set(job, fresh)
  return fresh
}

const iso = (at: number) => new Date(at).toISOString()
