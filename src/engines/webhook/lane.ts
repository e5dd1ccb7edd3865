/**
 * One endpoint's queue, as its owner knows it: what may be sent now, how much at once, and what is known of the endpoint's health. It touches neither store nor
 * network.
 *
 *   fetched ──▶ ready (first attempts, retries, replays) ──▶ in flight ──▶ ended
 *                        ▲ the breaker parks the lane ◀──────┘ failures in a row
 *
 * Its concurrency is found: doubled each round trip until something is refused or does not come in time, then a half, then one more each round trip.
 * Source: Jacobson, "Congestion Avoidance and Control" (1988).
 */
import type { Clock } from '../../clock.ts'
import type { Random } from '../../random.ts'
import type { Pass } from '../policies/ambient.ts'
import { Breaker } from '../policies/breaker.ts'
import type { EndpointState, Spec } from './endpoints.ts'
import type { WebhookSettings } from './settings.ts'

/** A delivery in memory. */
export interface Claimed {
  id: number
  n: number
  event: string
  type: string
  body: string
  tries: number
  strikes: number
  class: Class
  chain: string | null
  job: string | null
  flags: number
  created_at: number
}

export const FIRST = 0
export const RETRY = 1
export const REPLAY = 2
export type Class = typeof FIRST | typeof RETRY | typeof REPLAY

/** Of so many turns, those that retries and replays have when first attempts wait as well: nothing starves, and live traffic keeps four fifths. */
const TURNS = 10
const RETRY_TURN = 4
const REPLAY_TURN = 9

/** Fetched beyond what may be in flight, as a multiple of the concurrency, and at least: enough for the time that a fetch takes. */
const AHEAD = 1
const AHEAD_LEAST = 16

/** Attempts whose ends are remembered, to tell a poisoned message from a sick endpoint. */
const REMEMBERED = 256

export interface LaneFacts {
  number: number
  id: string
  tenant: string
  origin: string
  path: string
  spec: Spec
  state: EndpointState
  reason: string | null
}

export class Lane {
  readonly fence: number
  facts: LaneFacts
  readonly breaker: Breaker
  readonly #settings: WebhookSettings
  /** Concurrency, with fractions. */
  #limit: number
  /** Below it, the limit grows by one with each success. */
  #threshold: number
  #cutAt = Number.NEGATIVE_INFINITY
  inFlight = 0
  readonly #ready: Claimed[][] = [[], [], []]
  /** Ids that are in memory: ready or in flight. */
  readonly held = new Set<number>()
  #turn = 0
  /** First attempts up to this id have been fetched. */
  cursor = 0
  /** Nothing beyond the cursor, as of the last look. */
  dry = false
  /** When the next retry is due, steady ms; 0: it is not known. */
  retryAt = 0
  /** Whether replays may be waiting. */
  replays = true
  /** Links of chains that may go now. */
  promoted: number[] = []
  /** Monotonic ms before which nothing is sent: a rate, or because the receiver asked for it. */
  #nextAt = 0
  quietUntil = 0
  /** Failures since the last success, and what is refunded when they turn out to be an outage: strikes by delivery. */
  failures = 0
  failingSince: number | null = null
  failedAt: number | null = null
  succeededAt: number | null = null
  told = false
  /** By how much the receiver's clock is ahead, ms, as of its latest answer that had a date. */
  skewMs: number | null = null
  readonly streak = new Map<number, number>()
  #successes = 0
  #ends = 0
  probes = 0
  /** Another node is to have it: it sends nothing more, and is let go when all has been written. */
  retired = false
  /** Ends of attempts that are not in the store yet. */
  unwritten = 0
  /** Of bodies that are ready. */
  readyBytes = 0

  constructor(facts: LaneFacts, fence: number, ambient: { clock: Clock; random: Random; on?: (type: string) => void }, settings: WebhookSettings) {
    this.facts = facts
    this.fence = fence
    this.#settings = settings
    this.#limit = Math.min(settings.placesFirst, this.places)
    this.#threshold = this.places
    this.breaker = new Breaker(
      { clock: ambient.clock, random: ambient.random },
      {
        name: facts.id,
        window: { calls: settings.breakerFailures },
        failureRate: 1,
        openMs: settings.probeMs,
        openGrowth: 2,
        openCapMs: settings.probeMaxMs,
        probes: 1,
        probeMs: settings.deadlineMaxMs + settings.probeMs,
        // The concurrency ramps, from one.
        rampMs: 0,
      },
    )
  }

  /** The most that its concurrency may be. */
  get places(): number {
    return this.facts.spec.places ?? this.#settings.placesMost
  }

