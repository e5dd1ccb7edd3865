import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

/** Beyond the deadline, within the settle time. */
const TOO_LATE_MS = 8000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U4',
  summary: 'the bank charges long after the deadline: pending first, then charged, and the bank is asked once',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'timing' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    world.lie('bank', 'late_answer', { ms: TOO_LATE_MS })
    expectTold(world, 'pending at the deadline', await shop.pay(order, 'customer'), 'pending')
    expectTold(world, 'charged in the end', await shop.payUntilTold(order, 'customer'), 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
