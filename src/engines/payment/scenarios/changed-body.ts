import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold, nextCharge } from '../staging.ts'

/** On top of the price, minor units. */
const MORE = 5000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'changed-body',
  summary: 'a second tab sends the same key with another amount while the first is at the bank: refused, and the first is charged alone',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline', 'key-misuse'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const atBank = nextCharge(world)
    const first = shop.payUntilTold(order, 'first tab')
    await atBank
    const second = await shop.pay({ ...order, amount: order.amount + MORE }, 'second tab', { changed: true })
    expectTold(world, 'the other amount is refused', second, 'refused', 'conflict')
    world.expect('it learns nothing of the payment', second.payment === null, `told of payment ${second.payment}`)
    expectTold(world, 'the first is charged', await first, 'charged')
  },
}
