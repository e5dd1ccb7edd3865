import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'single',
  summary: 'one payment, and nothing goes wrong unless you ask for it',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [],
  async drive(world) {
    const shop = new Shop(world)
    await shop.payUntilTold(shop.order(), 'customer')
  },
}
