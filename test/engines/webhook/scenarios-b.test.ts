/** Crashes, stalls, trouble of the store, replays and proofs: each scenario holds, and every fault that it plans happens. */
import { describe, expect, it } from 'vitest'
import type { Plan } from '../../../src/lab/plan.ts'
import { run } from '../../../src/lab/run.ts'

const SCENARIOS = [
  'W-KILL-1', 'W-KILL-2', 'W-KILL-3', 'W-KILL-4', 'W-KILL-5', 'W-KILL-6', 'W-KILL-7', 'W-KILL-8', 'W-KILL-LOOP', 'W-2-DISPATCH', 'W-SHUTDOWN',
  'W-DISKFULL', 'W-BUSY', 'W-IN-DOUBT', 'W-CLOCK', 'W-SKEW',
  'W-DLQ-LOAD', 'W-DLQ-KILL', 'W-DLQ-DRY', 'W-DLQ-IDEMP', 'W-DLQ-RETRY',
  'W-200-LIE', 'W-200-DEFER', 'W-RECONCILE', 'W-RETRY-TS', 'W-ROTATE', 'W-ED25519', 'W-VECTOR', 'W-SECRET',
]

const planOf = (scenario: string): Plan => ({ scenario, mode: 'sim', seed: 1, subject: { kind: 'reference' }, toxics: [], invariants: [], again: '' })

describe.each(SCENARIOS)('%s', (name) => {
  it('holds', async () => {
    const result = await run(planOf(name), { untold: true })
    const judged = result.findings.map(({ invariant, verdict, looked, violations }) => ({ invariant, verdict, looked, why: violations[0]?.why }))
    expect(judged.filter(({ verdict }) => verdict !== 'held')).toEqual([])
    expect(result).toMatchObject({ verdict: 'held', unfired: [] })
  }, 240_000)
})
