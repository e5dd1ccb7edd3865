import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  name: 'W-500',
  summary: 'now and then a customer answers 500: each such message is tried again on the schedule, and arrives',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    await world.subscribe('customer-1')
    world.mood('customer-1', { kind: 'reject_every', every: 10 })
    await world.stream(200, 50)
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('all arrives', await world.settled(60_000), JSON.stringify(await world.counts()))
  },
}
