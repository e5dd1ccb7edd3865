/**
 * What an answer means for the policies. A library that knows only success and error repeats charges; this is the table that keeps them apart.
 *
 * | verdict   | it says                                                  | repeated           | breaker  |
 * |-----------|----------------------------------------------------------|--------------------|----------|
 * | ok        | it happened                                              | no                 | ok       |
 * | declined  | the service works and says no: 4xx, a card without cover | no                 | ignored  |
 * | throttled | the service works, did nothing, and asks for patience    | yes                | ignored  |
 * | failed    | it did not happen: never sent, or proven                 | yes                | failure  |
 * | unknown   | it may have happened: reset, timeout, 5xx, garbage       | when idempotent    | failure  |
 */
import type { Outcome } from '../../network.ts'
import { outcomeOf } from '../../network.ts'
import type { Result } from './ambient.ts'
import { Refusal } from './refusal.ts'

export type Verdict = 'ok' | 'declined' | 'throttled' | 'failed' | 'unknown'

/** A verdict with what the service asked for. `pushbackMs`: not before that many ms; 'never' asks not to be called again. */
export interface Judged {
  verdict: Verdict
  pushbackMs?: number | 'never'
}

export const RESULT_OF: Record<Verdict, Result> = { ok: 'ok', declined: 'ignored', throttled: 'ignored', failed: 'failure', unknown: 'failure' }

/**
 * What was thrown, by its code: connections that were refused and names that were not found are failed, all else is unknown. A Refusal of a policy further in
 * is final unless it cut something off: what a breaker has rejected is not repeated into it, and no other breaker counts it.
 */
export function judgeError(error: unknown): Verdict {
  if (error instanceof Refusal) return error.sent ? 'unknown' : 'declined'
  return outcomeOf(error, 1).kind
}

/** An Outcome as it stands: for calls whose answer needs no reading. */
export function judgeOutcome(outcome: Outcome<unknown>): Verdict {
  return outcome.kind
}

/**
 * An HTTP answer by its status, for a service that promises nothing in particular. 503 is failed only with a pushback, which proves that nothing was done.
 * What a provider's statuses mean beyond this is that provider's table.
 */
export function judgeStatus(status: number, pushbackMs?: number | 'never'): Verdict | Judged {
  if (status < 400) return 'ok'
  if (status === 429 || status === 425) return pushbackMs === undefined ? 'throttled' : { verdict: 'throttled', pushbackMs }
  if (status === 408) return 'unknown'
  if (status < 500) return 'declined'
  return pushbackMs === undefined ? 'unknown' : { verdict: status === 503 ? 'failed' : 'unknown', pushbackMs }
}

/**
 * How long the service asks to be left alone, in ms, from `retry-after` (seconds, or a date) or `grpc-retry-pushback-ms`; undefined when it does not ask.
 * Negative or unreadable means 'never': something was asked for, and repeating at a guess is what it was asked against. `now` is wall ms.
 * Sources: RFC 9110, 10.2.3; gRPC proposal A6, pushback.
 */
export function readPushbackMs(headers: Record<string, string | undefined>, now: number): number | 'never' | undefined {
  const grpc = headers['grpc-retry-pushback-ms']?.trim()
  if (grpc !== undefined) return /^\d{1,15}$/.test(grpc) ? Number(grpc) : 'never'
  const text = headers['retry-after']?.trim()
  if (text === undefined) return undefined
  if (/^\d{1,12}$/.test(text)) return Number(text) * 1000
  const at = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? 'never' : Math.max(0, at - now)
}
