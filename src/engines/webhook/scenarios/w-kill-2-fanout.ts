import type { Cost } from '../deaths.ts'
import { die, expectCheap, keepSending } from '../deaths.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  name: 'W-KILL-2',
  summary: 'a node dies around the commit that fans an event out to eight endpoints: all of them are told of it, or none',
  engine: 'webhook',
  nodes: 2,
  customers: 8,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  needsProcess: true,
  async drive(world) {
    for (const customer of world.customers) await world.subscribe(customer)
    await using flow = keepSending(world, 10)
    const costs: Cost[] = []
    for (const [site, when] of [['tx:enqueue', 'before'], ['tx:enqueue', 'after'], ['answer', 'before'], ['answer', 'after']] as const) await die(world, costs, { site, nth: 10, when }, 'customer-2')
    const ids = await flow.stop()
    world.expect('all comes to rest', await world.settled(60_000), JSON.stringify(await world.counts()))
    const partial = await world.store.transaction('look', (tx) => tx.query<{ id: string; deliveries: number }>('SELECT e.id, COUNT(d.id) AS deliveries FROM event e LEFT JOIN delivery d ON d.event = e.seq GROUP BY e.seq HAVING deliveries <> :all', { all: world.customers.length }))
    world.expect('no event has some of its deliveries only', partial.length === 0, `${partial.length} of ${ids.length} have`)
    for (const customer of world.customers) expectCheap(world, { ids, customer, costs })
  },
}
