import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

/** What the bank may get wrong in an answer, though not in its books. */
const WRONG = ['wrong_amount', 'wrong_currency', 'wrong_reference']

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U8',
  summary: "the bank's answer names another amount, currency or reference: never taken for a success, never asked again, an operator looks",
  engine: 'payment',
  invariants: ['at-most-one-charge', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    for (const kind of WRONG) {
      const order = shop.order()
      const asked = bankAsked(world, 'charge')
      world.lie('bank', kind)
      expectTold(world, 'somebody looks into it', await shop.payUntilTold(order, 'customer'), 'review')
      expectTold(world, 'the same key is told the same', await shop.pay(order, 'customer'), 'review')
      expectTold(world, 'a new key is refused while it is open', await shop.pay(shop.rekeyed(order), 'customer with a new key', { changed: true }), 'conflict')
      expectCount(world, `asked once, ${kind}`, asked, 1)
    }
  },
}
