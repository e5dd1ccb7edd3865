import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const EVENTS = 100

export const scenario: WebhookScenario = {
  name: 'W-200-LIE',
  summary: 'a login page answers 200 in the place of the customer: without a signed receipt nothing counts as delivered, and all comes again when the customer is back',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  receipts: true,
  async drive(world) {
    await world.subscribe('customer-1', { demand: { receipt: true } })
    const before = await world.stream(20, 20)
    world.expect('who holds the secret can prove it', await world.settled(10_000), JSON.stringify(await world.counts()))
    world.mood('customer-1', { kind: 'lie_200' })
    const ids = await world.stream(EVENTS, 20)
    await world.clock.sleep(10_000)
    const { delivered, pending } = (await world.counts()) as { delivered: number; pending: number }
    world.expect('a 200 alone is no delivery', delivered === before.length && pending === EVENTS, `${delivered - before.length} of ${EVENTS} count as delivered`)
    const why = await world.store.transaction('look', (tx) => tx.query<{ outcome: string }>("SELECT DISTINCT outcome FROM attempt WHERE status = 200"))
    world.expect('the log says that it is not proven', why.length === 1 && why[0]!.outcome === 'not_proven', why.map(({ outcome }) => outcome).join(' '))
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('all comes to rest', await world.settled(300_000), JSON.stringify(await world.counts()))
    const processed = new Set(world.processed('customer-1'))
    world.expect('all was processed', [...before, ...ids].every((id) => processed.has(id)), `${processed.size} of ${before.length + ids.length}`)
  },
}
