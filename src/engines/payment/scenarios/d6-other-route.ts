import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'D6',
  summary: 'the same key on another path: the face has one route that takes keys, so it is refused (404 or 405), and the payment stands',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    await shop.payUntilTold(order, 'customer')
    const asked = bankAsked(world)
    const astray = await shop.pay(order, 'customer on another path', { edit: (request) => ({ ...request, path: `${request.path}/refunds` }) })
    expectTold(world, 'the other path does nothing', astray, 'refused', 'not_found')
    expectTold(world, 'the key still names its payment', await shop.pay(order, 'customer'), 'charged')
    expectCount(world, 'the bank is not asked', asked, 0)
  },
}
