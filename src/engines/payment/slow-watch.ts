/**
 * Notices that a service becomes slower before anybody has to wait for it too long: the usual duration of its calls beside the recent one, both as
 * geometric means, so that a few long answers do not count for many. Usual is what the last minutes were, however many calls that is: a service that
 * climbs within a minute must not take the measure along.
 */
export interface Warning {
  /** ms, rounded. */
  recentMs: number
  usualMs: number
  /** Which share of what a call may take it takes, 0..1. */
  budgetShare: number
}

/** Weight of a call in the recent mean: about twenty calls. */
const RECENT = 0.05
/** After this long without a warning, two thirds of what is usual is new. */
const USUAL_MS = 600_000
/** Calls before it judges; they are the first usual. */
const LEARNT = 50
/** It warns from this many times the usual, and again only after it fell below the other. With log-normal latencies of p99 = 7 p50, chance alone is five deviations away. */
const WARN = 2.2
const CALM = 1.4
/** Or from this share of the budget. */
const BURNT = 0.5

export class SlowWatch {
  readonly #budgetMs: number
  readonly #warn: (warning: Warning) => void
  #calls = 0
  #recent = 0
  #usual = 0
  #lastAt = 0
  #warned = false

  constructor(budgetMs: number, warn: (warning: Warning) => void) {
    this.#budgetMs = budgetMs
    this.#warn = warn
  }

  /** One call has ended, or was given up, after `ms`, at `now` (monotonic ms). */
  record(ms: number, now: number): void {
    const log = Math.log(Math.max(1, ms))
    this.#calls++
    this.#recent += Math.max(RECENT, 1 / this.#calls) * (log - this.#recent)
    // What is slow now does not become usual while it is warned of.
    const weight = this.#calls <= LEARNT ? 1 / this.#calls : 1 - Math.exp((this.#lastAt - now) / USUAL_MS)
    if (!this.#warned) this.#usual += weight * (log - this.#usual)
    this.#lastAt = now
    if (this.#calls < LEARNT) return
    const [recentMs, usualMs] = [Math.exp(this.#recent), Math.exp(this.#usual)]
    const slow = recentMs >= WARN * usualMs || recentMs >= BURNT * this.#budgetMs
    if (slow && !this.#warned) this.#warn({ recentMs: Math.round(recentMs), usualMs: Math.round(usualMs), budgetShare: Math.round((100 * recentMs) / this.#budgetMs) / 100 })
    this.#warned = this.#warned ? recentMs >= CALM * usualMs : slow
  }
}
