/** Every payment scenario in virtual time: what must come of each, over many seeds. */
import { describe, expect, it } from 'vitest'
import type { Event } from '../../../src/events.ts'
import type { Plan } from '../../../src/lab/plan.ts'
import type { Result } from '../../../src/lab/run.ts'
import { load, run } from '../../../src/lab/run.ts'
import type { PaymentScenario } from '../../../src/lab/units.ts'
import { loadScenarios } from '../../../src/lab/units.ts'
import { isLong } from '../../long.ts'

/** `npm run sweep:payments` cuts each of them everywhere besides. */
const SEEDS = Array.from({ length: isLong ? 20 : 6 }, (_, n) => n + 1)
/** Hundreds of customers each: what chance could do to them it does within a run. */
const CROWDED = new Set(['T6', 'T7', 'R2', 'R4', 'B1', 'B4', 'B5', 'B7', 'B9', 'B13', 'B15', 'charge-later', 'black-friday', 'cascade', 'latency-ramp', 'B11'])
const CROWDED_SEEDS = SEEDS.slice(0, isLong ? 2 : 1)
/** Many payments each, or days of a node that looks for work: each seed has much of what twenty have. */
const LONG = new Set(['B3', 'B6', 'B8', 'B10', 'B14', 'C10', 'E3', 'E4', 'K1', 'T2', 'U13', 'U19', 'late-retry', 'parallel'])
const LONG_SEEDS = SEEDS.slice(0, isLong ? 5 : 2)
/** Four thousand customers; storm.test.ts plays three seeds of half as many, `npm run sweep:black-friday` a hundred of more. */
const STORM_SEEDS = SEEDS.slice(0, 1)

const seedsFor = (name: string) => (name === 'B11' ? STORM_SEEDS : CROWDED.has(name) ? CROWDED_SEEDS : LONG.has(name) ? LONG_SEEDS : SEEDS)

const scenarios = (await loadScenarios()).filter((scenario) => scenario.engine === 'payment')

const planOf = (scenario: string, seed: number): Plan => ({
  scenario,
  mode: 'sim',
  seed,
  subject: { kind: 'reference' },
  toxics: [],
  invariants: [],
  options: { clicks: 2, amountMinor: 9900, currency: 'USD' },
  again: `resil pay --scenario ${scenario} --seed ${seed} --sim`,
})

async function told(scenario: string, seed: number): Promise<{ result: Result; events: Event[] }> {
  const events: Event[] = []
  const result = await run(planOf(scenario, seed), { sinks: [(event) => events.push(event)] })
  return { result, events }
}

describe.each(scenarios.map((scenario): [string, PaymentScenario] => [scenario.name, scenario]))('%s', (name, scenario) => {
  it(`holds: ${scenario.summary}`, async () => {
    const units = await load(planOf(name, 1))
    for (const seed of seedsFor(name)) {
      const result = await run(planOf(name, seed), { untold: seed > 1 }, units)
      const judged = result.findings.map(({ invariant, verdict, looked, violations }) => ({ invariant, verdict, looked, why: violations[0]?.why }))
      expect(judged.filter(({ verdict }) => verdict !== 'held'), `seed ${seed}`).toEqual([])
      expect(result, `seed ${seed}`).toMatchObject({ verdict: 'held', unfired: [] })
    }
  }, 60_000)
})

it('every acceptance id has its scenario: 14 D, 11 C, 20 U, 5 E, 9 T, 8 R, 15 B, 3 K, 4 L, 5 O', () => {
  const groups = { D: 14, C: 11, U: 20, E: 5, T: 9, R: 8, B: 15, K: 3, L: 4, O: 5 }
  const wanted = Object.entries(groups).flatMap(([group, many]) => Array.from({ length: many }, (_, n) => `${group}${n + 1}`))
  const names = new Set(scenarios.map(({ name }) => name))
  expect(wanted).toHaveLength(94)
  expect(wanted.filter((id) => !names.has(id))).toEqual([])
})

