/** Plays a scenario against an engine with a bug, for as long as it takes to convict it. */
import type { Event } from '../../src/events.ts'
import type { Plan } from '../../src/lab/plan.ts'
import { run } from '../../src/lab/run.ts'

/** What is violated, by name; the run ends as soon as `wanted` (an invariant, or `expected: …`) is among it. */
export async function violated(scenario: string, engine: string, wanted: string): Promise<string[]> {
  const plan: Plan = { scenario, mode: 'sim', seed: 1, subject: { kind: 'module', file: engine }, toxics: [], invariants: [], options: { clicks: 2, amountMinor: 9900, currency: 'USD' }, again: '' }
  const convicted = new AbortController()
  const sink = ({ type, invariant, name }: Event) => {
    if ((type === 'invariant.violated' && invariant === wanted) || (type === 'expectation.failed' && `expected: ${name}` === wanted)) convicted.abort()
  }
  const { findings } = await run(plan, { untold: true, sinks: [sink], signal: convicted.signal })
  return findings.filter(({ verdict }) => verdict === 'violated').map(({ invariant }) => invariant)
}
