/**
 * `import { breaker, policy } from 'resil/policies'`: the policies for anybody's service, in real time. Each maker takes the options of its policy, and
 * with them, when wanted, `on` for its events, and `clock` and `random` in place of the machine's: a VirtualClock makes hours of a test take no time.
 * Importing this opens nothing and starts nothing.
 */
import { SystemClock } from '../../clock.ts'
import { Random } from '../../random.ts'
import type { AdaptiveTimeoutOptions } from './adaptive-timeout.ts'
import { AdaptiveTimeout } from './adaptive-timeout.ts'
import type { Ambient } from './ambient.ts'
import type { BreakerOptions } from './breaker.ts'
import { Breaker } from './breaker.ts'
import type { BreakersOptions } from './breakers.ts'
import { Breakers } from './breakers.ts'
import type { BulkheadOptions } from './bulkhead.ts'
import { Bulkhead } from './bulkhead.ts'
import type { Headers, ReadOptions } from './deadline.ts'
import { Deadline, readTimeoutMs } from './deadline.ts'
import type { FallbackOptions } from './fallback.ts'
import { Fallback } from './fallback.ts'
import type { HedgeOptions } from './hedge.ts'
import { Hedge } from './hedge.ts'
import type { PolicyOptions } from './policy.ts'
import { Policy } from './policy.ts'
import type { RetryBudgetOptions } from './retry-budget.ts'
import { RetryBudget } from './retry-budget.ts'

const clock = new SystemClock()
const random = Random.system()

const machine: Ambient = { clock, random }

function around(given: Partial<Ambient>): Ambient {
  if (!given.clock && !given.random && !given.on) return machine
  return { clock: given.clock ?? clock, random: given.random ?? random, on: given.on }
}

export const breaker = (options: BreakerOptions & Partial<Ambient> = {}): Breaker => new Breaker(around(options), own(options))
export const breakers = (options: BreakersOptions & Partial<Ambient> = {}): Breakers => new Breakers(around(options), own(options))
export const bulkhead = (options: BulkheadOptions & Partial<Ambient> = {}): Bulkhead => new Bulkhead(around(options), own(options))
export const retryBudget = (options: RetryBudgetOptions & Partial<Ambient> = {}): RetryBudget => new RetryBudget(around(options), own(options))
export const adaptiveTimeout = (options: AdaptiveTimeoutOptions & Partial<Ambient>): AdaptiveTimeout => new AdaptiveTimeout(around(options), own(options))
export const policy = (options: PolicyOptions & Partial<Ambient> = {}): Policy => new Policy(around(options), own(options))

export const hedge = (options: HedgeOptions & Partial<Ambient> = {}): Hedge => new Hedge(around(options), own(options))
export const fallback = (options: FallbackOptions & Partial<Ambient> = {}): Fallback => new Fallback(around(options), own(options))

/** A deadline that far from now. */
export const deadline = (totalMs: number, given: Partial<Ambient> = {}): Deadline => new Deadline(around(given).clock, totalMs)

/** The deadline that a request brings in its headers, at most `maxMs`, and `maxMs` when it brings none. */
export const deadlineFrom = (headers: Headers, { maxMs, clock }: ReadOptions): Deadline => new Deadline(around({}).clock, readTimeoutMs(headers, { maxMs, clock }) ?? maxMs)

/** The options without what surrounds the policy. */
function own<T extends Partial<Ambient>>({ clock: _clock, random: _random, on: _on, ...options }: T): Omit<T, keyof Ambient> {
  return options
}

export { backoff } from './backoff.ts'
export { DEADLINE_HEADER, ATTEMPT_HEADER, Deadline, deadlineHeaders, hopMs, readTimeoutMs } from './deadline.ts'
export { profile } from './profile.ts'
export { Refusal } from './refusal.ts'
export { nextDelayMs, retrySettings } from './retry.ts'
export { judgeError, judgeOutcome, judgeStatus, readPushbackMs } from './verdict.ts'
export { toLog } from './ambient.ts'
export { ResilError } from '../../errors.ts'
export { SystemClock, VirtualClock } from '../../clock.ts'
export { Random } from '../../random.ts'
export { AdaptiveTimeout, Breaker, Breakers, Bulkhead, Fallback, Hedge, Policy, RetryBudget }
export type { AdaptiveTimeoutOptions } from './adaptive-timeout.ts'
export type { Ambient, Pass, PolicyEvent, Result } from './ambient.ts'
export type { BreakerOptions, BreakerSnapshot, BreakerState } from './breaker.ts'
export type { BreakersOptions } from './breakers.ts'
export type { BulkheadOptions, BulkheadRejection, FoundLimit, Priority, Profile } from './bulkhead.ts'
export type { Hop } from './deadline.ts'
export type { Attempt } from './attempt.ts'
export type { Alternative, FallbackOptions, Served } from './fallback.ts'
export type { HedgeOptions } from './hedge.ts'
export type { CallOptions, PolicyOptions, Work } from './policy.ts'
export type { ProfileRow } from './profile.ts'
export type { RefusalCode } from './refusal.ts'
export type { BudgetedCall, RetryBudgetOptions } from './retry-budget.ts'
export type { RetryOptions } from './retry.ts'
export type { Judged, Verdict } from './verdict.ts'
export type { Clock } from '../../clock.ts'
export type { Outcome } from '../../network.ts'
