import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'bank-slow',
  summary: 'the bank charges, and its answer arrives long after the deadline: not said to have failed, and found by look-up',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [{ link: 'bank', type: 'latency', attributes: { latency: 8000, method: 'POST', path: '/v1/charges', first: 1 } }],
  failures: [{ component: 'network', mode: 'timing' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    expectTold(world, 'not said to have failed', await shop.pay(order, 'customer'), 'pending', 'charged')
    expectTold(world, 'charged in the end', await shop.payUntilTold(order, 'customer'), 'charged')
  },
}
