import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'bank-down',
  summary: 'the bank refuses connections: told not charged, and the same key charges once the bank is back',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'crash' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    world.down('bank')
    expectTold(world, 'not charged while the bank is down', await shop.pay(order, 'customer'), 'not_charged')
    world.up('bank')
    expectTold(world, 'charged by the same key', await shop.payUntilTold(order, 'customer'), 'charged')
  },
}
