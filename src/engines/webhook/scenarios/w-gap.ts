import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const MESSAGES = 100
const LOST = 3

export const scenario: WebhookScenario = {
  name: 'W-GAP',
  summary: 'something before the customer says 200 and loses the message: the customer sees by its numbers exactly which are missing, asks for them, and gets them',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const { id } = await world.subscribe('customer-1')
    world.lie('customer-1', 'lie_200', { after: 30, times: LOST })
    await world.stream(MESSAGES, 50)
    world.expect('the sender believes that all has arrived', (await world.settled(30_000)) && (await world.counts(id)).delivered === MESSAGES, JSON.stringify(await world.counts(id)))
    const known = () => new Set(world.inbox('customer-1').filter(({ processed }) => processed).map(({ sequence }) => sequence))
    const gaps = () => Array.from({ length: MESSAGES }, (_, n) => n + 1).filter((n) => !known().has(n))
    const missing = gaps()
    const lost = world.inbox('customer-1').filter(({ processed }) => !processed).map(({ sequence }) => sequence!).toSorted((a, b) => a - b)
    world.expect('the customer sees exactly what is missing', missing.length === LOST && missing.join() === lost.join(), `${missing.join(', ')} are missing, ${lost.join(', ')} were lost`)
    const rows = await world.store.transaction('look', (tx) => tx.query<{ id: string }>('SELECT e.id FROM delivery d JOIN event e ON e.seq = d.event WHERE d.n IN (SELECT value FROM json_each(:missing))', { missing: JSON.stringify(missing) }))
    const { id: job } = await world.replays.ask({ filter: { dlq: false, endpoint: id, ids: rows.map((row) => row.id) }, who: 'the scenario' })
    await world.settled(30_000)
    const { matched, delivered } = await world.replays.show(job)
    world.expect('asked for, they come under the same numbers', gaps().length === 0 && matched === LOST && delivered === LOST, `${matched} matched, ${delivered} delivered, ${gaps().length} missing`)
    world.expect('nothing has its effect twice', world.inbox('customer-1').filter(({ processed }) => processed).length === MESSAGES, '')
  },
}
