import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { GOOD_CARD, Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

/** Stripe's test card that is always declined for lack of money. */
const EMPTY_CARD = '4000000000009995'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'D10',
  summary: 'the same key after a decline: declined again without the bank; a new key with a good card pays',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order(EMPTY_CARD)
    expectTold(world, 'declined', await shop.payUntilTold(order, 'customer'), 'declined')
    const asked = bankAsked(world, 'charge')
    expectTold(world, 'the same key stays declined', await shop.pay(order, 'customer, again'), 'declined')
    expectCount(world, 'the bank is not asked for the same key', asked, 0)
    expectTold(world, 'a new key may try', await shop.payUntilTold({ ...shop.rekeyed(order), card: GOOD_CARD }, 'customer with another card'), 'charged')
  },
}
