import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount } from '../staging.ts'

const CLICKS = [2, 10, 100]

export const scenario: Scenario<PaymentAdapter> = {
  name: 'D1',
  summary: '2, 10 and 100 clicks at once with one key: one charge each, all told the same',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const asked = bankAsked(world, 'charge')
    for (const clicks of CLICKS) {
      const order = shop.order()
      await Promise.all(Array.from({ length: clicks }, (_, n) => shop.payUntilTold(order, `click ${n + 1} of ${clicks}`)))
    }
    expectCount(world, 'the bank is asked once for each order', asked, CLICKS.length)
  },
}
