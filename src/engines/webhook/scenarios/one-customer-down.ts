import { ALWAYS, percentile } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const PER_SECOND = 30
/** Before, while the third customer is down, and after. */
const BEFORE = 60
const MEANWHILE = 240
const AFTER = 60
/** What the second customer takes for each, ms. */
const SLOW_MS = 600
/** The first customer's messages, all but the slowest twentieth, ms: on a busy machine too. */
const UNHURT_MS = 2000
const ALL_BUT = 0.95
/** All that was held must have arrived so long after the third one is back, ms. */
const DRAINED_MS = 20_000

export const scenario: WebhookScenario = {
  name: 'one-customer-down',
  summary: 'three customers: one is well, one is slow, and one is away for some seconds: it is parked, costs the others nothing, and gets all that was held when it is back',
  engine: 'webhook',
  customers: 3,
  invariants: ALWAYS,
  toxics: [],
  failures: [
    { component: 'client', mode: 'omission' },
    { component: 'client', mode: 'timing' },
  ],
  settings: { probeMs: 1000, probeMaxMs: 2000, failingMs: 3000 },
  async drive(world) {
    for (const customer of world.customers) await world.subscribe(customer)
    const [well, slow, away] = world.customers as [string, string, string]
    world.mood(slow, { kind: 'slow', ms: SLOW_MS })
    await world.stream(BEFORE, PER_SECOND)
    world.down(away)
    const since = world.clock.monotonic()
    await world.stream(MEANWHILE, PER_SECOND)
    const lags = world.lags(well)
    const { length: parked } = world.of('lane.parked')
    world.expect('the lane of the one that is away is parked', parked > 0, `${parked} lanes were`)
    const slowest = percentile(lags, ALL_BUT)
    world.expect('the one that is well notices nothing', lags.length >= MEANWHILE && slowest < UNHURT_MS, `${lags.length} arrived, 95 % of them within ${Math.round(slowest)} ms`)
    const awayMs = Math.round(world.clock.monotonic() - since)
    world.up(away)
    const back = world.clock.monotonic()
    await world.stream(AFTER, PER_SECOND)
    const settled = await world.settled(DRAINED_MS)
    world.expect('all that was held arrives', settled, `it was away for ${(awayMs / 1000).toFixed(1)} s, all had arrived ${((world.clock.monotonic() - back) / 1000).toFixed(1)} s after its return`)
    // Whatever a key has done meanwhile is undone.
    await world.heal()
  },
}
