/** The same plan under several policies of the engine, one run after another: the same seed, the same storm. */
import type { Compared, Comparison } from '../engines/payment/compare.ts'
import type { Plan } from './plan.ts'
import type { Result } from './run.ts'
import { load, run } from './run.ts'

/** What stands in an event beside the figures. */
const ENVELOPE: ReadonlySet<string> = new Set(['run', 'seq', 't', 'at', 'src', 'node', 'type'])

export interface ComparedRun extends Compared {
  result: Result
}

/** Answers each as soon as it is over. A policy's own expectations are not judged: only invariants count as broken. */
export async function* compare(plan: Plan, { scenario, measured, policies }: Comparison, signal?: AbortSignal): AsyncGenerator<ComparedRun> {
  const units = await load({ ...plan, scenario })
  for (const { name, settings } of policies) {
    if (signal?.aborted) return
    let figures: Record<string, number> = {}
    const loaded = { ...units, scenario: { ...units.scenario, settings: { ...units.scenario.settings, ...settings } } } as typeof units
    const result = await run({ ...plan, scenario }, {
      untold: true,
      signal,
      sinks: [
        (event) => {
          if (event.type === measured) figures = Object.fromEntries(Object.entries(event).filter(([field]) => !ENVELOPE.has(field))) as Record<string, number>
        },
      ],
    }, loaded)
    const broken = result.findings.filter(({ invariant, verdict }) => verdict === 'violated' && !invariant.startsWith('expected: ')).map(({ invariant }) => invariant)
    yield { policy: name, figures, broken, result }
  }
}
