import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold, next } from '../staging.ts'

/** The customer closes the browser: after the bank was asked, however slow the fraud check is. */
const LEAVES_MS = 2000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'abandon',
  summary: "the bank's answer is lost and the customer leaves for good: the payment comes to its end without him",
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment'],
  toxics: [{ link: 'bank', type: 'lost_response', attributes: { then: 'hang', method: 'POST', path: '/v1/charges', first: 1 } }],
  failures: [{ component: 'client', mode: 'omission' }, { component: 'client', mode: 'crash' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const receipt = next(world, 'notification.received')
    await shop.pay(order, 'customer', { patienceMs: LEAVES_MS })
    await receipt
    expectTold(world, 'charged, though nobody asked', await shop.ask(order, "the shop's clerk"), 'charged')
  },
}
