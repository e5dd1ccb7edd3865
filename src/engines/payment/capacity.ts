/**
 * How many calls a service can take at once, found from how it answers: enough to keep it busy, and not so many that they queue there.
 *
 *   all is well                                                                        twice what is usually in flight, by Little's law
 *   callers are turned away, and the service answers as promptly as it lately did      more; fast, until a queue has first been seen
 *   its promptest answers have become later: calls queue there before they are begun   fewer
 *
 * A queue inside a service cannot be seen, but its promptest answers wait in it like all others: their distance from the least that it lately was is how
 * long calls queue. That holds in any weather, also while answers fail: what fails at once, fails at once only when nothing is before it. A service
 * that has only become slower is told from one that is full after `MEMORY_MS`: when fewer calls do not make it prompter, it is no queue.
 * Sources: Nichols and Jacobson, "Controlling Queue Delay" (2012), a standing queue is known by the minimum; Netflix concurrency-limits, Gradient2.
 */
import type { Clock } from '../../clock.ts'
import type { Profile } from '../policies/bulkhead.ts'

export interface CapacityOptions {
  floor: number
  /** By the time of day. */
  ceiling: Profile
  /** How long calls may queue in the service before fewer are let in: a small part of what a call may take, ms. */
  toleratedMs: number
}

/** How one call ended. */
export interface Ended {
  failed: boolean
  /** Given up without an answer. */
  timedOut: boolean
  elapsedMs: number
  /** Calls in flight when it began, itself included. */
  beside: number
}

/** Of what is usually in flight. Once is needed on average; three times protects nothing. */
const FACTOR = 2
/** A stretch is judged after this long when it has seen enough, or after the longest. */
const STRETCH_MS = 1000
const LONGEST_STRETCH_MS = 10_000
const ENOUGH = 10
/** Of the answers, the promptest tenth; below so many answers it says nothing. */
const PROMPTEST = 0.1
const ENOUGH_ANSWERS = 5
/** How long its promptest answers are remembered. */
const MEMORY_MS = 15_000
/** A stretch with a larger share of failures teaches nothing of what is usual. */
const UNHEALTHY_SHARE = 0.1
/** Of what was thought usual, this part is kept after a second. */
const KEPT_A_SECOND = 0.8
/** What is thought the usual duration rises by this much in a second at most, once it is known. */
const RISE_A_SECOND = 1.002
/** Seconds until it is known: at first only the prompt calls have ended. */
const LEARNT_S = 10
/**
 * How the limit moves in one stretch: by this part up, and until a queue has first been seen by as much again for each stretch of the climb, never by more
 * than the second; to this part down at most; and back to the usual.
 */
const MORE = 0.15
const MORE_AT_MOST = 0.3
const FEWER_AT_MOST = 0.3
const CALMING = 0.97
/** Of what is tolerated; from here on there is a queue. */
const QUEUE_SEEN = 0.25

export class Capacity {
  readonly #clock: Clock
  readonly #options: CapacityOptions
  #limit: number | undefined
  /** Stretches in a row in which somebody was turned away and no queue was seen, since there were places for all; undefined once one was. */
  #climbed: number | undefined = 0
  // The present stretch.
  #begunAt: number
  #arrived = 0
  #turnedAway = 0
  #ended = 0
  #spentMs = 0
  /** Of calls that began in it: a hung call of an hour ago says nothing of now. */
  #fresh = 0
  #freshFailed = 0
  /** Of calls that began under the present limit. */
  #answers: Ended[] = []
  #timeouts = 0
  /** When the present limit began, and the first call under it. */
  #changedAt: number
  #firstAt: number | undefined
  // What is usual.
  #healthyS = 0
  #rate = 0
  #meanMs = 0
  /** The promptest tenth of each stretch of the last MEMORY_MS. */
  #prompt: { at: number; ms: number }[] = []

  constructor(clock: Clock, options: CapacityOptions) {
    this.#clock = clock
    this.#options = options
    this.#begunAt = this.#changedAt = clock.monotonic()
  }

  /** Somebody wants to call. */
  arrived(): void {
    this.#arrived++
  }

  /** There was no place. */
  turnedAway(): void {
    this.#turnedAway++
  }

  /** There was one. */
  entered(): void {
    this.#firstAt ??= this.#clock.monotonic()
  }

