import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

/** Enough refused calls at once to open a breaker. */
const OTHERS = 25

export const scenario: Scenario<PaymentAdapter> = {
  name: 'D13',
  summary: 'the same key again while the bank is down, and its breaker open: answered from the store, as before',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'crash' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    expectTold(world, 'charged', await shop.payUntilTold(order, 'customer'), 'charged')
    const asked = bankAsked(world)
    world.down('bank')
    expectTold(world, 'answered as before while the bank is down', await shop.pay(order, 'customer'), 'charged')
    const others = await Promise.all(Array.from({ length: OTHERS }, (_, n) => shop.pay(shop.order(), `customer ${n + 2}`)))
    for (const reply of others) expectTold(world, 'others are told that they were not charged', reply, 'not_charged')
    expectTold(world, 'answered as before while the breaker is open', await shop.pay(order, 'customer'), 'charged')
    expectTold(world, 'and so is the question where it stands', await shop.ask(order, 'customer'), 'charged')
    expectCount(world, 'the bank is not asked', asked, 0)
  },
}
