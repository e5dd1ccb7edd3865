/**
 * Company for a commit: callers who come within a window go on together, in one turn, and share what follows.
 *
 *   after a silence ──> at once
 *   within `ms` of the last ones ──> when as many have come as are hoped for, or when the window is over
 *
 * How many to hope for is learned: one more as long as they come; when the window ends before, fewer (halfway to as many as came), for PATIENCE windows. So callers who each wait for
 * their answer before they come again (all are back within a moment, and nobody else is to come) are not slowed down, and those who come by their own clock are gathered.
 */
import type { Cancel, Clock } from '../../clock.ts'

/** Windows that end as hoped before one more is hoped for. */
const PATIENCE = 32

interface Window {
  promise: Promise<void>
  go(): void
  /** It has neither ended nor been told to. */
  waits: boolean
  cancel: Cancel
}

export class Gathering {
  readonly #clock: Clock
  readonly #ms: number
  readonly #onGo: () => void
  #hoped = 2
  #patience = 0
  #came = 0
  /** When the last ones went on, monotonic ms. */
  #wentAt = Number.NEGATIVE_INFINITY
  #window: Window | undefined

  /** `onGo` is called in the turn in which callers go on, before them. */
  constructor(clock: Clock, ms: number, onGo: () => void) {
    this.#clock = clock
    this.#ms = ms
    this.#onGo = onGo
  }

  /** Resolves within `ms`. */
  join(): Promise<void> {
    this.#came++
    const window = (this.#window ??= this.#open())
    if (window.waits && this.#came >= this.#hoped) {
      window.waits = false
      window.cancel()
      // Whoever comes in the same turn comes along.
      window.cancel = this.#clock.after(0, () => this.#end(true))
    }
    return window.promise
  }

  #open(): Window {
    const ms = this.#wentAt + this.#ms - this.#clock.monotonic()
    let go = () => {}
    const promise = new Promise<void>((resolve) => (go = resolve))
    return { promise, go, waits: ms > 0, cancel: this.#clock.after(Math.max(0, ms), () => this.#end(ms > 0 ? false : undefined)) }
  }

  /** `asHoped` is undefined when nobody waited. */
  #end(asHoped: boolean | undefined): void {
    const { go } = this.#window!
    if (asHoped === false) {
      this.#hoped = Math.max(this.#came, Math.floor((this.#hoped + this.#came) / 2))
      this.#patience = PATIENCE
    } else if (asHoped) this.#hoped = this.#patience-- > 0 ? Math.max(this.#hoped, this.#came) : this.#came + 1
    this.#came = 0
    this.#window = undefined
    this.#wentAt = this.#clock.monotonic()
    this.#onGo()
    go()
  }
}
