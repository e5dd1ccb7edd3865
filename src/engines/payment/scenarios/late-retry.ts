import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

/** Beyond the bank's and the service's memory of keys. */
const NEXT_DAY_MS = 25 * 3_600_000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'late-retry',
  summary: 'the same key again after 25 hours, when the bank has forgotten its own: nothing is charged, and the customer is told where the payment stands',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'timing' }],
  // Nothing is abandoned here: looking for it every second would be all that happens for 25 hours.
  settings: { sweepMs: 60_000, reapMs: 3_600_000 },
  takesHours: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    await shop.payUntilTold(order, 'customer')
    await world.clock.sleep(NEXT_DAY_MS)
    const asked = bankAsked(world)
    const late = await shop.pay(order, 'customer, a day later')
    expectTold(world, 'not processed again', late, 'conflict', 'charged')
    expectTold(world, 'still charged', await shop.ask(order, 'customer, a day later'), 'charged')
    expectCount(world, 'the bank is not asked again', asked, 0)
  },
}
