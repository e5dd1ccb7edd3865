import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U2',
  summary: 'the bank answers 500 and has charged: found by look-up, and never asked again',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    world.lie('bank', 'charge_then_500')
    expectTold(world, 'not said to have failed', await shop.pay(order, 'customer'), 'pending', 'charged')
    expectTold(world, 'charged in the end', await shop.payUntilTold(order, 'customer'), 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