describe('what only the reference engine promises', () => {
  it('D2: the replay is marked as one', async () => {
    const { events } = await told('D2', 1)
    expect(events.filter(({ type }) => type === 'client.told').map(({ status, replayed }) => [status, replayed])).toEqual([[201, false], [201, true]])
  })

  it.each([['D3', 422], ['D6', 405], ['D7', 409], ['D8', 400], ['late-retry', 409], ['E1', 409], ['E2', 409]])('%s: what is refused is answered %i', async (name, status) => {
    const { events } = await told(name, 1)
    const refused = events.filter(({ type, told }) => type === 'client.told' && (told === 'refused' || told === 'conflict'))
    expect(refused.length).toBeGreaterThan(0)
    expect(new Set(refused.map((event) => event['status']))).toEqual(new Set([status]))
  })

  it('U7: an operator is told of the web page', async () => {
    const { events } = await told('U7', 1)
    expect(events.filter(({ type }) => type === 'payment.alarmed').map(({ why }) => why)).toEqual(['the answer cannot be read', 'the answer cannot be read'])
  })

  it.each([
    ['U8', /^asked for \d+ USD for pay_\w+, the bank says/],
    ['U9', /^unknown for \d+ s$/],
    ['U11', /^the bank says that it has ch_\w+, and the payment is released: voided$/],
    ['U12', /this bank cannot be asked what became of it$/],
    ['U15', /^its capture: .* the hold is given back$/],
    ['original-after-failover', /: voided at bank$/],
  ])('%s: an operator is told', async (name, why) => {
    const { events } = await told(name, 1)
    expect(events.filter(({ type }) => type === 'payment.alarmed').map((event) => event['why'])).toContainEqual(expect.stringMatching(why))
  })

  it('U18: each payment moves to its end once, whoever told of it', async () => {
    const { events } = await told('U18', 1)
    const ended = events.filter(({ type, to }) => type === 'payment.moved' && to === 'succeeded').map(({ payment }) => payment)
    expect(ended).toHaveLength(7)
    expect(new Set(ended).size).toBe(7)
    expect(events.filter(({ type }) => type === 'payment.alarmed')).toEqual([])
  })

  it('C10: both nodes die at each commit, before it and after it', async () => {
    const { events } = await told('C10', 1)
    const deaths = events.filter(({ type }) => type === 'node.killed')
    const sites = ['tx:claim', 'tx:intent', 'tx:outcome', 'answer', 'tx:notified', 'tx:doubt', 'tx:look', 'tx:outcome'].flatMap((site) => [`${site}:before`, `${site}:after`])
    expect(deaths.filter(({ node }) => node === 'n1').map(({ site }) => site)).toEqual(sites)
    expect(deaths.filter(({ node }) => node === 'n2').map(({ site }) => site)).toEqual(sites.map(() => 'scenario'))
  })

  it('E5: what the woken node writes is refused and kept as evidence', async () => {
    const { events } = await told('E5', 1)
    expect(events.filter(({ type, node }) => type === 'payment.alarmed' && node === 'n1').map(({ why }) => why)).toEqual([expect.stringMatching(/^epoch 1 came too late with: ch_/)])
  })

  it('C9: both recoverers saw the abandoned payment, one took it', async () => {
    const takeovers: string[] = []
    const moved: Event[] = []
    await run(planOf('C9', 1), { probe: { crossing: (node, _, { site, when }) => void (site === 'tx:takeover' && when === 'before' && takeovers.push(node)), exchange() {} }, sinks: [(event) => event.type === 'payment.moved' && moved.push(event)] })
    expect(takeovers.toSorted()).toEqual(['n1', 'n2'])
    expect(new Set(moved.map(({ node }) => node)).size).toBe(1)
    expect(moved.at(-1)).toMatchObject({ to: 'succeeded', epoch: 2 })
  })
})

describe('the laboratory', () => {
  it.each(['double-click', 'crash-everywhere'])('%s: the same seed gives the same events to the byte, another seed others', async (name) => {
    const bytes = async (seed: number) => (await told(name, seed)).events.map((event) => JSON.stringify(event)).join('\n')
    const first = await bytes(7)
    expect(await bytes(7)).toBe(first)
    expect(await bytes(8)).not.toBe(first)
  })

  it('crash-everywhere dies at every point of its list, each before and after', async () => {
    const { events } = await told('crash-everywhere', 1)
    const sites = events.filter(({ type }) => type === 'node.killed').map(({ site }) => site)
    expect(sites).toEqual(['tx:claim', 'call:fraud', 'tx:intent', 'call:bank', 'tx:outcome', 'call:notification', 'answer', 'tx:notified'].flatMap((site) => [`${site}:before`, `${site}:after`]))
  })

  it('what takes hours is refused in real time, with the way out', async () => {
    await expect(run({ ...planOf('late-retry', 1), mode: 'wire' })).rejects.toMatchObject({ code: 'NEEDS_VIRTUAL_TIME', hint: expect.stringContaining('--sim') })
  })

  it('a failed expectation is a violation, with the event that shows it', async () => {
    const events: Event[] = []
    const plan = { ...planOf('D12', 1), subject: { kind: 'module' as const, file: new URL('declining-engine.mjs', import.meta.url).pathname } }
    const result = await run(plan, { sinks: [(event) => events.push(event)] })
    const finding = result.findings.find(({ invariant }) => invariant === 'expected: the same key pays')
    expect(result.verdict).toBe('violated')
    expect(finding).toMatchObject({ verdict: 'violated', violations: [{ why: 'told "declined"' }] })
    expect(events.find(({ seq }) => seq === finding!.violations[0]!.witness[0])).toMatchObject({ type: 'expectation.failed', name: 'the same key pays' })
  })

  it('no cell of the failure matrix is empty', () => {
    const proven = new Set(scenarios.flatMap(({ failures }) => failures.map(({ component, mode }) => `${component} ${mode}`)))
    const cells = ['client', 'engine', 'store', 'fraud', 'bank', 'notification', 'network'].flatMap((component) => ['crash', 'omission', 'timing', 'byzantine'].map((mode) => `${component} ${mode}`))
    expect(cells.filter((cell) => !proven.has(cell))).toEqual([])
  })
})
