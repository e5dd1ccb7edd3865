import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { chargesSent, expectCount, expectTold, whileTurnedAway } from '../staging.ts'

/** The request is wrong, whoever sends it again. */
const REFUSALS = [400, 401, 403, 404, 422]
const DECLINED_CARD = '4000000000000002'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'R5',
  summary: 'what the bank declines, or refuses as wrong, is asked once: no retry makes it right',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    expectTold(world, 'declined', await shop.pay(shop.order(DECLINED_CARD), 'customer with a bad card'), 'declined')
    expectCount(world, 'a decline is asked for once', () => sent.length, 1)
    for (const status of REFUSALS) {
      const before = sent.length
      const reply = await whileTurnedAway(world, () => shop.pay(shop.order(), `customer whose bank answers ${status}`), { status, retry_after: 0 })
      expectTold(world, `not charged after ${status}`, reply, 'not_charged')
      expectCount(world, `${status} is asked for once`, () => sent.length - before, 1)
    }
    expectTold(world, 'a good request is charged', await shop.payUntilTold(shop.order(), 'customer'), 'charged')
  },
}
