import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const TIMES = 100

export const scenario: WebhookScenario = {
  name: 'W-IDEMP',
  summary: 'a producer posts the same event a hundred times at once under one key: there is one event; the same key with another event is refused',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    await world.subscribe('customer-1')
    const event = { type: 'order.created', data: { order: 1 }, idempotencyKey: 'order-1' }
    const told = await Promise.all(Array.from({ length: TIMES }, () => world.send(event)))
    const ids = new Set(told.map(({ id }) => id))
    world.expect('all are told of the same event', ids.size === 1 && told.every((each) => each.told === 'accepted' && each.deliveries === 1), `${ids.size} events`)
    const other = await world.send({ ...event, data: { order: 2 } })
    world.expect('another event under that key is refused as a conflict', other.status === 409, `${other.status}`)
    const fresh = await world.send({ ...event, data: { order: 2 }, idempotencyKey: 'order-2' })
    world.expect('and taken under its own', fresh.told === 'accepted' && !ids.has(fresh.id), `${fresh.status}`)
    world.expect('each arrives once', (await world.settled(30_000)) && world.inbox('customer-1').length === 2, `${world.inbox('customer-1').length} requests`)
  },
}
