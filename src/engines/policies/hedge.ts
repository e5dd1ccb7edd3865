/**
 * A second copy of a read that takes unusually long; the first answer wins and the other copy is told to stop. It cuts the tail off where slowness is of one
 * replica or one packet; where everything is slow it doubles the load, so copies have a budget. Never for what may not happen twice.
 * Sources: Dean and Barroso, "The Tail at Scale" (2013); Finagle, BackupRequestFilter (percentile, most extra load).
 */
import { ResilError } from '../../errors.ts'
import type { Ambient } from './ambient.ts'
import { checkRange } from './ambient.ts'
import type { Attempt } from './attempt.ts'
import { RunningAttempt } from './attempt.ts'
import { Histogram } from './histogram.ts'
import { refusal } from './refusal.ts'

export interface HedgeOptions {
  /** For events. Default 'hedge'. */
  name?: string
  /** The second copy is sent after this, ms. Default: the 95th percentile of the calls so far, and none before 100 of them. */
  afterMs?: number
  /** Copies as a share of calls, [0, 1]. Default 0.05. */
  share?: number
}

/** Copies that a quiet time can save up. */
const MOST_SAVED = 10
const LEARN_FROM = 100
const PERCENTILE = 0.95

export class Hedge {
  readonly #ambient: Ambient
  readonly #afterMs: number | undefined
  readonly #share: number
  readonly #latencies = new Histogram(10_000)
  readonly name: string
  #saved = 0

  constructor(ambient: Ambient, { name = 'hedge', afterMs, share = 0.05 }: HedgeOptions = {}) {
    if (afterMs !== undefined) checkRange('afterMs', afterMs, 0, 86_400_000)
    checkRange('share', share, 0, 1)
    this.#ambient = ambient
    this.#afterMs = afterMs
    this.#share = share
    this.name = name
  }

  /**
   * The first answer of one or two copies. A copy that fails leaves it to the other; when both fail the first one's error is thrown, and what fails before a
   * second copy was sent is thrown at once: repeating is the retry's business. `idempotent: true` says that the caller has thought of it;
   * without it this throws HEDGE_NOT_IDEMPOTENT.
   */
  run<T>(work: (attempt: Attempt) => T | PromiseLike<T>, { idempotent, signal }: { idempotent: true; signal?: AbortSignal }): Promise<T> {
    if (idempotent !== true) throw new ResilError('HEDGE_NOT_IDEMPOTENT', 'a call that may not happen twice would be sent twice', 'hedge reads only')
    if (signal?.aborted) return Promise.reject(refusal('CALLER_LEFT'))
    this.#saved = Math.min(MOST_SAVED, this.#saved + this.#share)
    const { clock } = this.#ambient
    return new Promise((resolve, reject) => {
      const copies: RunningAttempt[] = []
      let failed = 0
      let firstError: unknown
      const rest = (but?: RunningAttempt) => {
        cancel()
        signal?.removeEventListener('abort', leave)
        for (const copy of copies) if (copy !== but) copy.cutOff(refusal(but ? 'OTHER_WAS_FASTER' : 'CALLER_LEFT_DURING'))
      }
      const leave = () => {
        rest()
        reject(refusal('CALLER_LEFT_DURING'))
      }
      const send = () => {
        const copy = new RunningAttempt(copies.length + 1, Number.POSITIVE_INFINITY)
        const sentAt = clock.monotonic()
        copies.push(copy)
        start(work, copy).then(
          (answer) => {
            if (copy.cut) return
            rest(copy)
            this.#latencies.add(clock.monotonic() - sentAt)
            if (copy.number === 2) this.#ambient.on?.({ type: 'hedge.won', policy: this.name })
            resolve(answer)
          },
          (error) => {
            if (copy.cut) return
            if (copy.number === 1) firstError = error
            if (++failed < copies.length) return
            rest(copy)
            reject(firstError ?? error)
          },
        )
      }
      const afterMs = this.#afterMs ?? (this.#latencies.count < LEARN_FROM ? undefined : this.#latencies.quantile(PERCENTILE))
      let cancel = () => {}
      if (afterMs !== undefined) {
        cancel = clock.after(afterMs, () => {
          if (this.#saved < 1) return
          this.#saved -= 1
          this.#ambient.on?.({ type: 'hedge.sent', policy: this.name, afterMs })
          send()
        })
      }
      signal?.addEventListener('abort', leave, { once: true })
      send()
    })
  }
}

/** Work that throws before its first await has failed like any other. */
async function start<T>(work: (attempt: Attempt) => T | PromiseLike<T>, copy: RunningAttempt): Promise<T> {
  return work(copy)
}
