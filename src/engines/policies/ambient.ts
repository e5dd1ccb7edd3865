/** What every policy is given from outside: time, chance, and somebody to tell. */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Log } from '../../events.ts'
import type { Random } from '../../random.ts'

/** What a policy says of itself. `policy` is the name it was given; the other fields are listed in docs/policies.md. */
export interface PolicyEvent {
  /** noun.past_participle */
  type: string
  policy: string
  [field: string]: unknown
}

export interface Ambient {
  clock: Clock
  random: Random
  /** Called at once, in the middle of the policy's work: it must not throw, and must not call the policy again. Without it no event is made. */
  on?: (event: PolicyEvent) => void
}

/** For a policy inside an engine: its events become the engine's own. */
export function toLog(log: Log): (event: PolicyEvent) => void {
  return ({ type, ...fields }) => log.emit(type, fields)
}

/** How a call ended, as breakers and bulkheads count it. `ignored` gives the permit back and counts nothing: declines, 4xx, callers who left. */
export type Result = 'ok' | 'failure' | 'ignored'

/** Leave to make one call. Whoever holds it ends it; ending it again does nothing. */
export interface Pass {
  /** `elapsedMs` is what the call took. `now` spares a reading of the clock (monotonic ms) when the caller has just made one. */
  end(result: Result, elapsedMs: number, now?: number): void
}

/** Throws INVALID_POLICY when an option is not within [min, max]. */
export function checkRange(option: string, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return
  throw new ResilError('INVALID_POLICY', `${option} is ${value}`, `give ${option} a number from ${min} to ${max}`)
}
