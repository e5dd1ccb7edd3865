import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U19',
  summary: 'a second bank is asked only when the first has definitely not charged; never while that is unknown',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'byzantine' }, { component: 'bank', mode: 'crash' }],
  settings: { acquirers: ['bank', 'bank-2'], settleMs: 6000 },
  bank: { second: true },
  async drive(world) {
    const shop = new Shop(world)
    const second = bankAsked(world, undefined, 'bank-2')
    for (const kind of ['charge_then_500', 'charge_then_reset', 'error_500', 'late_answer']) {
      const order = shop.order()
      world.lie('bank', kind)
      await shop.pay(order, `customer of ${kind}`)
      expectTold(world, 'charged in the end, by the first bank', await shop.askUntilTold(order, `customer of ${kind}`), 'charged')
      expectCount(world, 'the second bank is not asked while it is unknown', second, 0)
    }
    const charges = bankAsked(world, 'charge', 'bank-2')
    world.toxic({ link: 'bank', type: 'http_error', attributes: { status: 503, retry_after: 30, method: 'POST', path: '/v1/charges', first: 1 } })
    expectTold(world, 'charged by the second bank after a definite refusal', await shop.payUntilTold(shop.order(), 'customer of a busy bank'), 'charged')
    expectCount(world, 'the second bank is asked once', charges, 1)
    world.down('bank')
    const order = shop.order()
    world.lie('bank-2', 'charge_then_reset')
    await shop.pay(order, 'customer of a dead bank')
    expectTold(world, 'and what the second bank did is found there', await shop.askUntilTold(order, 'customer of a dead bank'), 'charged')
    expectCount(world, 'asked once more', charges, 2)
  },
}
