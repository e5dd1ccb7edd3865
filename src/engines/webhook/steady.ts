/** A wall clock that nobody can set: what it said when this life began, and the monotonic time since. Dues of one life do not move when the machine's clock does. */
import type { Clock } from '../../clock.ts'

export class Steady {
  readonly #clock: Clock
  readonly #base: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#base = clock.now() - clock.monotonic()
  }

  /** ms since 1970. */
  now(): number {
    return Math.floor(this.#base + this.#clock.monotonic())
  }
}
