/**
 * How many repeats a service may be asked for: a share of the calls that are in flight. Retries help with brief and independent failures;
 * when everything fails they multiply the load, and this is what stops them. One budget is shared by all callers of a service.
 * Sources: Envoy, retry budgets; failsafe-go, `budget`. A call that waits to be repeated holds its place as well: it will be a call again.
 */
import type { Ambient } from './ambient.ts'
import { checkRange } from './ambient.ts'

export interface RetryBudgetOptions {
  /** For events. Default 'retry-budget'. */
  name?: string
  /** Of the calls in flight, how many may be repeats, [0, 1]. Default 0.1: load grows by a ninth at most. */
  share?: number
  /** So many may be at any rate, so that a quiet service can repeat at all. Default 3. */
  minimum?: number
}

/** One call in flight, with all its attempts. */
export interface BudgetedCall {
  /** Whether it may be repeated. The place it takes is its own until `end`; a further repeat needs no other. */
  retry(): boolean
  /** Ending again does nothing. */
  end(): void
}

export class RetryBudget {
  readonly #ambient: Ambient
  readonly #share: number
  readonly #minimum: number
  readonly name: string
  #empty = false
  /** Calls in flight, repeats included. */
  inFlight = 0
  /** Calls in flight that are repeated. */
  retrying = 0
  /** Repeats that were refused so far. */
  denied = 0

  constructor(ambient: Ambient, { name = 'retry-budget', share = 0.1, minimum = 3 }: RetryBudgetOptions = {}) {
    checkRange('share', share, 0, 1)
    checkRange('minimum', minimum, 0, 1e6)
    this.#ambient = ambient
    this.name = name
    this.#share = share
    this.#minimum = minimum
  }

  enter(): BudgetedCall {
    this.begin()
    return new Budgeted(this)
  }

  /** How many more calls may become repeats now. */
  get left(): number {
    return Math.max(0, Math.ceil(Math.max(this.#minimum, this.#share * this.inFlight) - this.retrying))
  }

  /** `enter` without an object, for the kernel: whoever begins ends, exactly once, and says whether it has taken a repeat. */
  begin(): void {
    this.inFlight++
  }

  end(repeats: boolean): void {
    this.inFlight--
    if (repeats) this.retrying--
  }

  /** What a call asks before its first repeat. Says `retry_budget.emptied` at the first refusal of a row of them. */
  take(): boolean {
    if (this.retrying < Math.max(this.#minimum, this.#share * this.inFlight)) {
      this.#empty = false
      this.retrying++
      return true
    }
    this.denied++
    if (!this.#empty) {
      this.#empty = true
      this.#ambient.on?.({ type: 'retry_budget.emptied', policy: this.name, inFlight: this.inFlight, retrying: this.retrying })
    }
    return false
  }
}

class Budgeted implements BudgetedCall {
  #budget: RetryBudget | undefined
  #repeats = false

  constructor(budget: RetryBudget) {
    this.#budget = budget
  }

  retry(): boolean {
    if (!this.#budget) return false
    this.#repeats ||= this.#budget.take()
    return this.#repeats
  }

  end(): void {
    const budget = this.#budget
    this.#budget = undefined
    budget?.end(this.#repeats)
  }
}
