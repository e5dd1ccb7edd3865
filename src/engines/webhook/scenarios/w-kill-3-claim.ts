import type { Cost } from '../deaths.ts'
import { die, expectCheap, keepSending } from '../deaths.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  name: 'W-KILL-3',
  summary: 'a node dies before and after it has read what is due: what it held in memory is sent by another',
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
    await die(world, costs, { site: 'tx:claim', nth: 5, when: 'before' }, 'customer-2')
    await die(world, costs, { site: 'tx:claim', nth: 5, when: 'after' }, 'customer-2')
    const ids = await flow.stop()
    world.expect('all comes to rest', await world.settled(60_000), JSON.stringify(await world.counts()))
    for (const customer of world.customers) expectCheap(world, { ids, customer, costs })
  },
}
