/**
 * Notices that a service becomes slow before anybody has to wait for it too long: the usual duration of its calls beside the recent one, both as the
 * geometric mean of an exponential window, so that a few long answers do not count for many.
 */
export interface Warning {
  /** ms, rounded. */
  recentMs: number
  usualMs: number
  /** Which share of what a call may take it takes, 0..1. */
  budgetShare: number
}

/** Weight of a call in the recent mean (about twenty calls), and in the usual one (some hundreds). */
const RECENT = 0.1
const USUAL = 0.004
/** Calls before it judges. */
const LEARNT = 50
/** It warns from this many times the usual, and again only after it fell below the other. With log-normal latencies of p99 = 7 p50, chance alone is five deviations away. */
const WARN = 2.5
const CALM = 1.4
/** Or from this share of the budget, and again only after it fell below the other. */
const BURNT = 0.5
const COOLED = 0.4

export class SlowWatch {
  readonly #budgetMs: number
  readonly #warn: (warning: Warning) => void
  #calls = 0
  #recent = 0
  #usual = 0
  #warned = false

  constructor(budgetMs: number, warn: (warning: Warning) => void) {
    this.#budgetMs = budgetMs
    this.#warn = warn
  }

  /** One call has ended, or was given up, after `ms`. */
  record(ms: number): void {
    const log = Math.log(Math.max(1, ms))
    this.#calls++
    this.#recent += Math.max(RECENT, 1 / this.#calls) * (log - this.#recent)
    // What is slow now does not become usual while it is warned of.
    if (!this.#warned) this.#usual += Math.max(USUAL, 1 / this.#calls) * (log - this.#usual)
    if (this.#calls < LEARNT) return
    const [recentMs, usualMs] = [Math.exp(this.#recent), Math.exp(this.#usual)]
    const slow = recentMs >= WARN * usualMs || recentMs >= BURNT * this.#budgetMs
    if (slow && !this.#warned) this.#warn({ recentMs: Math.round(recentMs), usualMs: Math.round(usualMs), budgetShare: Math.round((100 * recentMs) / this.#budgetMs) / 100 })
    this.#warned = this.#warned ? recentMs >= CALM * usualMs || recentMs >= COOLED * this.#budgetMs : slow
  }
}