  ended(call: Ended): void {
    this.#ended++
    this.#spentMs += call.elapsedMs
    const begunAt = this.#clock.monotonic() - call.elapsedMs
    if (begunAt >= this.#begunAt) {
      this.#fresh++
      if (call.failed) this.#freshFailed++
    }
    if (begunAt < this.#changedAt) return
    if (call.timedOut) this.#timeouts++
    else this.#answers.push(call)
  }

  /** For a bulkhead, which asks about once a second. */
  readonly limitAt: Profile = (at) => {
    const now = this.#clock.monotonic()
    const lastedMs = now - this.#begunAt
    const enough = this.#answers.length + this.#timeouts >= ENOUGH || this.#silentMs(now) >= STRETCH_MS || lastedMs >= LONGEST_STRETCH_MS
    if (lastedMs >= STRETCH_MS && enough) this.#judge(now, lastedMs / 1000)
    return Math.min(this.#options.ceiling(at), Math.max(this.#options.floor, Math.ceil(this.#limit ?? Number.POSITIVE_INFINITY)))
  }

  #judge(now: number, seconds: number): void {
    const healthy = this.#fresh > 0 && this.#freshFailed <= UNHEALTHY_SHARE * this.#fresh
    if (healthy) this.#learn(seconds)
    const inFlight = this.#spentMs / 1000 / seconds
    const usual = this.#healthyS > 0 ? (FACTOR * this.#rate * this.#meanMs) / 1000 : inFlight
    const limit = Math.max(this.#options.floor, this.#next(this.#limit ?? usual, healthy ? usual : 0, usual, now, seconds))
    if (limit !== this.#limit) {
      this.#changedAt = now
      this.#firstAt = undefined
    }
    this.#limit = limit
    this.#begunAt = now
    this.#arrived = this.#turnedAway = this.#ended = this.#spentMs = this.#fresh = this.#freshFailed = this.#timeouts = 0
    this.#answers = []
  }

  #next(limit: number, least: number, usual: number, now: number, seconds: number): number {
    const { toleratedMs } = this.#options
    const { queuedMs, beside } = this.#queue(now)
    if (this.#turnedAway === 0) this.#climbed = 0
    else if (queuedMs <= QUEUE_SEEN * toleratedMs) this.#climbed = this.#climbed === undefined ? undefined : this.#climbed + 1
    // Silence may be the slow ones among a few: fewer are let in, but a queue has not been seen.
    else if (beside !== undefined || queuedMs === Number.POSITIVE_INFINITY) this.#climbed = undefined
    if (queuedMs > toleratedMs) {
      // By Little's law, so many of those that were in flight beside it were in the queue.
      const fits = (beside ?? limit) - ((queuedMs - toleratedMs / 2) / 1000) * (this.#ended / seconds)
      return Math.max(FEWER_AT_MOST * limit, Math.min(limit, fits))
    }
    const kept = Math.max(limit, least)
    if (this.#turnedAway > 0) return kept * (1 + Math.min(MORE_AT_MOST, MORE * (this.#climbed ?? 1)) * Math.max(0, 1 - (2 * queuedMs) / toleratedMs))
    return kept > usual ? Math.max(usual, kept * CALMING ** seconds) : kept
  }

  /** How long calls queue there, and how many were in flight beside the call that showed it. */
  #queue(now: number): { queuedMs: number; beside: number | undefined } {
    this.#prompt = this.#prompt.filter(({ at }) => at > now - MEMORY_MS)
    if (this.#answers.length < ENOUGH_ANSWERS) return { queuedMs: this.#timeouts > this.#answers.length ? Number.POSITIVE_INFINITY : this.#silentMs(now), beside: undefined }
    const { elapsedMs: ms, beside } = this.#answers.toSorted((a, b) => a.elapsedMs - b.elapsedMs)[Math.floor(PROMPTEST * this.#answers.length)]!
    this.#prompt.push({ at: now, ms })
    return { queuedMs: ms - Math.min(...this.#prompt.map((stretch) => stretch.ms)), beside }
  }

  /** For how long nothing has been answered of what was let in under the present limit. */
  #silentMs(now: number): number {
    return this.#answers.length > 0 || this.#firstAt === undefined ? 0 : now - this.#firstAt
  }

  #learn(seconds: number): void {
    const kept = this.#healthyS === 0 ? 0 : KEPT_A_SECOND ** seconds
    const highestMs = this.#healthyS < LEARNT_S ? Number.POSITIVE_INFINITY : this.#meanMs * RISE_A_SECOND ** seconds
    this.#rate = kept * this.#rate + (1 - kept) * (this.#arrived / seconds)
    this.#meanMs = Math.min(highestMs, kept * this.#meanMs + (1 - kept) * (this.#spentMs / this.#ended))
    this.#healthyS += seconds
  }
}
