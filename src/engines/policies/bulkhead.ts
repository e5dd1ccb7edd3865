/**
 * A bulkhead lets so many calls be in flight and no more: what is in trouble cannot take every caller with it. Always on; under partial failure it
 * serves users better than a breaker does.
 *
 *   caller ──▶ a place is free ──────────────────────────▶ in flight ──▶ end
 *      │                                                      ▲
 *      └──▶ queue: high, normal, low ── a place frees ────────┘
 *             │ its deadline passes: 'expired'   its caller leaves: 'aborted'   somebody more important comes and it is full: 'shed'
 *             └──▶ no room: 'full'
 */
import type { Cancel } from '../../clock.ts'
import type { Ambient, Pass, Result } from './ambient.ts'
import { checkRange } from './ambient.ts'
import { Little } from './little.ts'

/** Who goes first: into a free place, and who stays when there is no room. */
export type Priority = 'low' | 'normal' | 'high'

/** A limit as a function of wall time, ms since 1970; see profile.ts for one from a table. */
export type Profile = (at: number) => number

/** A limit found by Little's law from what is observed, within these bounds. Until enough was seen it is the ceiling. */
export interface FoundLimit {
  /** Default 10. */
  floor?: number
  /** What must never be exceeded. Default 100. */
  ceiling?: number | Profile
}

export interface BulkheadOptions {
  /** For events. Default 'bulkhead'. */
  name?: string
  /** Calls in flight: a number, a profile, or found within bounds. Default `{ floor: 10, ceiling: 100 }`. */
  limit?: number | Profile | FoundLimit
  /** So many may wait, 0 to 100,000. Default 10: arrivals come in bursts, and without it one in a hundred would be turned away when all is well. */
  queue?: number
  /**
   * Asked when a place frees: whether, of equals, the one that came last is let in. While more come than fit, whoever waited longest has the least time left
   * to be served in, and the newest have all of it. Default: never. Source: Maurer, "Fail at Scale" (2015), adaptive LIFO.
   */
  newestFirst?: () => boolean
}

export type BulkheadRejection = 'full' | 'shed' | 'expired' | 'aborted'

/** Of each five places one is kept from callers of low priority. */
const LOW_SHARE = 0.8
/** A limit that may change is looked at anew after this long, ms. */
const LOOK_MS = 1000
/** When to come back while nothing is known of how long calls take, ms. */
const UNKNOWN_RETRY_MS = 1000

interface Waiting {
  settle: (entry: Pass | BulkheadRejection) => void
  priority: Priority
  cancel: Cancel | undefined
  signal: AbortSignal | undefined
  onAbort: (() => void) | undefined
  before: Waiting | undefined
  after: Waiting | undefined
}

/** Those who wait, in the order of arrival. Whoever leaves, from wherever, gives up his room at once. */
class Line {
  first: Waiting | undefined
  last: Waiting | undefined

  push(waiting: Waiting): void {
    waiting.before = this.last
    if (this.last) this.last.after = waiting
    else this.first = waiting
    this.last = waiting
  }

  /** Somebody who is in it. */
  delete(waiting: Waiting): void {
    const { before, after } = waiting
    if (before) before.after = after
    else this.first = after
    if (after) after.before = before
    else this.last = before
  }
}

export class Bulkhead {
  readonly #ambient: Ambient
  readonly #little: Little | undefined
  readonly #floor: number
  readonly #ceiling: number | Profile
  readonly #queue: number
  /** Whether the limit may change, so that callers are counted. */
  readonly #changes: boolean
  readonly #newestFirst: (() => boolean) | undefined
  readonly #waiting: Record<Priority, Line> = { high: new Line(), normal: new Line(), low: new Line() }
  readonly name: string
  #limit: number
  #lookedAt: number
  #inFlight = 0
  #queued = 0

