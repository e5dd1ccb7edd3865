import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'
import { ends, ill } from '../ill.ts'

export const scenario: WebhookScenario = {
  name: 'W-BIG-HEADERS',
  summary: 'a customer answers with more headers than anybody reads: that is no answer, and the message is sent again',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const endpoint = await world.subscribe('customer-1')
    const attempts = await ill(world, endpoint, 'customer-1', 'big_headers')
    world.expect('it is a failure, and says which', attempts.length === 3 && attempts.every(({ outcome, detail }) => outcome === 'unreachable' && detail === 'ANSWER_TOO_LARGE'), ends(attempts))
    const effects = world.inbox('customer-1').filter(({ processed }) => processed).length
    world.expect('each has its effect once', effects === 3, `${effects} effects`)
  },
}
