/** An engine with one planted bug, and the scenarios that convict it. */
import { expect } from 'vitest'
import type { Event } from '../../src/events.ts'
import type { Plan } from '../../src/lab/plan.ts'
import { run } from '../../src/lab/run.ts'
import type { Plant } from './plant.ts'
import { plant } from './plant.ts'

export interface Trial {
  bug: string
  plants: readonly Plant[]
  /** Scenario, and what of it is violated: an invariant, or `expected: …`. */
  convicts: Readonly<Record<string, string>>
}

/** Plays each scenario against the engine of the first of `rooms` with the bug, for as long as it takes to convict it. */
export async function expectConviction(rooms: readonly [string, ...string[]], { bug, plants, convicts }: Trial): Promise<void> {
  const planted = plant(rooms, bug.replaceAll(/\W+/g, '-').slice(0, 60), plants)
  try {
    for (const [scenario, wanted] of Object.entries(convicts)) expect(await violated(scenario, planted.file, wanted), scenario).toContain(wanted)
  } finally {
    planted.forget()
  }
}

/** What is violated, by name; the run ends as soon as `wanted` is among it. */
async function violated(scenario: string, engine: string, wanted: string): Promise<string[]> {
  const plan: Plan = { scenario, mode: 'sim', seed: 1, subject: { kind: 'module', file: engine }, toxics: [], invariants: [], options: { clicks: 2, amountMinor: 9900, currency: 'USD' }, again: '' }
  const convicted = new AbortController()
  const sink = ({ type, invariant, name }: Event) => {
    if ((type === 'invariant.violated' && invariant === wanted) || (type === 'expectation.failed' && `expected: ${name}` === wanted)) convicted.abort()
  }
  const { findings } = await run(plan, { untold: true, sinks: [sink], signal: convicted.signal })
  return findings.filter(({ verdict }) => verdict === 'violated').map(({ invariant }) => invariant)
}
