/**
 * What is served while a service is not: yesterday's rates, an order that is charged later, a word that says so. Each alternative is a mode with a name, and
 * the answer carries the mode it was made in, so that nobody is told a degraded answer for a normal one.
 *
 * What may have happened is the exception: an alternative that does the same thing elsewhere (a second bank) would do it twice. Only alternatives that say
 * `inDoubt` are used then.
 */
import type { Ambient } from './ambient.ts'
import { Refusal } from './refusal.ts'
import type { Judged, Verdict } from './verdict.ts'
import { judgeError } from './verdict.ts'

export interface FallbackOptions {
  /** For events. Default 'fallback'. */
  name?: string
  /** What something thrown means; a declined call is answered with its decline. Default: by its code, unknown when in doubt. */
  judgeError?: (error: unknown) => Verdict | Judged
}

export interface Alternative<T> {
  /** What is served then, as a word: 'stale', 'queued'. */
  mode: string
  /** `why` is what the call failed with. What it throws leads to the next alternative. */
  serve: (why: unknown) => T | PromiseLike<T>
  /** Whether it may be served though the call may have happened. Default false. */
  inDoubt?: boolean
}

export interface Served<T> {
  value: T
  /** 'normal', or the mode of the alternative. */
  mode: string
}

export class Fallback {
  readonly #ambient: Ambient
  readonly #judgeError: (error: unknown) => Verdict | Judged
  readonly name: string
  #mode = 'normal'

  constructor(ambient: Ambient, { name = 'fallback', judgeError: judge = judgeError }: FallbackOptions = {}) {
    this.#ambient = ambient
    this.#judgeError = judge
    this.name = name
  }

  /** What the last call was served in. */
  get mode(): string {
    return this.#mode
  }

  /** Throws what the work threw when it is a decline, or when no alternative may be served or can. */
  async run<T>(work: () => T | PromiseLike<T>, alternatives: readonly Alternative<T>[]): Promise<Served<T>> {
    let why: unknown
    try {
      const value = await work()
      this.#become('normal')
      return { value, mode: 'normal' }
    } catch (error) {
      why = error
    }
    const verdict = this.#verdict(why)
    if (verdict === 'declined') throw why
    for (const { mode, serve, inDoubt } of alternatives) {
      if (verdict === 'unknown' && inDoubt !== true) continue
      try {
        const value = await serve(why)
        this.#become(mode, why)
        return { value, mode }
      } catch (error) {
        this.#ambient.on?.({ type: 'mode.failed', policy: this.name, mode, error: String(error) })
      }
    }
    throw why
  }

  #verdict(error: unknown): Verdict {
    if (error instanceof Refusal) return error.sent ? 'unknown' : 'failed'
    const judged = this.#judgeError(error)
    return typeof judged === 'string' ? judged : judged.verdict
  }

  #become(mode: string, why?: unknown): void {
    if (mode === this.#mode) return
    this.#mode = mode
    this.#ambient.on?.(mode === 'normal' ? { type: 'mode.restored', policy: this.name, mode } : { type: 'mode.degraded', policy: this.name, mode, why: String(why) })
  }
}
