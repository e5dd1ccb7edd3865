/**
 * All policies around a call, fused into one function: three composed async wrappers cost three times as much.
 *
 *   deadline > bulkhead > retry (budget) > breaker > attempt timeout > call
 *
 * The place in the bulkhead is held through waits and repeats, because the caller is in flight all the while. The breaker sees each attempt, and a call that it
 * rejects is not repeated. The deadline holds for all of it: queue, attempts and waits.
 *
 * What is not paid for unless it is needed: a controller is made when the work asks for `attempt.signal`, and aborted only when the attempt is cut off;
 * the attempts of a policy share one timer; a refusal has no stack.
 */
import type { Clock } from '../../clock.ts'
import type { ResilError } from '../../errors.ts'
import type { Outcome } from '../../network.ts'
import type { AdaptiveTimeout } from './adaptive-timeout.ts'
import type { Ambient, Pass, Result } from './ambient.ts'
import { checkRange } from './ambient.ts'
import type { Attempt } from './attempt.ts'
import { RunningAttempt } from './attempt.ts'
import type { Breaker } from './breaker.ts'
import type { Bulkhead, BulkheadRejection, Priority } from './bulkhead.ts'
import type { Deadline } from './deadline.ts'
import { Lane, Timeout } from './lane.ts'
import type { RefusalCode } from './refusal.ts'
import { refusal } from './refusal.ts'
import type { RetryBudget } from './retry-budget.ts'
import type { GiveUp, RetryOptions, RetrySettings } from './retry.ts'
import { nextDelayMs, retrySettings } from './retry.ts'
import type { Judged, Verdict } from './verdict.ts'
import { judgeError, judgeOutcome, RESULT_OF } from './verdict.ts'

export interface PolicyOptions {
  /** For events. Default 'policy'. */
  name?: string
  /** For everything: queue, attempts, waits; ms. Default: only what the call brings. */
  deadlineMs?: number
  /** Of a deadline that the call brings, this much is kept back for what the caller does afterwards, ms. Default 0. */
  reserveMs?: number
  /** No attempt is begun with less than this, ms: what the call needs in all but rare cases, its p95. Default 0. */
  minStartMs?: number
  /** The most that one attempt may take, ms, or one that learns. Default: what the deadline leaves. */
  attemptMs?: number | AdaptiveTimeout
  /** Whether the policy itself stops waiting, with a timer for each attempt. `false` when the work keeps to `attempt.timeoutMs` by itself. Default true. */
  timer?: boolean
  bulkhead?: Bulkhead
  breaker?: Breaker
  /** Default: one attempt. */
  retry?: RetryOptions
  /** Shared by all that repeat calls of the same service. Default: repeats are bounded by `retry` alone. */
  budget?: RetryBudget
  /** What something thrown means. Default: by its code, unknown when in doubt. */
  judgeError?: (error: unknown) => Verdict | Judged
  /** What an answer means. Default: for `run` every answer is ok; for `outcome` its kind says it. */
  judgeAnswer?: (answer: any) => Verdict | Judged
}

export interface CallOptions {
  /** The operation's, when the call is a part of one. The nearer of it and the policy's own holds. */
  deadline?: Deadline
  /** Whether the call may happen twice without harm. Default false: then only what did not happen is repeated. */
  idempotent?: boolean
  /** Default 'normal'. */
  priority?: Priority
  /** Aborts when the caller leaves. */
  signal?: AbortSignal
  /** In place of the policy's own: one of a registry of scopes. */
  breaker?: Breaker
}

export type Work<T> = (attempt: Attempt) => T | PromiseLike<T>

const NO_OPTIONS: CallOptions = {}
const CODE_OF: Record<BulkheadRejection, RefusalCode> = { full: 'BULKHEAD_FULL', shed: 'SHED', expired: 'DEADLINE_TOO_SHORT', aborted: 'CALLER_LEFT' }

export class Policy {
  readonly #ambient: Ambient
  readonly #clock: Clock
  readonly #deadlineMs: number
  readonly #reserveMs: number
  readonly #minStartMs: number
  readonly #attemptMs: number
  readonly #adaptive: AdaptiveTimeout | undefined
  readonly #timer: boolean
  readonly #lane: Lane
  readonly #bulkhead: Bulkhead | undefined
  readonly #breaker: Breaker | undefined
  readonly #retry: RetrySettings
  readonly #budget: RetryBudget | undefined
  readonly #judgeError: (error: unknown) => Verdict | Judged
  readonly #judgeAnswer: ((answer: any) => Verdict | Judged) | undefined
  readonly name: string

