import { deadlineHeaders } from './deadline.ts'
import type { Refusal } from './refusal.ts'

/** One attempt, as the work sees it. */
export interface Attempt {
  /** From 1. */
  readonly number: number
  /** What this attempt may take, ms; Infinity when nothing bounds it. */
  readonly timeoutMs: number
  /** Aborts when the attempt is cut off or the caller leaves; its reason is a Refusal. Made when first asked for. */
  readonly signal: AbortSignal
  /** For the next hop: `x-request-timeout-ms` and `x-request-attempt`. */
  readonly headers: Record<string, string>
}

/** An attempt as its policy holds it: a controller is made only for work that asks for the signal, and aborted only when the attempt is cut off. */
export class RunningAttempt implements Attempt {
  readonly number: number
  readonly timeoutMs: number
  /** With what it was cut off. */
  cut: Refusal | undefined
  #controller: AbortController | undefined

  constructor(number: number, timeoutMs: number) {
    this.number = number
    this.timeoutMs = timeoutMs
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.cut !== undefined) this.#controller.abort(this.cut)
    }
    return this.#controller.signal
  }

  get headers(): Record<string, string> {
    return deadlineHeaders(this.timeoutMs, this.number)
  }

  cutOff(why: Refusal): Refusal {
    this.cut = why
    this.#controller?.abort(why)
    return why
  }
}
