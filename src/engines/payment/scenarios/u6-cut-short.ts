import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U6',
  summary: "the bank's answer is cut in the middle: not believed and not taken for a failure, found by look-up",
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [{ link: 'bank', type: 'partial_response', attributes: { fraction: 0.5, method: 'POST', path: '/v1/charges', first: 1 } }],
  failures: [{ component: 'network', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    expectTold(world, 'not said to have failed', await shop.pay(order, 'customer'), 'pending', 'charged')
    expectTold(world, 'charged in the end', await shop.payUntilTold(order, 'customer'), 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
