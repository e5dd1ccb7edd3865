/** Every acceptance id has its scenario, and each holds in virtual time. */
import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Plan } from '../../../src/lab/plan.ts'
import { run } from '../../../src/lab/run.ts'
import { loadScenarios } from '../../../src/lab/units.ts'

/** The acceptance ids of the scheduler, but for those that need a second store. */
const IDS = [
  ...['01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12', '13', '14'],
  ...['22', '23', '24', '25'],
  ...['30', '31', '32', '33', '34', '35', '36', '37', '38', '39'],
  ...['40', '41', '42', '43', '44', '45', '46'],
  ...['50', '51', '52', '53', '54', '55'],
  ...['60', '61', '62', '63'],
  ...['70', '71', '72', '73', '74'],
  ...['80', '81', '82', '83'],
].map((id) => `C-${id}`)

const scenarios = (await loadScenarios()).filter((scenario) => scenario.engine === 'cron')

it('each id has a scenario', () => {
  expect(scenarios.map(({ name }) => name).filter((name) => name.startsWith('C-')).sort()).toEqual(IDS)
  expect(readdirSync('src/engines/cron/scenarios')).toHaveLength(scenarios.length)
})

const planOf = (scenario: string, seed: number): Plan => ({ scenario, mode: 'sim', seed, subject: { kind: 'reference' }, toxics: [], invariants: [], again: `resil cron elect --scenario ${scenario} --seed ${seed} --sim` })

describe.each(scenarios.filter(({ needsSubject }) => !needsSubject).map((scenario) => [scenario.name, scenario.summary] as const))('%s', (name, summary) => {
  it(`holds: ${summary}`, { timeout: 120_000 }, async () => {
    const result = await run(planOf(name, 1))
    expect(result.findings.filter(({ verdict }) => verdict !== 'held').map(({ invariant, looked, violations }) => ({ invariant, looked, why: violations[0]?.why }))).toEqual([])
    expect(result).toMatchObject({ verdict: 'held', unfired: [] })
  })
})

it('without an election every node fires, and the same judges find each tick once', async () => {
  const result = await run({ ...planOf('C-09', 3), leaderless: true })
  expect(result.findings.filter(({ verdict }) => verdict !== 'held')).toEqual([])
})
