import type { Cost } from '../deaths.ts'
import { die, expectCheap, keepSending } from '../deaths.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  name: 'W-KILL-5',
  summary: 'a node dies with the answer in its hands, and again before it is written down: the event comes twice under the same id',
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
    const flow = keepSending(world, 20)
    const costs: Cost[] = []
    await die(world, costs, { site: 'call:customer-2', nth: 10, when: 'after' }, 'customer-2')
    await die(world, costs, { site: 'tx:finish', nth: 10, when: 'before' }, 'customer-2')
    const ids = await flow.stop()
    world.expect('all comes to rest', await world.settled(60_000), JSON.stringify(await world.counts()))
    for (const customer of world.customers) expectCheap(world, { ids, customer, costs })
  },
}
