/**
 * A timeout found from latencies: the one that so few healthy calls would exceed. For reads. For a charge it is advice and no more: each timeout that was
 * wrong there makes an unknown.
 *
 * What can go wrong with it, and what is done: errors that come fast would pull it down (only calls that went well teach); calls that it cut off would be
 * missing above (they count as longer than their timeout); an overload would pull it up and let more in (it moves 5 % at a time, is frozen while the breaker is
 * not closed, and never leaves [floorMs, ceilingMs]); at first nothing is known (then it is the ceiling).
 * Source of the rule: Brooker, "Timeouts, retries and backoff with jitter" (Amazon Builders' Library): an accepted rate of false timeouts.
 */
import type { Ambient } from './ambient.ts'
import { checkRange } from './ambient.ts'
import { Histogram } from './histogram.ts'

export interface AdaptiveTimeoutOptions {
  /** For events. Default 'timeout'. */
  name?: string
  /** Never less, ms. */
  floorMs: number
  /** Never more, ms; and the timeout until enough is known. */
  ceilingMs: number
  /** The share of healthy calls that may be cut off, (0, 0.5]. Default 0.001. */
  falseRate?: number
  /** While it answers true nothing is learned: `() => breaker.state !== 'closed'`. Default: never. */
  frozen?: () => boolean
}

/** The timeout is looked at anew after so many samples. */
const LOOK_EVERY = 100
/** It moves by at most this in one look. */
const STEP = 1.05
/** Beyond the bucket of the percentile, which is right to ten per cent. */
const HEADROOM = 1.1
/** Of samples that lie in the excluded share, this many must be expected before the percentile is believed. */
const EXPECTED_ABOVE = 1

export class AdaptiveTimeout {
  readonly #ambient: Ambient
  readonly #histogram: Histogram
  readonly #floorMs: number
  readonly #ceilingMs: number
  readonly #falseRate: number
  readonly #frozen: (() => boolean) | undefined
  readonly name: string
  #ms: number
  #sinceLook = 0

  constructor(ambient: Ambient, { name = 'timeout', floorMs, ceilingMs, falseRate = 0.001, frozen }: AdaptiveTimeoutOptions) {
    checkRange('floorMs', floorMs, 1, 86_400_000)
    checkRange('ceilingMs', ceilingMs, floorMs, 86_400_000)
    checkRange('falseRate', falseRate, 1e-5, 0.5)
    this.#ambient = ambient
    this.name = name
    this.#floorMs = floorMs
    this.#ceilingMs = ceilingMs
    this.#falseRate = falseRate
    this.#frozen = frozen
    this.#histogram = new Histogram(Math.ceil(20 / falseRate))
    this.#ms = ceilingMs
  }

  /** The timeout for a call that begins now, ms. */
  get ms(): number {
    return this.#ms
  }

  /** A call that went well took so long. */
  succeeded(elapsedMs: number): void {
    if (this.#frozen?.()) return
    this.#histogram.add(elapsedMs)
    this.#look()
  }

  /** A call was cut off after so long. */
  timedOut(afterMs: number): void {
    if (this.#frozen?.()) return
    this.#histogram.addCensored(afterMs)
    this.#look()
  }

  #look(): void {
    if (++this.#sinceLook < LOOK_EVERY) return
    this.#sinceLook = 0
    if (this.#histogram.count * this.#falseRate < EXPECTED_ABOVE) return
    const wantedMs = HEADROOM * this.#histogram.quantile(1 - this.#falseRate)
    const ms = Math.min(this.#ceilingMs, Math.max(this.#floorMs, Math.min(this.#ms * STEP, Math.max(this.#ms / STEP, wantedMs))))
    if (ms === this.#ms) return
    this.#ms = ms
    this.#ambient.on?.({ type: 'timeout.changed', policy: this.name, ms })
  }
}
