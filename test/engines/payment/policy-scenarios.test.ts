/** What the engine says of itself in the scenarios of time, retries, breakers and bulkheads; and that those could see what they look for. */
import { describe, expect, it } from 'vitest'
import type { Event } from '../../../src/events.ts'
import { run } from '../../../src/lab/run.ts'

async function play(scenario: string, seed = 1): Promise<{ events: Event[]; looked: (name: string) => string; of: (type: string) => Event[] }> {
  const events: Event[] = []
  const result = await run({ scenario, mode: 'sim', seed, subject: { kind: 'reference' }, toxics: [], invariants: [], options: { clicks: 2, amountMinor: 9900, currency: 'USD' }, again: '' }, { untold: true, sinks: [(event) => events.push(event)] })
  expect(result.verdict).toBe('held')
  return { events, looked: (name) => String(result.findings.find(({ invariant }) => invariant === `expected: ${name}`)?.looked), of: (type) => events.filter((event) => event.type === type) }
}

describe('what is counted was there to be counted', () => {
  it('R1: every payment is tried three times', async () => {
    expect((await play('R1')).looked('the waits are short, and no two alike')).toMatch(/^10 waits/)
  })

  it('R4: 160 retries', async () => {
    expect((await play('R4')).looked('the waits are uniform')).toMatch(/^160 retries/)
  })

  it('R6: the budget says that it is empty, once', async () => {
    const { of } = await play('R6')
    expect(of('retry_budget.emptied')).toMatchObject([{ service: 'bank', inFlight: expect.any(Number), retrying: expect.any(Number) }])
    expect(of('hop.retried').length).toBeGreaterThan(0)
  })

  it('T6: some payments are pending in every run', async () => {
    const told = (await play('T6')).of('client.told').filter((event) => event['ask'] === 'pay')
    expect(told.filter((event) => event['told'] === 'pending').length).toBeGreaterThan(0)
  })
})

describe('why a breaker opens', () => {
  it.each([['B1', 'failures'], ['B8', 'slow'], ['B9', 'failures']])('%s: for %s', async (name, why) => {
    const opened = (await play(name)).of('breaker.opened')
    expect(opened.length).toBeGreaterThan(0)
    for (const event of opened) expect(event).toMatchObject({ service: 'bank', why, calls: expect.any(Number) })
  })

  it.each(['B2', 'B3', 'B7', 'B13'])('%s: it does not', async (name) => {
    expect((await play(name)).of('breaker.opened')).toEqual([])
  })

  it('B6: again for those who tried, and then it closes', async () => {
    const { events } = await play('B6')
    expect(events.filter(({ type }) => type.startsWith('breaker.')).map(({ type, why }) => [type, why ?? ''])).toEqual([
      ['breaker.opened', 'failures'],
      ['breaker.half_opened', ''],
      ['breaker.opened', 'probes'],
      ['breaker.half_opened', ''],
      ['breaker.closed', ''],
    ])
  })

  it('B10: the next life and the node beside take it over', async () => {
    const restored = (await play('B10')).of('breaker.opened').filter(({ why }) => why === 'restored')
    expect(new Set(restored.map(({ node }) => node))).toEqual(new Set(['n1', 'n2']))
  })

  it('B9: it says when it only watches that it would have opened', async () => {
    expect((await play('B9')).of('breaker.trip_observed').length).toBeGreaterThan(0)
  })

  it('B14: for the merchant whom the bank turns away, and for nobody else', async () => {
    const opened = (await play('B14')).of('breaker.opened')
    expect(opened).toHaveLength(1)
    expect(opened[0]!['service']).toMatch(/^bank\/[0-9a-f]{32}$/)
  })
})

it('K1: fraud is refused its place, the bank is not', async () => {
  const refused = (await play('K1')).of('hop.refused').filter(({ by }) => by === 'bulkhead')
  expect(refused.length).toBeGreaterThan(0)
  expect(new Set(refused.map(({ hop }) => hop))).toEqual(new Set(['fraud']))
})
