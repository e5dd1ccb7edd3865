import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U3',
  summary: 'the bank answers 500 and has not charged: believed only after the settle time, then sent again under the same bank key',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'omission' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    world.lie('bank', 'error_500')
    expectTold(world, 'pending while it is not settled', await shop.pay(order, 'customer'), 'pending')
    expectTold(world, 'charged in the end', await shop.payUntilTold(order, 'customer'), 'charged')
    expectCount(world, 'the bank is asked to charge twice', asked, 2)
  },
}
