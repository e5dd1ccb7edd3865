import type { Cost } from '../deaths.ts'
import { die, expectCheap, keepSending } from '../deaths.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  name: 'W-KILL-1',
  summary: 'a node dies before and after the commit that takes an event in: whoever sends it is told nothing, asks again with its key, and there is one event',
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
    await die(world, costs, { site: 'tx:enqueue', nth: 10, when: 'before' }, 'customer-2')
    await die(world, costs, { site: 'tx:enqueue', nth: 10, when: 'after' }, 'customer-2')
    const ids = await flow.stop()
    world.expect('all comes to rest', await world.settled(60_000), JSON.stringify(await world.counts()))
    const [{ events }] = (await world.store.transaction('look', (tx) => tx.query<{ events: number }>('SELECT COUNT(*) AS events FROM event'))) as [{ events: number }]
    world.expect('each was taken in once, however often it was sent', events === ids.length && new Set(ids).size === ids.length, `${events} events, ${new Set(ids).size} of ${ids.length} accepted, ${world.of('event.sent').length} requests`)
    for (const customer of world.customers) expectCheap(world, { ids, customer, costs })
  },
}
