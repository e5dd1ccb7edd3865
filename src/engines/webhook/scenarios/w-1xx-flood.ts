import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'
import { ends, ill } from '../ill.ts'

export const scenario: WebhookScenario = {
  name: 'W-1XX-FLOOD',
  summary: 'a customer says "go on" without end and never answers: the attempt ends at its deadline, and is tried again',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const endpoint = await world.subscribe('customer-1')
    const attempts = await ill(world, endpoint, 'customer-1', 'flood_1xx')
    world.expect('each attempt ends at its deadline', attempts.length === 3 && attempts.every(({ outcome, ms }) => outcome === 'unreachable' && ms <= world.settings.deadlineMs + 500), ends(attempts))
    const effects = world.inbox('customer-1').filter(({ processed }) => processed).length
    world.expect('what the customer had done has its effect once', effects === 3, `${effects} effects, ${world.inbox('customer-1').length} requests`)
  },
}
