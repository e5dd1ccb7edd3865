import { ALWAYS, percentile } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const HOUR_MS = 3_600_000
const DOWN_MS = 2 * HOUR_MS
const CUSTOMERS = 100
/** What waits when they are back: `npm run sweep:webhook-backlog` does it with a hundred times as many. */
const MESSAGES = 2000
/** Behind the backlog, one customer after another. */
const LIVE = 400
const LIVE_P99_MS = 5000

export const scenario: WebhookScenario = {
  name: 'W-DOWN-2H-ALL',
  summary: 'all hundred customers refuse connections for two hours: nothing is lost, all that was held arrives, and what comes then is as quick as ever',
  engine: 'webhook',
  customers: CUSTOMERS,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  takesHours: true,
  settings: { beatMs: 10_000, leaseMs: 60_000, pollMs: 10_000, keeperMs: 60_000 },
  async drive(world) {
    for (const [n, customer] of world.customers.entries()) await world.subscribe(customer, { patterns: [`order.of_${n}`] })
    for (const customer of world.customers) world.down(customer)
    const make = (n: number) => ({ type: `order.of_${n % CUSTOMERS}`, data: { n } })
    const held = await world.stream(MESSAGES, MESSAGES / (DOWN_MS / 1000), make)
    const lanes = await world.endpoints.list()
    const parked = lanes.filter(({ breaker }) => breaker !== null).length
    world.expect('all lanes are parked, and hold what came', parked === CUSTOMERS && (await world.counts()).pending === MESSAGES, `${parked} are parked, ${(await world.counts()).pending} wait`)
    for (const customer of world.customers) world.up(customer)
    const back = world.clock.monotonic()
    const settled = await world.settled(300_000)
    world.expect('all that was held arrives within five minutes', settled && (await world.counts()).delivered === held.length, `${(await world.counts()).delivered} of ${MESSAGES} after ${Math.round((world.clock.monotonic() - back) / 1000)} s`)
    const since = world.of('event.accepted').at(-1)!.t
    await world.stream(LIVE, 100, make)
    world.expect('all that came then arrives', await world.settled(60_000), JSON.stringify(await world.counts()))
    const lags = world.customers.flatMap((customer) => [...world.lags(customer, since + 1)]).toSorted((a, b) => a - b)
    const p99 = percentile(lags, 0.99)
    world.expect('what comes then is as quick as ever', lags.length === LIVE && p99 < LIVE_P99_MS, `${lags.length} arrived, p99 ${Math.round(p99)} ms`)
  },
}
