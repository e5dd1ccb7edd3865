import type { HttpRequest } from '../../../network.ts'
import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

function rewritten(request: HttpRequest): HttpRequest {
  const fields = Object.entries(JSON.parse(request.body) as object).toReversed()
  return { ...request, body: `\n${JSON.stringify(Object.fromEntries(fields), null, 2)}\n` }
}

export const scenario: Scenario<PaymentAdapter> = {
  name: 'D4',
  summary: 'the same key with the same fields in another order and with white space: the same payment',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    await shop.payUntilTold(order, 'customer')
    const asked = bankAsked(world)
    expectTold(world, 'the same again', await shop.pay(order, 'customer', { edit: rewritten }), 'charged')
    expectCount(world, 'the bank is not asked', asked, 0)
  },
}
