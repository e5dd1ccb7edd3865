import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'network-repeats',
  summary: "the network delivers the charge request twice, and the customer's request too: one charge",
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment'],
  toxics: [
    { link: 'bank', type: 'duplicate_request', attributes: { delay: 5, method: 'POST', path: '/v1/charges', first: 1 } },
    { link: 'payments', type: 'duplicate_request', attributes: { delay: 5, first: 1 } },
  ],
  failures: [{ component: 'network', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    expectTold(world, 'charged', await shop.payUntilTold(shop.order(), 'customer'), 'charged')
  },
}
