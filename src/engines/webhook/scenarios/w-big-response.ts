import { attemptsOf, cutAnswers } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'
import { ends, ill } from '../ill.ts'

export const scenario: WebhookScenario = {
  name: 'W-BIG-RESP',
  summary: 'a customer answers 200 and a body without end: that is delivered, marked, over at once, and nothing of the body is kept',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const endpoint = await world.subscribe('customer-1')
    const attempts = await ill(world, endpoint, 'customer-1', 'endless')
    world.expect('it is delivered, and marked', attempts.length === 3 && attempts.every(({ outcome, detail }) => outcome === 'delivered' && detail === 'too_large') && (await cutAnswers(world)) === 3, ends(attempts))
    world.expect('it is over long before the deadline', attempts.every(({ ms }) => ms < 1000), ends(attempts))
    world.expect('nothing of the body is kept', (await attemptsOf(world)).every(({ body }) => body === null), '')
    world.expect('it is not sent again', world.inbox('customer-1').length === 3, `${world.inbox('customer-1').length} requests`)
  },
}
