import { atOnce, attemptsOf } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const CUSTOMERS = 100
const PER_SECOND = 278
const SLOW_MS = 10_000
/** Little: what is under way when all that comes is served as it comes. */
const UNDER_WAY = (PER_SECOND * SLOW_MS) / 1000

export const scenario: WebhookScenario = {
  name: 'W-SLOW-ALL',
  summary: 'a million an hour, and every customer takes ten seconds to answer: thousands are under way at once, and not one is given up',
  engine: 'webhook',
  customers: CUSTOMERS,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'timing' }],
  settings: { beatMs: 5000, leaseMs: 35_000, pollMs: 1000, keeperMs: 60_000 },
  async drive(world) {
    for (const [n, customer] of world.customers.entries()) {
      await world.subscribe(customer, { patterns: [`order.of_${n}`] })
      world.mood(customer, { kind: 'slow', ms: SLOW_MS })
    }
    const ids = await world.stream(PER_SECOND * 60, PER_SECOND, (n) => ({ type: `order.of_${n % CUSTOMERS}`, data: { n } }))
    world.expect('all arrives', await world.settled(120_000), JSON.stringify(await world.counts()))
    const attempts = await attemptsOf(world)
    world.expect('not one is given up', attempts.length === ids.length && attempts.every(({ outcome }) => outcome === 'delivered'), `${attempts.length} attempts, ${attempts.filter(({ detail }) => detail === 'TIMEOUT').length} in vain`)
    const most = atOnce(attempts)
    world.expect(`${UNDER_WAY} are under way at once`, most >= UNDER_WAY && most <= world.settings.inFlightMost, `${most}`)
  },
}
