import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, nextCharge } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'D7',
  summary: 'a new key for an order that is being paid, and for one that is paid: sent to the payment that exists, one charge',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    const atBank = nextCharge(world)
    const paying = shop.payUntilTold(order, 'customer')
    await atBank
    const during = await shop.pay(shop.rekeyed(order), 'another tab, meanwhile')
    const paid = await paying
    const after = await shop.pay(shop.rekeyed(order), 'another tab, afterwards')
    for (const reply of [during, after]) {
      expectTold(world, 'the new key is refused', reply, 'conflict')
      world.expect('it is told of the existing payment', reply.payment === paid.payment, `told of ${reply.payment}, the payment is ${paid.payment}`)
    }
    expectTold(world, 'the first key is charged', paid, 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
