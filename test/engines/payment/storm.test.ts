/** Storms at the bank under several policies, in virtual time; the full figures are for `npm run sweep:black-friday`. */
import { describe, expect, it } from 'vitest'
import type { Event } from '../../../src/events.ts'
import type { Scenario } from '../../../src/scenario.ts'
import type { PaymentAdapter } from '../../../src/engines/payment/adapter.ts'
import { textbook } from '../../../src/engines/payment/compare.ts'
import type { PaymentSettings } from '../../../src/engines/payment/settings.ts'
import { DEFAULTS } from '../../../src/engines/payment/settings.ts'
import type { StormFigures, StormPlan } from '../../../src/engines/payment/storm.ts'
import { blackFriday } from '../../../src/engines/payment/storm.ts'
import type { Plan } from '../../../src/lab/plan.ts'
import type { Result } from '../../../src/lab/run.ts'
import { load, run } from '../../../src/lab/run.ts'
import { isLong } from '../../long.ts'

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

async function play(name: string, seed: number, settings: Partial<PaymentSettings> = {}, scenario?: Scenario<PaymentAdapter>): Promise<{ result: Result; events: Event[] }> {
  const plan = planOf(name, seed)
  const units = await load(plan)
  const events: Event[] = []
  const wanted = /^(storm\.measured|bulkhead\.|breaker\.|dependency\.|client\.told)/
  const chosen = scenario ?? (units.scenario as Scenario<PaymentAdapter>)
  const result = await run(plan, { untold: true, sinks: [(event) => wanted.test(event.type) && events.push(event)] }, { ...units, scenario: { ...chosen, settings: { ...chosen.settings, ...settings } } })
  return { result, events }
}

const measured = (events: Event[]) => events.find(({ type }) => type === 'storm.measured') as unknown as StormFigures

const SHORT: StormPlan = { perSecond: 50, slots: 60, calmMs: 5000, stormMs: 25_000, afterMs: 8000, leastOfMost: 0.5 }
const shortStory = (plan: Partial<StormPlan> = {}) => blackFriday({ name: 'B11', summary: 'a short one' }, { ...SHORT, ...plan })
const violated = ({ findings }: Result) => findings.filter(({ verdict }) => verdict !== 'held').map(({ invariant, violations }) => `${invariant}: ${violations[0]?.why}`)

describe('Black Friday', () => {
  it('ours holds what it promises', async () => {
    for (const seed of isLong ? [1, 2, 3] : [1]) {
      const { result } = await play('B11', seed, {}, shortStory())
      expect(violated(result), `seed ${seed}`).toEqual([])
    }
  }, 120_000)

  it('the breaker of the textbooks lets most go that could have been paid, and nobody pays for a while afterwards', async () => {
    const [ours, theirs] = await Promise.all([play('B11', 3, {}, shortStory()), play('B11', 3, textbook.settings, shortStory())])
    expect(measured(theirs.events).ofMost).toBeLessThan(measured(ours.events).ofMost / 3)
    expect(violated(theirs.result).map((text) => text.slice(0, 8))).toContain('expected')
    expect(theirs.events.filter(({ type }) => type === 'breaker.opened').length).toBeGreaterThan(0)
  }, 120_000)

  it('no protection at all leaves everybody in doubt', async () => {
    const { events } = await play('B11', 3, { guarded: false, tries: 1, mostRunning: 1_000_000 }, shortStory())
    expect(measured(events).pending).toBeGreaterThan(0.6)
  }, 120_000)

  it('ten shops that each try again do not make the bank do more than a tenth more', async () => {
    const { result, events } = await play('B11', 3, {}, shortStory({ shops: 10, leastOfMost: 0 }))
    expect(events.filter(({ client }) => /^shop \d+$/.test(String(client))).length).toBeGreaterThan(measured(events).customers)
    expect(measured(events)).toMatchObject({ unresolved: 0 })
    expect(measured(events).amplification).toBeLessThanOrEqual(1.1)
    expect(violated(result)).toEqual([])
  }, 120_000)
})

describe('a ceiling by the time of day', () => {
  it('changes at its hour, and the calls keep to it', async () => {
    // Virtual time begins at midnight, and the ramp lasts from then until 00:01:20.
    const { events } = await play('latency-ramp', 1, { bulkhead: { ...DEFAULTS.bulkhead, floor: 1, profile: [{ from: '00:01', to: '24:00', limit: 3 }] } })
    const limits = events.filter(({ type, service }) => type === 'bulkhead.limit_changed' && service === 'bank')
    expect(limits.filter(({ at }) => at % 86_400_000 < 60_000).some(({ limit }) => limit > 3)).toBe(true)
    expect(limits.filter(({ at }) => at % 86_400_000 >= 60_000).map(({ limit }) => limit)).toEqual(expect.arrayContaining([3]))
    expect(limits.filter(({ at }) => at % 86_400_000 >= 61_500).every(({ limit, inFlight }) => limit <= 3 && inFlight <= 16)).toBe(true)
  }, 60_000)
})

describe('the bank becomes slower', () => {
  it('and a watch that takes the measure along would not warn: the usual is minutes old', async () => {
    const { events } = await play('latency-ramp', 1)
    const warned = events.find(({ type }) => type === 'dependency.warned')
    expect(warned).toMatchObject({ service: 'bank' })
    expect(warned!['recentMs']).toBeGreaterThan(2 * warned!['usualMs'])
    expect(events.filter(({ type, told }) => type === 'client.told' && told === 'pending').every(({ t }) => t > warned!.t)).toBe(true)
  }, 60_000)
})
