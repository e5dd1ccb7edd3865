import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const CUSTOMERS = 1000
const PATTERNS = [['order.created'], ['order.*', 'order.created'], ['refund.*'], ['*'], ['order.created.late'], ['order.paid', 'invoice.*']] as const
/** Of the six kinds, those that mean `order.created`. */
const MEANT = new Set([0, 1, 3])

export const scenario: WebhookScenario = {
  name: 'W-FANOUT',
  summary: 'one event and a thousand endpoints: exactly those that asked for it are told, once each, and what waits for one that is removed is cancelled, not lost',
  engine: 'webhook',
  customers: CUSTOMERS,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  settings: { beatMs: 1000, leaseMs: 35_000, pollMs: 1000, keeperMs: 60_000 },
  async drive(world) {
    const endpoints: string[] = []
    for (const [n, customer] of world.customers.entries()) endpoints.push((await world.subscribe(customer, { patterns: PATTERNS[n % PATTERNS.length]! })).id)
    const meant = world.customers.filter((_, n) => MEANT.has(n % PATTERNS.length))
    const told = await world.produce({ type: 'order.created', data: {} })
    world.expect('as many deliveries as asked for it', told.deliveries === meant.length, `${told.deliveries}, and ${meant.length} asked`)
    await world.settled(60_000)
    const got = new Map<string, number>()
    for (const event of world.of('customer.received')) got.set(event['customer'], (got.get(event['customer']) ?? 0) + 1)
    world.expect('exactly those that asked for it are told, once each', got.size === meant.length && meant.every((customer) => got.get(customer) === 1), `${got.size} customers, ${[...got.values()].reduce((sum, n) => sum + n, 0)} requests`)

    world.down(world.customers[0]!)
    await world.stream(3, 0)
    await world.clock.sleep(1000)
    const { cancelled } = await world.endpoints.remove(endpoints[0]!, { who: 'the scenario', why: 'it leaves' })
    world.up(world.customers[0]!)
    world.expect('what waits for one that is removed is cancelled', cancelled === 3, `${cancelled} of 3`)
    await world.settled(60_000)
    await world.clock.sleep(120_000)
    const after = world.inbox(world.customers[0]!).length
    world.expect('nobody speaks to it any more', after === 1 && (await world.counts(endpoints[0]!)).cancelled === 3, `${after} requests`)
    world.expect('the next event is not for it', (await world.produce({ type: 'order.created', data: {} })).deliveries === meant.length - 1, '')
    await world.settled(60_000)
  },
}
