import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankHolds, expectTold, next } from '../staging.ts'

/** Long after everybody has left. */
const LATE_MS = 30_000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U11',
  summary: 'a request that was definitely refused reaches the bank after all, when the customer was told that nothing was charged: the bank says so, and the charge is undone',
  engine: 'payment',
  // The customer was told the truth as it was: that the refusal was a lie only the bank's event shows.
  invariants: ['at-most-one-charge', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'byzantine' }],
  settings: { bankEventSecret: 'whsec_resil_mock_bank' },
  bank: { webhooks: true },
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const holds = bankHolds(world)
    const undone = next(world, 'bank.voided')
    world.lie('bank', 'refused_then_original', { ms: LATE_MS })
    expectTold(world, 'not charged, says the bank', await shop.pay(order, 'customer'), 'not_charged')
    world.expect('nothing is charged so far', holds() === 0, `${holds()} at the bank`)
    world.expect('the late charge is undone', (await undone) !== undefined, `${holds()} at the bank`)
    world.expect('no money is left at the bank', holds() === 0, `${holds()} at the bank`)
    expectTold(world, 'the same key has had its chance', await shop.payUntilTold(order, 'customer, back again'), 'declined')
    expectTold(world, 'a new key pays', await shop.payUntilTold(shop.rekeyed(order), 'customer with a new key'), 'charged')
    world.expect('and the bank has that once', holds() === order.amount, `${holds()} at the bank`)
  },
}
