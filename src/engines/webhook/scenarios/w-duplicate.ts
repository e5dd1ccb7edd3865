import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const MESSAGES = 50
/** Endpoints of one customer, which all lead to the same handler. */
const ENDPOINTS = 5

export const scenario: WebhookScenario = {
  name: 'W-DUP',
  summary: 'a customer has registered the same address five times, and its network sends each request twice: it sees every id ten times, several at the same moment, and does it once',
  engine: 'webhook',
  customers: 1,
  // Not w4: what one inbox sees belongs to five endpoints.
  invariants: ALWAYS.filter((name) => name !== 'w4-attempts-logged'),
  toxics: [],
  failures: [{ component: 'network', mode: 'byzantine' }],
  async drive(world) {
    for (let n = 0; n < ENDPOINTS; n++) await world.subscribe('customer-1')
    world.toxic({ link: 'customer-1', type: 'duplicate_request', attributes: { delay: 10 } })
    await world.stream(MESSAGES, 20)
    world.expect('all arrives', await world.settled(30_000), JSON.stringify(await world.counts()))
    await world.clock.sleep(5000)
    const seen = world.inbox('customer-1')
    const effects = seen.filter(({ processed }) => processed).length
    world.expect('the customer sees each ten times', seen.length === MESSAGES * ENDPOINTS * 2, `${seen.length} requests of ${MESSAGES}`)
    world.expect('each has its effect once', effects === MESSAGES, `${effects} effects`)
  },
}
