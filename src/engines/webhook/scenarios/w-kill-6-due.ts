import type { Cost } from '../deaths.ts'
import { die, expectCheap, keepSending } from '../deaths.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  name: 'W-KILL-6',
  summary: 'a node dies when the end of an attempt has just been written, and before what failed is due again: it is tried again at its time',
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
    world.mood('customer-2', { kind: 'reject_every', every: 4 })
    const flow = keepSending(world, 20)
    const costs: Cost[] = []
    await die(world, costs, { site: 'tx:finish', nth: 20, when: 'after' }, 'customer-2')
    await die(world, costs, { site: 'tx:finish', nth: 20, when: 'after' }, 'customer-2')
    const ids = await flow.stop()
    world.mood('customer-2', { kind: 'healthy' })
    const due = await world.store.transaction('look', (tx) => tx.query<{ tries: number }>("SELECT tries FROM delivery WHERE state = 'pending' AND class = 1"))
    world.expect('some wait for their time', due.length > 0, `${due.length} wait`)
    world.expect('all comes to rest', await world.settled(120_000), JSON.stringify(await world.counts()))
    for (const customer of world.customers) expectCheap(world, { ids, customer, costs })
  },
}