  /** Its concurrency now. */
  get limit(): number {
    return this.facts.spec.ordering === 'fifo' ? 1 : Math.max(1, Math.min(Math.floor(this.#limit), this.places))
  }

  restoreLimit(places: number): void {
    if (places > 0) this.#limit = Math.min(places, this.places)
  }

  get isParked(): boolean {
    return this.breaker.state === 'open' || this.breaker.state === 'half-open'
  }

  get mayWork(): boolean {
    return this.facts.state === 'enabled' && !this.retired
  }

  get waits(): number {
    return this.#ready[0]!.length + this.#ready[1]!.length + this.#ready[2]!.length
  }

  /** How many more it could use: 0 when nothing may be sent now. */
  appetite(now: number): number {
    if (!this.mayWork || this.retryIn(now) > 0) return 0
    if (this.isParked) return this.inFlight + this.waits > 0 ? 0 : 1
    const { limit, waits } = this
    const ahead = Math.max(AHEAD_LEAST, limit * AHEAD)
    // Not for each one that has left: a fetch of many costs hardly more than one of few.
    return waits > ahead / 2 ? 0 : Math.max(0, limit + ahead - this.inFlight - waits)
  }

  /** ms until something may be sent, as far as that depends on time; 0 now. */
  retryIn(now: number): number {
    return Math.max(0, this.quietUntil - now, this.#nextAt - now, this.breaker.state === 'open' ? this.breaker.retryAfter(now) : 0)
  }

  add(claimed: Claimed): void {
    if (this.held.has(claimed.id)) return
    this.held.add(claimed.id)
    this.readyBytes += claimed.body.length
    this.#ready[claimed.class]!.push(claimed)
  }

  /** What came back without costing anything goes first again. */
  putBack(claimed: Claimed): void {
    this.held.add(claimed.id)
    this.readyBytes += claimed.body.length
    this.#ready[claimed.class]!.unshift(claimed)
  }

  /** Forgets what was not sent: it is fetched again when it can be. */
  release(): void {
    for (const queue of this.#ready) {
      for (const { id } of queue) {
        this.held.delete(id)
        this.rewind(id)
      }
      queue.length = 0
    }
    for (const id of this.promoted.splice(0)) this.rewind(id)
    this.readyBytes = 0
  }

  /** This one, and what may have been made ready behind the cursor, is looked for again. */
  rewind(id: number): void {
    this.cursor = Math.min(this.cursor, id - 1)
    this.dry = false
    this.retryAt = 0
    this.replays = true
  }

  /** The next delivery and the leave to send it, or undefined. */
  take(now: number): { claimed: Claimed; pass: Pass; probe: boolean } | undefined {
    if (this.waits === 0 || !this.mayWork || now < this.quietUntil || now < this.#nextAt) return undefined
    if (!this.isParked && this.inFlight >= this.limit) return undefined
    const pass = this.breaker.enter(now)
    if (!pass) return undefined
    const probe = this.breaker.state === 'half-open'
    if (probe) this.probes++
    this.inFlight++
    const { perSecond } = this.facts.spec
    if (perSecond > 0) this.#nextAt = now + 1000 / perSecond
    const claimed = this.#next()
    this.readyBytes -= claimed.body.length
    return { claimed, pass, probe }
  }

  #next(): Claimed {
    const [first, retries, replays] = this.#ready as [Claimed[], Claimed[], Claimed[]]
    this.#turn = (this.#turn + 1) % TURNS
    if (this.#turn === REPLAY_TURN && replays.length > 0) return replays.shift()!
    if (this.#turn === RETRY_TURN && retries.length > 0) return retries.shift()!
    return (first.length > 0 ? first : retries.length > 0 ? retries : replays).shift()!
  }

  /** The endpoint took it, at `wall`, ms since 1970. `mayGrow` is false when more at once would only wait in this process. */
  succeeded(wall: number, mayGrow: boolean): void {
    if (mayGrow && this.inFlight + 1 >= this.limit) this.#limit = Math.min(this.places, this.#limit + (this.#limit < this.#threshold ? 1 : 1 / this.#limit))
    this.failures = 0
    this.failingSince = null
    this.succeededAt = wall
    this.streak.clear()
    this.probes = 0
    this.#remember(true)
  }

  failed(wall: number): void {
    this.failures++
    this.failingSince ??= wall
    this.failedAt = wall
    this.#remember(false)
  }

  /** Something did not come in time, or was refused for too much: at most once for what was sent before the last cut. */
  congested(sentAt: number, now: number): void {
    if (sentAt < this.#cutAt) return
    this.#cutAt = now
    this.#threshold = Math.max(1, this.#limit / 2)
    this.#limit = this.#threshold
  }

  /** The breaker has opened: when it closes, the lane begins with one at a time. */
  parked(): void {
    this.#threshold = Math.max(2, this.#limit / 2)
    this.#limit = 1
    this.release()
  }

  /** Whether the lane delivers by and large, so that a message that fails again and again does so by itself: its `own` failures say nothing of the others. */
  isHealthy(share: number, own: number): boolean {
    const others = Math.max(this.#successes, this.#ends - own)
    return others > 0 && this.#successes / others >= share
  }

  #remember(success: boolean): void {
    if (this.#ends >= REMEMBERED) {
      this.#ends /= 2
      this.#successes /= 2
    }
    this.#ends++
    if (success) this.#successes++
  }
}
