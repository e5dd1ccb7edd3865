import type { Clock } from '../../clock.ts'

/** One point in monotonic time for a whole operation; every hop spends from the same budget. */
export class Deadline {
  readonly #clock: Clock
  readonly #start: number
  readonly totalMs: number

  constructor(clock: Clock, totalMs: number) {
    this.#clock = clock
    this.#start = clock.monotonic()
    this.totalMs = totalMs
  }

  /** What is left, in ms; never below 0. */
  get leftMs(): number {
    return Math.max(0, this.totalMs - this.spentMs)
  }

  get spentMs(): number {
    return this.#clock.monotonic() - this.#start
  }
}

/** The header that tells the next hop how long its answer is waited for: remaining ms, so that no clocks need to agree. */
export const DEADLINE_HEADER = 'x-request-timeout-ms'
