import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'D11',
  summary: 'a body that is no JSON and one that lacks the amount are refused; the right body under the same key is charged',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    expectTold(world, 'what is no JSON is refused', await shop.pay(order, 'customer', { edit: (request) => ({ ...request, body: request.body.slice(1) }) }), 'refused')
    expectTold(world, 'what lacks the amount is refused', await shop.pay(order, 'customer', { edit: (request) => ({ ...request, body: request.body.replaceAll(String(order.amount), 'null') }) }), 'refused')
    expectCount(world, 'the bank is not asked', asked, 0)
    expectTold(world, 'the corrected body is charged', await shop.payUntilTold(order, 'customer'), 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