  constructor(ambient: Ambient, options: PolicyOptions = {}) {
    const { name = 'policy', deadlineMs = Number.POSITIVE_INFINITY, reserveMs = 0, minStartMs = 0, attemptMs = Number.POSITIVE_INFINITY, timer = true, retry = { attempts: 1 } } = options
    checkRange('deadlineMs', deadlineMs, 0, Number.POSITIVE_INFINITY)
    checkRange('reserveMs', reserveMs, 0, 86_400_000)
    checkRange('minStartMs', minStartMs, 0, 86_400_000)
    this.#ambient = ambient
    this.#clock = ambient.clock
    this.name = name
    this.#deadlineMs = deadlineMs
    this.#reserveMs = reserveMs
    this.#minStartMs = minStartMs
    this.#adaptive = typeof attemptMs === 'number' ? undefined : attemptMs
    this.#attemptMs = typeof attemptMs === 'number' ? attemptMs : 0
    if (!this.#adaptive) checkRange('attemptMs', this.#attemptMs, 1, Number.POSITIVE_INFINITY)
    this.#timer = timer
    this.#lane = new Lane(ambient.clock)
    this.#bulkhead = options.bulkhead
    this.#breaker = options.breaker
    this.#retry = retrySettings(retry)
    this.#budget = options.budget
    this.#judgeError = options.judgeError ?? judgeError
    this.#judgeAnswer = options.judgeAnswer
  }

  /** For work that throws. Rejects with what the last attempt threw, or with a Refusal; its `sent` tells whether anything may have happened. */
  run<T>(work: Work<T>, call: CallOptions = NO_OPTIONS): Promise<T> {
    return this.#go(work, call, false, this.#judgeAnswer)
  }

  /** For work that answers an Outcome. What the policy refused is failed, what it cut off is unknown; rejects only with what the work throws. */
  outcome<T>(work: Work<Outcome<T>>, call: CallOptions = NO_OPTIONS): Promise<Outcome<T>> {
    return this.#go(work, call, true, this.#judgeAnswer ?? judgeOutcome)
  }

  async #go(work: Work<any>, call: CallOptions, asOutcome: boolean, judgeAnswer: ((answer: any) => Verdict | Judged) | undefined): Promise<any> {
    const bulkhead = this.#bulkhead
    const breaker = call.breaker ?? this.#breaker
    const { signal, deadline } = call
    let now = this.#clock.monotonic()
    let deadlineAt = now + this.#deadlineMs
    if (deadline !== undefined) deadlineAt = Math.min(deadlineAt, deadline.at - this.#reserveMs)
    if (signal?.aborted) return refuse('CALLER_LEFT', 0, asOutcome)
    if (deadlineAt <= now || deadlineAt - now < this.#minStartMs) return refuse('DEADLINE_TOO_SHORT', 0, asOutcome)

    /** Given by the queue; whom the bulkhead has admitted at once has none. */
    let place: Pass | undefined
    if (bulkhead !== undefined && !bulkhead.admit(call.priority, now)) {
      const entry = await bulkhead.wait(deadlineAt - this.#minStartMs, call.priority ?? 'normal', signal, now)
      if (typeof entry === 'string') return refuse(CODE_OF[entry], entry === 'full' || entry === 'shed' ? bulkhead.retryAfterMs : 0, asOutcome)
      place = entry
      now = this.#clock.monotonic()
    }
    const enteredAt = now
    const budget = this.#budget
    budget?.begin()
    let repeats = false
    let result: Result = 'ignored'
    /** How the last attempt ended, once one has gone wrong. */
    let last: Failed | undefined
    /** The last that may have happened: what comes after it does not undo it. */
    let doubt: Failed | undefined
    try {
      for (let number = 1; ; number++) {
        const pass = breaker?.enter(now)
        if (breaker !== undefined && pass === undefined) {
          if (last === undefined) return refuse('BREAKER_OPEN', breaker.retryAfter(now), asOutcome)
          this.#gaveUp('breaker', number - 1, last)
          return settle(doubt ?? last, asOutcome)
        }
        const adaptive = this.#adaptive
        const capMs = adaptive === undefined ? this.#attemptMs : adaptive.ms
        const leftMs = deadlineAt - now
        const attempt = new RunningAttempt(number, capMs < leftMs ? capMs : leftMs)
        let answer: any
        let thrown = false
        let judged: Verdict | Judged = 'ok'
        try {
          answer = await ((this.#timer && attempt.timeoutMs < Number.POSITIVE_INFINITY) || signal !== undefined ? this.#watched(work, attempt, now, leftMs <= capMs, signal) : work(attempt))
          if (judgeAnswer !== undefined) judged = judgeAnswer(answer)
        } catch (error) {
          thrown = true
          answer = error
          judged = error === attempt.cut ? 'unknown' : this.#judgeError(error)
        }
        const begunAt = now
        now = this.#clock.monotonic()
        const elapsedMs = now - begunAt
        if (judged === 'ok') {
          result = 'ok'
          pass?.end('ok', elapsedMs, now)
          adaptive?.succeeded(elapsedMs)
          return answer
        }

        const verdict = typeof judged === 'string' ? judged : judged.verdict
        const cut = attempt.cut !== undefined && answer === attempt.cut ? attempt.cut.code : undefined
        const left = cut === 'CALLER_LEFT_DURING'
        result = left ? 'ignored' : RESULT_OF[verdict]
        pass?.end(result, elapsedMs, now)
        if (cut !== undefined && !left) adaptive?.timedOut(elapsedMs)
        last = { answer, thrown, cut: cut !== undefined, verdict, pushbackMs: typeof judged === 'string' ? undefined : judged.pushbackMs }
        if (verdict === 'unknown') doubt = last
        const delayMs = left ? 'final' : this.#delayMs(last, number, call.idempotent === true, deadlineAt - now)
        repeats ||= typeof delayMs === 'number' && budget?.take() === true
        if (typeof delayMs !== 'number' || (budget !== undefined && !repeats)) {
          this.#gaveUp(typeof delayMs === 'number' ? 'budget' : delayMs, number, last)
          return settle(verdict === 'declined' ? last : (doubt ?? last), asOutcome)
        }
        this.#ambient.on?.({ type: 'retry.scheduled', policy: this.name, attempt: number + 1, delayMs, verdict })
        await this.#clock.sleep(delayMs, signal)
        if (signal?.aborted) return refuse(doubt === undefined ? 'CALLER_LEFT' : 'CALLER_LEFT_DURING', 0, asOutcome)
        now = this.#clock.monotonic()
      }
    } finally {
      if (place !== undefined) place.end(result, now - enteredAt)
      else bulkhead?.leave(result, now - enteredAt)
      budget?.end(repeats)
    }
  }

  #delayMs({ verdict, pushbackMs }: Failed, attempt: number, idempotent: boolean, leftMs: number): number | GiveUp {
    return nextDelayMs({ attempt, verdict, idempotent, pushbackMs, leftMs, minStartMs: this.#minStartMs }, this.#retry, this.#ambient.random)
  }

  /** Nothing is said of answers that are final anyway, nor where there are no repeats. */
  #gaveUp(why: GiveUp | 'budget' | 'breaker', attempt: number, { verdict, pushbackMs }: Failed): void {
    if (why === 'final' || this.#retry.attempts === 1) return
    this.#ambient.on?.({ type: 'retry.given_up', policy: this.name, why, attempt, verdict, ...(pushbackMs === undefined ? {} : { pushbackMs }) })
  }

  /** The work, or a Refusal as soon as its time is up or its caller leaves. The work is told, and what it answers later is nobody's. */
  #watched<T>(work: Work<T>, attempt: RunningAttempt, now: number, lastOfDeadline: boolean, signal: AbortSignal | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const running = work(attempt)
      const watch = new Watch(this.#lane, attempt, lastOfDeadline ? 'DEADLINE_EXCEEDED' : 'ATTEMPT_TIMED_OUT', reject, signal)
      if (this.#timer && attempt.timeoutMs < Number.POSITIVE_INFINITY && attempt.cut === undefined) this.#lane.set(watch, now + attempt.timeoutMs, now)
      Promise.resolve(running).then(
        (answer) => {
          watch.rest()
          resolve(answer)
        },
        (error) => {
          watch.rest()
          reject(error)
        },
      )
    })
  }
}

/** What waits beside the work: for its time to be up, and for its caller to leave. */
class Watch extends Timeout {
  readonly #lane: Lane
  readonly #attempt: RunningAttempt
  readonly #late: RefusalCode
  readonly #reject: (why: unknown) => void
  readonly #signal: AbortSignal | undefined
  #leave: (() => void) | undefined = undefined

  constructor(lane: Lane, attempt: RunningAttempt, late: RefusalCode, reject: (why: unknown) => void, signal: AbortSignal | undefined) {
    super()
    this.#lane = lane
    this.#attempt = attempt
    this.#late = late
    this.#reject = reject
    this.#signal = signal
    if (signal === undefined) return
    this.#leave = () => this.#cutOff('CALLER_LEFT_DURING')
    if (signal.aborted) this.#leave() // by the work itself, before its first await
    else signal.addEventListener('abort', this.#leave, { once: true })
  }

  override expire(): void {
    this.#cutOff(this.#late)
  }

  rest(): void {
    this.#lane.callOff(this)
    if (this.#leave !== undefined) this.#signal!.removeEventListener('abort', this.#leave)
  }

  #cutOff(code: RefusalCode): void {
    this.rest()
    this.#reject(this.#attempt.cutOff(refusal(code)))
  }
}

/** An attempt that did not go well. `cut`: by the policy, so that the answer is its Refusal. */
interface Failed {
  answer: any
  thrown: boolean
  cut: boolean
  verdict: Verdict
  pushbackMs: number | 'never' | undefined
}

/** The last word. In doubt it is the doubtful attempt's: a later one that certainly did not happen proves nothing about an earlier. */
function settle({ answer, thrown, cut }: Failed, asOutcome: boolean): any {
  if (!thrown) return answer
  if (asOutcome && cut) return { kind: 'unknown', error: answer }
  throw answer
}

function refuse(code: RefusalCode, retryAfterMs: number, asOutcome: boolean): { kind: 'failed' | 'unknown'; error: ResilError } {
  const error = refusal(code, retryAfterMs)
  if (!asOutcome) throw error
  return { kind: error.sent ? 'unknown' : 'failed', error }
}
