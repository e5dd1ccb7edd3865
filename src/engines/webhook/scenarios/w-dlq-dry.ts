import type { ReplayFilter } from '../replay.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const DEAD = 150

export const scenario: WebhookScenario = {
  name: 'W-DLQ-DRY',
  summary: 'a replay is tried dry first, with each filter: what it counts is what the job then asks for, to the one',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const [first, second] = [await world.subscribe('customer-1'), await world.subscribe('customer-2')]
    for (const customer of world.customers) world.mood(customer, { kind: 'error', status: 413 })
    const made = await world.stream(DEAD, 100, (n) => ({ type: n % 3 === 0 ? 'order.created' : n % 3 === 1 ? 'order.paid' : 'refund.issued', data: { n } }))
    await world.settled(60_000)
    for (const customer of world.customers) world.mood(customer, { kind: 'healthy' })
    await world.stream(50, 100)
    await world.settled(60_000)
    const filters: readonly [what: string, wanted: number, filter: ReplayFilter][] = [
      ['one endpoint and type', 50, { dlq: true, endpoint: first.id, type: 'order.paid' }],
      ['ids', 17, { dlq: true, ids: made.slice(-10) }],
      ['a reason that nothing has', 0, { dlq: true, reason: 'age' }],
      ['a family', 94, { dlq: true, endpoint: second.id, type: 'order.*' }],
      ['delivered ones too', 150, { dlq: false, endpoint: second.id, type: 'order.*' }],
      ['all that is left', 139, { dlq: true, reason: 'status 413' }],
    ]
    for (const [what, wanted, filter] of filters) {
      const before = world.of('customer.received').length
      const dry = await world.replays.count(filter)
      const untouched = world.of('customer.received').length === before
      const job = await world.replays.ask({ filter, who: 'operator' })
      await world.settled(60_000)
      const { matched, queued, delivered } = await world.replays.show(job.id)
      const sent = world.of('customer.received').length - before
      world.expect(`${what}: the count is what comes of it`, untouched && [matched, queued, delivered, sent].every((n) => n === dry) && dry === wanted, `${wanted} were meant, ${dry} counted, ${matched} matched, ${queued} queued, ${delivered} delivered, ${sent} requests`)
    }
    world.expect('in the end nothing is dead', (await world.counts())['dead'] === 0, JSON.stringify(await world.counts()))
  },
}
