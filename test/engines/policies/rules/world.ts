/** Rules are checked twice: on the policies as they are, and on copies with one planted bug each (../planted.test.ts), so they take the library as an argument. */
import type * as library from '../../../../src/engines/policies/library.ts'

export type Library = typeof library

/** A sentence about behaviour, and what throws when it does not hold. */
export type Rule = readonly [name: string, holds: (lib: Library) => void | Promise<void>]

export interface PolicyWorld {
  clock: library.VirtualClock
  random: library.Random
  on: (event: library.PolicyEvent) => void
  events: library.PolicyEvent[]
  /** Lets virtual time pass. */
  pass(ms: number): Promise<void>
  types(): string[]
}

export function world(lib: Library, seed = 1): PolicyWorld {
  const clock = new lib.VirtualClock()
  const events: library.PolicyEvent[] = []
  return { clock, random: lib.Random.seeded(seed), on: (event) => void events.push(event), events, pass: (ms) => clock.run(clock.sleep(ms)), types: () => events.map(({ type }) => type) }
}

/** So many calls one after another, each of which takes no time but says that it took `elapsedMs`. Answers how many were let in. */
export function feed(breaker: library.Breaker | library.Bulkhead, result: library.Result, times: number, elapsedMs = 10): number {
  let admitted = 0
  for (let n = 0; n < times; n++) {
    const pass = 'enter' in breaker && 'snapshot' in breaker ? breaker.enter() : (breaker as library.Bulkhead).tryEnter()
    if (!pass) continue
    admitted++
    pass.end(result, elapsedMs)
  }
  return admitted
}

export const refused = () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
export const reset = () => Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
/** A promise that nobody settles. */
export const hangs = () => new Promise<never>(() => {})

/** What a promise was rejected with; throws when it was not. */
export async function thrownBy(promise: Promise<unknown>): Promise<any> {
  const [settled] = await Promise.allSettled([promise])
  if (settled.status === 'fulfilled') throw new Error(`it answered ${JSON.stringify(settled.value)}`)
  return settled.reason
}
