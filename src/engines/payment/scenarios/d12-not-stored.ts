import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'D12',
  summary: 'the bank is too busy (429): told not charged, which is not stored, so the same key pays when it asks again',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [{ link: 'bank', type: 'http_error', attributes: { status: 429, retry_after: 1, method: 'POST', path: '/v1/charges', first: 1 } }],
  failures: [{ component: 'bank', mode: 'omission' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const first = await shop.pay(order, 'customer')
    world.expect('not taken for a decline', first.told !== 'declined', `told "${first.told}"`)
    expectTold(world, 'the same key pays', await shop.payUntilTold(order, 'customer'), 'charged')
  },
}
