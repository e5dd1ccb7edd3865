/**
 * How many calls are in flight when all is well, by Little's law: rate x time in the system. One and a half times that is a bulkhead's limit;
 * twice is still right, three times protects nothing, because then the service is as full in an incident as without a bulkhead.
 *
 * What is learned is what a healthy service shows: latencies of calls that went well, and arrivals, in stretches in which few calls failed.
 * In an incident nothing is learned. An incident that only makes calls slower cannot be told from a service that has become slower; there the latency
 * that is believed rises by 12 % a minute at most, and the ceiling holds.
 */
import type { Result } from './ambient.ts'
import { Histogram } from './histogram.ts'

const FACTOR = 1.5
/** A stretch ends after this long, when it has seen enough arrivals, or after the longest. */
const STRETCH_MS = 1000
const LONGEST_STRETCH_MS = 10_000
const ENOUGH_ARRIVALS = 20
/** Below this many the median says nothing. */
const ENOUGH_SAMPLES = 10
/** A stretch with a larger share of failures teaches nothing. */
const UNHEALTHY_SHARE = 0.1
/** Of the difference to the new rate, this part is kept after a second. */
const KEPT_A_SECOND = 0.8
/** The most that the latency may rise and fall in a second. */
const RISE_A_SECOND = 1.002
const FALL_A_SECOND = 0.98
/** About so many of the last healthy calls make the median: that of one stretch is noise, and slow rises would make a minimum of it. */
const REMEMBERED = 2000

export class Little {
  /** Of this stretch, and of the healthy ones before it. */
  readonly #latencies = new Histogram(Number.POSITIVE_INFINITY)
  readonly #healthy = new Histogram(REMEMBERED)
  #begunAt: number
  #arrivals = 0
  #ok = 0
  #failures = 0
  /** Arrivals a second; 0 until the first healthy stretch has ended. */
  rate = 0
  /** Median of a healthy call, ms; 0 until then. */
  p50Ms = 0

  constructor(now: number) {
    this.#begunAt = now
  }

  /** Counts one caller, let in or not. Answers whether a stretch has ended, so that the limit may have changed. */
  arrived(now: number): boolean {
    const lastedMs = now - this.#begunAt
    const ends = lastedMs >= STRETCH_MS && (this.#arrivals >= ENOUGH_ARRIVALS || lastedMs >= LONGEST_STRETCH_MS)
    if (ends) {
      this.#learn(lastedMs / 1000)
      this.#begunAt = now
      this.#arrivals = this.#ok = this.#failures = 0
      this.#latencies.clear()
    }
    this.#arrivals++
    return ends
  }

  ended(result: Result, elapsedMs: number): void {
    if (result === 'ok') {
      this.#ok++
      this.#latencies.add(elapsedMs)
    } else if (result === 'failure') {
      this.#failures++
    }
  }

  #learn(seconds: number): void {
    if (this.#failures > UNHEALTHY_SHARE * (this.#ok + this.#failures) || this.#ok < ENOUGH_SAMPLES) return
    const rate = this.#arrivals / seconds
    this.#healthy.merge(this.#latencies)
    const p50Ms = this.#healthy.quantile(0.5)
    if (this.p50Ms === 0) {
      this.rate = rate
      this.p50Ms = p50Ms
      return
    }
    this.rate += (rate - this.rate) * (1 - KEPT_A_SECOND ** seconds)
    this.p50Ms = Math.min(Math.max(p50Ms, this.p50Ms * FALL_A_SECOND ** seconds), this.p50Ms * RISE_A_SECOND ** seconds)
  }

  /** Undefined until the first healthy stretch has ended. */
  get limit(): number | undefined {
    return this.p50Ms === 0 ? undefined : Math.ceil((FACTOR * this.rate * this.p50Ms) / 1000)
  }
}
