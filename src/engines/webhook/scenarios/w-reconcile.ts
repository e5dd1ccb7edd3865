import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const EVENTS = 10_000
const PER_SECOND = 500
const FORGOTTEN = 37

export const scenario: WebhookScenario = {
  name: 'W-RECONCILE',
  summary: 'a customer restores a backup and has forgotten 37 of 10 000 events: laid beside what was delivered, exactly these are missing, and these alone come again',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const { id: endpoint } = await world.subscribe('customer-1')
    const ids = await world.stream(EVENTS, PER_SECOND)
    await world.settled(60_000)
    const forgotten = world.forget('customer-1', FORGOTTEN)
    const kept = new Set(world.processed('customer-1'))
    const delivered = await world.store.transaction('look', (tx) => tx.query<{ id: string }>("SELECT e.id FROM delivery d JOIN event e ON e.seq = d.event WHERE d.state = 'delivered' ORDER BY e.id"))
    const missing = delivered.map(({ id }) => id).filter((id) => !kept.has(id))
    world.expect('exactly these are missing', JSON.stringify(missing) === JSON.stringify(forgotten) && missing.length === FORGOTTEN, `${missing.length} missing, ${forgotten.length} forgotten`)
    const before = world.inbox('customer-1').length
    await world.replays.ask({ filter: { dlq: false, endpoint, ids: missing }, who: 'customer-1' })
    await world.settled(60_000)
    const again = world.inbox('customer-1').slice(before)
    world.expect('exactly these come again', JSON.stringify(again.map(({ id }) => id!).toSorted()) === JSON.stringify(forgotten), `${again.length} requests`)
    world.expect('then none is missing', world.processed('customer-1').length === EVENTS && ids.length === EVENTS, `${world.processed('customer-1').length} of ${EVENTS}`)
  },
}
