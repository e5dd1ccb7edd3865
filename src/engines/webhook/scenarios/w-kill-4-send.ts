import type { Cost } from '../deaths.ts'
import { die, expectCheap, keepSending, VICTIM } from '../deaths.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  name: 'W-KILL-4',
  summary: 'a node dies while customers have its requests in their hands: what they were doing comes again under the same id',
  engine: 'webhook',
  nodes: 2,
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  needsProcess: true,
  async drive(world) {
    await world.subscribe('customer-1')
    await world.subscribe('customer-2')
    world.mood('customer-2', { kind: 'slow', ms: 400 })
    const flow = keepSending(world, 20)
    const costs: Cost[] = []
    await die(world, costs, { site: 'call:customer-2', nth: 10, when: 'before' }, 'customer-2')
    await world.must((event) => event.type === 'delivery.attempted' && event.node === VICTIM)
    await die(world, costs, 'now', 'customer-2')
    world.expect('something was in flight', costs[1]!.inFlight['customer-2']! > 0, `${costs[1]!.inFlight['customer-2']} requests`)
    const ids = await flow.stop()
    world.expect('all comes to rest', await world.settled(60_000), JSON.stringify(await world.counts()))
    for (const customer of world.customers) expectCheap(world, { ids, customer, costs })
  },
}
