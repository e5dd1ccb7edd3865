/**
 * What a breaker with other settings would have done to calls that were made: the same breaker as the engine's, in the time of the recording.
 *
 * It is an upper bound of what it would have spared: a service that was spared calls would perhaps have recovered sooner, and here every call that would
 * have been let through still ends as it did.
 */
import type { Clock } from '../../clock.ts'
import { Random } from '../../random.ts'
import type { Pass } from '../policies/ambient.ts'
import type { BreakerOptions } from '../policies/breaker.ts'
import { Breaker } from '../policies/breaker.ts'
import type { Call } from './traffic.ts'

export interface Setting {
  /** In words. */
  name: string
  breaker: BreakerOptions
  /** It counts failures, not their share: successes are not shown to it while it is closed. */
  countsFailures?: boolean
}

export interface WhatIf {
  setting: string
  /** How often it would have opened, when at first (ms as in the calls), and how long it would not have been closed, all openings together. */
  openings: number
  firstAt: number | null
  notClosedMs: number
  /** Calls that were answered and would not have been made; calls that failed and would not have been made; calls that failed all the same. */
  goodRefused: number
  badSpared: number
  badMade: number
}

/** `calls` in any order, of one service. */
export function whatIf(calls: readonly Call[], { name, breaker: options, countsFailures = false }: Setting): WhatIf {
  const clock = new ReplayClock()
  const base = calls.reduce((least, { at }) => Math.min(least, at), Number.POSITIVE_INFINITY)
  const found: WhatIf = { setting: name, openings: 0, firstAt: null, notClosedMs: 0, goodRefused: 0, badSpared: 0, badMade: 0 }
  /** Of calls under way. */
  const passes = new Map<Call, Pass>()
  let openSince: number | null = null
  const breaker = new Breaker(
    {
      clock,
      random: Random.seeded(1),
      on: ({ type }) => {
        if (type === 'breaker.opened') {
          found.openings++
          found.firstAt ??= base + clock.at
          openSince ??= clock.at
        } else if (type === 'breaker.closed' && openSince !== null) {
          found.notClosedMs += clock.at - openSince
          openSince = null
        }
      },
    },
    { ...options, name, openJitter: 0 },
  )
  for (const { at, call, ends } of inTime(calls, base)) {
    clock.at = at
    if (!ends) {
      const pass = breaker.enter(at)
      if (pass) passes.set(call, pass)
      else if (call.result === 'failure') found.badSpared++
      else found.goodRefused++
      continue
    }
    const pass = passes.get(call)
    if (!pass) continue
    passes.delete(call)
    if (call.result === 'failure') found.badMade++
    pass.end(countsFailures && call.result === 'ok' && breaker.state === 'closed' ? 'ignored' : call.result, call.ms, at)
  }
  if (openSince !== null) found.notClosedMs += clock.at - openSince
  return found
}

/** A call takes at least this long here, ms: it begins before it ends. */
const LEAST_MS = 0.01

/** Beginnings and ends in order, ms since `base`; at one moment the ends come first, as they make room. */
function inTime(calls: readonly Call[], base: number): { at: number; call: Call; ends: boolean }[] {
  return calls
    .flatMap((call) => [{ at: call.at - base, call, ends: false }, { at: call.at - base + Math.max(LEAST_MS, call.ms), call, ends: true }])
    .toSorted((a, b) => a.at - b.at || Number(b.ends) - Number(a.ends))
}

/** Stands where the replay is. */
class ReplayClock implements Clock {
  at = 0

  now(): number {
    return this.at
  }

  monotonic(): number {
    return this.at
  }

  after(): never {
    throw new Error('nothing waits in a replay')
  }

  sleep(): never {
    throw new Error('nothing waits in a replay')
  }
}
