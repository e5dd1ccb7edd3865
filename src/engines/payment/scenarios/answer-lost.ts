import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'answer-lost',
  summary: "the service's own answer is lost on its way to the customer: the same key gets it again",
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment'],
  toxics: [{ link: 'payments', type: 'lost_response', attributes: { first: 1 } }],
  failures: [{ component: 'engine', mode: 'omission' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    expectTold(world, 'nothing arrives', await shop.pay(order, 'customer'), 'nothing')
    expectTold(world, 'charged, says the same key', await shop.payUntilTold(order, 'customer'), 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
