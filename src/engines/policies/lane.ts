/**
 * Timeouts of many calls, kept by one timer. Nearly all of them are called off, and those of one policy mostly come due in the order in which they were set:
 * so they stand in a line, and the timer is for its head.
 *
 *   head ▶ due 12:00:05.000 ▶ due 12:00:05.003 ▶ due 12:00:05.003 ◀ tail        the timer looks every TICK_MS, or when the head is due
 *
 * Setting and calling off is a few writes; a timer of its own for each call costs half a microsecond. When the line is empty the timer looks once more and
 * rests, so a process that has nothing else to do ends TICK_MS later at most.
 */
import type { Cancel, Clock } from '../../clock.ts'

const TICK_MS = 250

/** A place in the line. What waits extends it, so that waiting costs one object. */
export abstract class Timeout {
  dueAt = 0
  previous: Timeout | undefined = undefined
  next: Timeout | undefined = undefined
  /** One that would come before the tail, or before the timer looks, has a timer of its own. */
  cancel: Cancel | undefined = undefined
  over = true

  abstract expire(): void
}

export class Lane {
  readonly #clock: Clock
  #head: Timeout | undefined
  #tail: Timeout | undefined
  /** When the timer looks next; undefined while it rests. */
  #looksAt: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Calls `timeout.expire` at `dueAt` (monotonic ms), `now` being the present. What is ready in the turn in which that time comes is done first: an answer that is in
   * the socket when a stalled event loop comes to its timers is read, and wins.
   */
  set(timeout: Timeout, dueAt: number, now: number): void {
    const tail = this.#tail
    timeout.dueAt = dueAt
    timeout.over = false
    if ((tail !== undefined && dueAt < tail.dueAt) || (this.#looksAt !== undefined && dueAt < this.#looksAt)) {
      timeout.cancel = this.#clock.after(dueAt - now, () => this.#atTheEndOfTheTurn(timeout))
      return
    }
    timeout.previous = tail
    if (tail === undefined) this.#head = timeout
    else tail.next = timeout
    this.#tail = timeout
    if (this.#looksAt === undefined) this.#arm(dueAt, now)
  }

  /** Of one that is over, or was never set, nothing. */
  callOff(timeout: Timeout): void {
    if (timeout.over) return
    timeout.over = true
    if (timeout.cancel === undefined) this.#unlink(timeout)
    else timeout.cancel()
  }

  #unlink({ previous, next }: Timeout): void {
    if (previous === undefined) this.#head = next
    else previous.next = next
    if (next === undefined) this.#tail = previous
    else next.previous = previous
  }

  #arm(dueAt: number, now: number): void {
    this.#looksAt = Math.min(now + TICK_MS, dueAt)
    this.#clock.after(this.#looksAt - now, () => this.#look())
  }

  #look(): void {
    this.#looksAt = undefined
    const now = this.#clock.monotonic()
    for (let timeout = this.#head; timeout !== undefined && timeout.dueAt <= now; timeout = timeout.next) this.#atTheEndOfTheTurn(timeout)
    let next = this.#head
    while (next !== undefined && next.dueAt <= now) next = next.next
    if (next !== undefined) this.#arm(next.dueAt, now)
  }

  #atTheEndOfTheTurn(timeout: Timeout): void {
    this.#clock.after(0, () => {
      if (timeout.over) return
      this.callOff(timeout)
      timeout.expire()
    })
  }
}
