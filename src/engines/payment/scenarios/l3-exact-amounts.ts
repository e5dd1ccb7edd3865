import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankHolds, expectTold } from '../staging.ts'

/** Currencies without minor units and with three, the least and the most that may be paid, and what no binary fraction can say. */
const PRICES = [
  { amount: 1, currency: 'JPY' },
  { amount: 1_234_567, currency: 'JPY' },
  { amount: 1, currency: 'KWD' },
  { amount: 10_001, currency: 'KWD' },
  { amount: 1, currency: 'USD' },
  { amount: 1_999, currency: 'USD' },
  { amount: 9_999_999_998, currency: 'USD' },
  { amount: 9_999_999_999, currency: 'EUR' },
]

export const scenario: Scenario<PaymentAdapter> = {
  name: 'L3',
  summary: 'yen, dinars, one cent and the largest amount are charged, booked and given back to the last minor unit',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'refund-as-asked', 'books-match-bank'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'byzantine' }],
  settings: { fraudOpenBelow: 10_000_000_000 },
  async drive(world) {
    const shop = new Shop(world)
    const holds = bankHolds(world)
    let paid = 0
    for (const price of PRICES) {
      const order = shop.order(undefined, price)
      expectTold(world, 'charged', await shop.payUntilTold(order, `customer of ${price.amount} ${price.currency}`), 'charged')
      expectTold(world, 'and replayed', await shop.pay(order, `customer of ${price.amount} ${price.currency}`), 'charged')
      paid += price.amount
      world.expect('the bank charged exactly that', holds() === paid, `${holds()} of ${paid} at the bank`)
      if (price.amount === 1) continue
      const back = await shop.refundUntilTold(order, shop.wish(price.amount - 1))
      paid -= price.amount - 1
      world.expect('all but one goes back', back.told === 'refunded' && back.amount === price.amount - 1 && holds() === paid, `told "${back.told}", ${back.amount}`)
    }
    const huge = await shop.pay(shop.order(undefined, { amount: 10_000_000_000 }), 'customer who would pay too much', { changed: true })
    expectTold(world, 'more than the largest is refused', huge, 'refused')
  },
}
