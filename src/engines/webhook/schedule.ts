/**
 * When a message that failed by its own fault is tried again. Pure: number and chance in, delay out.
 * Outages of the endpoint do not come here: they park its lane and cost no message anything.
 */
import type { Random } from '../../random.ts'

/** Delay after the `strikes`-th failure (from 1), ms: the schedule's, its last one for all further failures, give or take the share `jitter`. */
export function delayAfter(strikes: number, schedule: readonly number[], jitter: number, random: Random): number {
  const base = schedule[Math.min(strikes, schedule.length) - 1]!
  return Math.round(base * (1 + jitter * (2 * random.next() - 1)))
}

/**
 * What a receiver asks for with Retry-After, in ms: seconds, or a date. Negative, unreadable and past ones ask for nothing; none asks for more than `mostMs`.
 * `now` is wall ms. Source: RFC 9110, 10.2.3.
 */
export function readRetryAfter(text: string | undefined, now: number, mostMs: number): number | undefined {
  const said = text?.trim()
  if (said === undefined || said === '') return undefined
  if (/^\d{1,12}$/.test(said)) return Math.min(Number(said) * 1000, mostMs)
  // A date has words; what Date.parse makes of bare numbers is nobody's intention.
  const at = /^[A-Z][a-z]{2,8},? /.test(said) ? Date.parse(said) : Number.NaN
  return Number.isNaN(at) ? undefined : Math.min(Math.max(0, at - now), mostMs)
}
