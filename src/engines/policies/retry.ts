/**
 * Whether a call is repeated, and when. Repeats help against brief and independent failures of calls that did not happen, or that may happen twice.
 * Only one layer repeats: of three layers with three attempts each the innermost service sees 27 calls.
 */
import type { Random } from '../../random.ts'
import { checkRange } from './ambient.ts'
import { backoff } from './backoff.ts'
import type { Verdict } from './verdict.ts'

export interface RetryOptions {
  /** Attempts in all, the first included, 1 to 100. Default 3. */
  attempts?: number
  /** The wait before attempt 2 is uniform in [0, baseMs], and doubles from there. Default 100 ms. */
  baseMs?: number
  /** The most that doubling leads to, ms. Default 2000. */
  capMs?: number
}

export type RetrySettings = Required<RetryOptions>

export function retrySettings({ attempts = 3, baseMs = 100, capMs = 2000 }: RetryOptions = {}): RetrySettings {
  checkRange('attempts', attempts, 1, 100)
  checkRange('baseMs', baseMs, 0, 86_400_000)
  checkRange('capMs', capMs, 0, 86_400_000)
  return { attempts, baseMs, capMs }
}

/** Why a call is not repeated. `final`: its answer is one. `pushback`: the service asks not to, or for longer than there is. */
export type GiveUp = 'final' | 'attempts' | 'pushback' | 'deadline'

export interface Ended {
  /** The attempt that has ended, from 1. */
  attempt: number
  verdict: Verdict
  /** Whether the call may happen twice without harm: a read, or a write under an idempotency key that the service keeps. */
  idempotent: boolean
  pushbackMs?: number | 'never' | undefined
  /** What the deadline leaves for wait and attempt together, ms. */
  leftMs: number
  /** The least that an attempt needs, ms. */
  minStartMs: number
}

/**
 * How long to wait before the next attempt, in ms, or why there is none. Full jitter, and never earlier than the service asked.
 * A wait that leaves less than `minStartMs` is not begun: the caller hears the answer now and not after a wait for nothing.
 * Source: Brooker, "Exponential Backoff and Jitter" (AWS, 2015).
 */
export function nextDelayMs(ended: Ended, settings: RetrySettings, random: Random): number | GiveUp {
  const { attempt, verdict, idempotent, pushbackMs, leftMs, minStartMs } = ended
  if (verdict === 'ok' || verdict === 'declined' || (verdict === 'unknown' && !idempotent)) return 'final'
  if (pushbackMs === 'never') return 'pushback'
  if (attempt >= settings.attempts) return 'attempts'
  const atMostMs = leftMs - minStartMs
  if (pushbackMs !== undefined && pushbackMs >= atMostMs) return 'pushback'
  const ownMs = backoff(attempt, settings, random)
  const delayMs = pushbackMs === undefined ? ownMs : pushbackMs + ownMs
  return delayMs < atMostMs ? delayMs : pushbackMs === undefined ? 'deadline' : pushbackMs
}
