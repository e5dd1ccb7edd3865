import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const EVENTS = 50
const ACK_MS = 60_000

export const scenario: WebhookScenario = {
  name: 'W-200-DEFER',
  summary: 'a customer says "later" to what it is sent: what it acknowledges is delivered, and what it never does comes again',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    await world.subscribe('customer-1', { ackMs: ACK_MS })
    world.mood('customer-1', { kind: 'deferred', ackMs: 'never' })
    const ids = await world.stream(EVENTS, 20)
    await world.clock.sleep(ACK_MS / 2)
    const early = world.inbox('customer-1').length
    world.expect('it is left its time', early === EVENTS, `${early} requests for ${EVENTS}`)
    world.expect('"later" is no delivery', (await world.counts())['delivered'] === 0, JSON.stringify(await world.counts()))
    await world.clock.sleep(ACK_MS)
    const late = world.inbox('customer-1').length
    world.expect('without an acknowledgement it comes again', late === 2 * EVENTS, `${late} requests for ${EVENTS}`)
    world.mood('customer-1', { kind: 'deferred', ackMs: ACK_MS / 10 })
    const acknowledged = await world.stream(EVENTS, 20)
    await world.clock.sleep(ACK_MS / 2)
    const given = new Set(acknowledged)
    const asked = world.inbox('customer-1').filter(({ id }) => given.has(id!)).length
    const rows = await world.store.transaction('look', (tx) => tx.query<{ id: string }>("SELECT e.id FROM delivery d JOIN event e ON e.seq = d.event WHERE d.state = 'delivered'"))
    world.expect('what is acknowledged is delivered, and does not come again', asked === EVENTS && acknowledged.every((id) => rows.some((row) => row.id === id)), `${asked} requests for ${EVENTS}, ${rows.filter(({ id }) => given.has(id)).length} delivered`)
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('all comes to rest', await world.settled(2 * ACK_MS), JSON.stringify(await world.counts()))
    const processed = new Set(world.processed('customer-1'))
    world.expect('all was processed', [...ids, ...acknowledged].every((id) => processed.has(id)), `${processed.size} of ${ids.length + acknowledged.length}`)
  },
}
