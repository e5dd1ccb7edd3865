import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'bank-maybe',
  summary: "the bank's answer is lost after it charged, and look-ups fail for a while: pending first, then charged, never twice",
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [{ link: 'bank', type: 'lost_response', attributes: { method: 'POST', path: '/v1/charges', first: 1 } }],
  failures: [{ component: 'network', mode: 'omission' }, { component: 'bank', mode: 'omission' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    const lookupsBack = world.toxic({ link: 'bank', type: 'http_error', attributes: { status: 503, method: 'GET', path: '/v1/charges' } })
    expectTold(world, 'pending while nobody can know', await shop.pay(order, 'customer'), 'pending')
    lookupsBack()
    expectTold(world, 'charged in the end', await shop.askUntilTold(order, 'customer'), 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