  constructor(ambient: Ambient, { name = 'bulkhead', limit = {}, queue = 10, newestFirst }: BulkheadOptions = {}) {
    this.#ambient = ambient
    this.name = name
    const found = typeof limit === 'object' ? limit : undefined
    this.#ceiling = found ? (found.ceiling ?? 100) : (limit as number | Profile)
    this.#floor = found?.floor ?? 0
    if (typeof this.#ceiling === 'number') checkRange('limit', this.#ceiling, 1, 1e6)
    checkRange('floor', this.#floor, 0, 1e6)
    checkRange('queue', queue, 0, 100_000)
    this.#queue = queue
    this.#newestFirst = newestFirst
    this.#changes = typeof limit !== 'number'
    this.#lookedAt = ambient.clock.monotonic()
    this.#little = found && new Little(this.#lookedAt)
    this.#limit = this.#compute()
  }

  get limit(): number {
    return this.#limit
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get queued(): number {
    return this.#queued
  }

  /** About how long until places free: the median of a call, where it is known. */
  get retryAfterMs(): number {
    return this.#little?.p50Ms ? Math.ceil(this.#little.p50Ms) : UNKNOWN_RETRY_MS
  }

  /** A place now, or undefined. `now` spares a reading of the clock (monotonic ms). */
  tryEnter(priority: Priority = 'normal', now?: number): Pass | undefined {
    if (this.admit(priority, now)) return new Place(this)
    this.#say('full', priority)
    return undefined
  }

  /** `tryEnter` without the pass and the event, for the kernel: whoever gets true calls `leave`, exactly once; whoever gets false may `wait`. */
  admit(priority: Priority = 'normal', now?: number): boolean {
    if (this.#changes) this.#arrived(now)
    return this.#take(priority)
  }

  /**
   * A place, now or when one frees, but not after `deadlineAt` (monotonic ms); otherwise why there is none. The wait counts against the caller's deadline,
   * so `deadlineAt` is the latest point at which beginning still makes sense. A caller that leaves or expires gives its room in the queue back in the same turn.
   */
  enter(deadlineAt: number, priority: Priority = 'normal', signal?: AbortSignal, now = this.#ambient.clock.monotonic()): Promise<Pass | BulkheadRejection> {
    if (this.#changes) this.#arrived(now)
    return this.wait(deadlineAt, priority, signal, now)
  }

  /** The same for a caller whom `admit` has just refused: it has been counted. */
  wait(deadlineAt: number, priority: Priority, signal: AbortSignal | undefined, now: number): Promise<Pass | BulkheadRejection> {
    if (signal?.aborted) return Promise.resolve(this.#say('aborted', priority))
    if (this.#take(priority)) return Promise.resolve(new Place(this))
    if (deadlineAt <= now) return Promise.resolve(this.#say('expired', priority))
    if (this.#queued >= this.#queue && !this.#shedFor(priority)) return Promise.resolve(this.#say('full', priority))
    return new Promise((settle) => {
      const waiting: Waiting = { settle, priority, cancel: undefined, signal, onAbort: undefined, before: undefined, after: undefined }
      this.#waiting[priority].push(waiting)
      this.#queued++
      if (deadlineAt < Number.POSITIVE_INFINITY) waiting.cancel = this.#ambient.clock.after(deadlineAt - now, () => this.#turnAway(waiting, 'expired'))
      if (signal) {
        waiting.onAbort = () => this.#turnAway(waiting, 'aborted')
        signal.addEventListener('abort', waiting.onAbort, { once: true })
      }
    })
  }

  /** Counts a caller for the limit, and looks at the limit anew when it is time. */
  #arrived(now = this.#ambient.clock.monotonic()): void {
    if (this.#little?.arrived(now) === false || now - this.#lookedAt < LOOK_MS) return
    this.#lookedAt = now
    const limit = this.#compute()
    if (limit === this.#limit) return
    this.#limit = limit
    this.#ambient.on?.({ type: 'bulkhead.limit_changed', policy: this.name, limit, inFlight: this.#inFlight })
    this.#serve()
  }

  #compute(): number {
    const ceiling = typeof this.#ceiling === 'number' ? this.#ceiling : Math.max(1, Math.floor(this.#ceiling(this.#ambient.clock.now())))
    const found = this.#little ? (this.#little.limit ?? ceiling) : ceiling
    return Math.min(ceiling, Math.max(this.#floor, found, 1))
  }

  #take(priority: Priority): boolean {
    const limit = priority === 'low' ? Math.max(1, Math.floor(LOW_SHARE * this.#limit)) : this.#limit
    if (this.#inFlight >= limit) return false
    this.#inFlight++
    return true
  }

  /** Whether somebody who waits is less important, and has been turned away: of the least, the one that came first and has least time left. */
  #shedFor(priority: Priority): boolean {
    for (const lower of priority === 'high' ? (['low', 'normal'] as const) : priority === 'normal' ? (['low'] as const) : []) {
      const { first } = this.#waiting[lower]
      if (!first) continue
      this.#turnAway(first, 'shed')
      return true
    }
    return false
  }

  #turnAway(waiting: Waiting, why: BulkheadRejection): void {
    this.#leaveQueue(waiting)
    waiting.settle(this.#say(why, waiting.priority))
  }

  #leaveQueue(waiting: Waiting): void {
    this.#waiting[waiting.priority].delete(waiting)
    this.#queued--
    waiting.cancel?.()
    if (waiting.onAbort) waiting.signal?.removeEventListener('abort', waiting.onAbort)
  }

  /** Gives free places to those who wait. */
  #serve(): void {
    while (this.#queued > 0) {
      const { high, normal, low } = this.#waiting
      const line = high.first ? high : normal.first ? normal : low
      const next = this.#newestFirst?.() ? line.last : line.first
      if (!next || !this.#take(next.priority)) return
      this.#leaveQueue(next)
      next.settle(new Place(this))
    }
  }

  #say(why: BulkheadRejection, priority: Priority): BulkheadRejection {
    this.#ambient.on?.({ type: 'bulkhead.rejected', policy: this.name, why, priority, inFlight: this.#inFlight, limit: this.#limit, queued: this.#queued })
    return why
  }

  /** What a place calls when it ends; by hand only after `admit`. */
  leave(result: Result, elapsedMs: number): void {
    this.#little?.ended(result, elapsedMs)
    this.#inFlight--
    if (this.#queued > 0) this.#serve()
  }
}

class Place implements Pass {
  #bulkhead: Bulkhead | undefined

  constructor(bulkhead: Bulkhead) {
    this.#bulkhead = bulkhead
  }

  end(result: Result, elapsedMs: number): void {
    const bulkhead = this.#bulkhead
    this.#bulkhead = undefined
    bulkhead?.leave(result, elapsedMs)
  }
}
