import type { Random } from '../../random.ts'

export interface Backoff {
  baseMs: number
  capMs: number
}

/**
 * Delay before the next attempt, in ms: uniform in [0, min(capMs, baseMs * 2^(attempt - 1))].
 * `attempt` counts from 1: the attempt that has just failed.
 * Source: Brooker, "Exponential Backoff and Jitter" (AWS, 2015), full jitter.
 */
export function backoff(attempt: number, { baseMs, capMs }: Backoff, random: Random): number {
  return random.next() * Math.min(capMs, baseMs * 2 ** Math.min(attempt - 1, 30))
}
