import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'D3',
  summary: 'the same key after success with another amount, currency or order: refused, nothing charged, nothing told of the payment',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline', 'key-misuse'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    await shop.payUntilTold(order, 'customer')
    const asked = bankAsked(world)
    for (const change of [{ amount: order.amount + 5000 }, { currency: 'EUR' }, { order: 'order-of-another' }]) {
      const reply = await shop.pay({ ...order, ...change }, `customer with another ${Object.keys(change)[0]}`, { changed: true })
      expectTold(world, 'refused', reply, 'refused', 'conflict')
      world.expect('it learns nothing of the payment', reply.payment === null, `told of payment ${reply.payment}`)
    }
    expectCount(world, 'the bank is not asked', asked, 0)
  },
}
