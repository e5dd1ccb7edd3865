import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

const RELOADED_MS = 100

export const scenario: Scenario<PaymentAdapter> = {
  name: 'D14',
  summary: 'the browser is reloaded in the middle of a payment: the page that kept its key learns the outcome, one that lost it is sent to the payment',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'crash' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    await shop.pay(order, 'page', { patienceMs: RELOADED_MS })
    const paid = await shop.payUntilTold(order, 'page with its key, reloaded')
    expectTold(world, 'the kept key learns that it was charged', paid, 'charged')
    const lost = await shop.pay(shop.rekeyed(order), 'page that lost its key, reloaded')
    expectTold(world, 'the new key is refused', lost, 'conflict')
    world.expect('it is told of the existing payment', lost.payment === paid.payment, `told of ${lost.payment}, the payment is ${paid.payment}`)
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
