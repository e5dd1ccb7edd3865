import { ALWAYS, percentile } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const CUSTOMERS = 10
const PER_SECOND = 278
const SECONDS = 60

export const scenario: WebhookScenario = {
  name: 'W-TPUT',
  summary: 'a million an hour: nothing waits for anything but its own customer, and none is late',
  engine: 'webhook',
  customers: CUSTOMERS,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'timing' }],
  async drive(world) {
    for (const [n, customer] of world.customers.entries()) await world.subscribe(customer, { patterns: [`order.of_${n}`] })
    const ids = await world.stream(PER_SECOND * SECONDS, PER_SECOND, (n) => ({ type: `order.of_${n % CUSTOMERS}`, data: { n } }))
    world.expect('all is taken in time', ids.length === PER_SECOND * SECONDS, `${ids.length}`)
    world.expect('all arrives', await world.settled(1000), JSON.stringify(await world.counts()))
    const lags = world.customers.flatMap((customer) => [...world.lags(customer)]).toSorted((a, b) => a - b)
    world.expect('none is late', lags.length === ids.length && percentile(lags, 0.99) < 500 && lags.at(-1)! < 1000, `p50 ${Math.round(percentile(lags, 0.5))} ms, p99 ${Math.round(percentile(lags, 0.99))} ms, the slowest ${Math.round(lags.at(-1) ?? 0)} ms`)
  },
}
