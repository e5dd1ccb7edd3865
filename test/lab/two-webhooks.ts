/** As little as there can be: two events for one customer, of which the second fails once. */
import type { WebhookScenario } from '../../src/engines/webhook/stage.ts'
import { ALWAYS } from '../../src/engines/webhook/stage.ts'

export const scenario: WebhookScenario = {
  name: 'two-webhooks',
  summary: 'two events for one customer',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  settings: { pollMs: 500, keeperMs: 2000, schedule: [1000] },
  async drive(world) {
    await world.subscribe('customer-1')
    world.mood('customer-1', { kind: 'reject_every', every: 2 })
    await world.stream(2, 10)
    await world.settled(10_000)
  },
}
