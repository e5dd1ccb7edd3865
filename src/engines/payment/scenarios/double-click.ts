import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'

/** Between two clicks of an impatient finger. */
const BETWEEN_CLICKS_MS = 40

export const scenario: Scenario<PaymentAdapter> = {
  name: 'double-click',
  summary: "the customer clicks Pay twice, and the bank's answer is lost after it charged: one charge, both clicks told the same",
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [{ link: 'bank', type: 'lost_response', attributes: { method: 'POST', path: '/v1/charges', first: 1 } }],
  failures: [{ component: 'network', mode: 'omission' }, { component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const clicks = []
    for (let n = 1; n <= world.options.clicks; n++) {
      if (n > 1) await world.clock.sleep(BETWEEN_CLICKS_MS)
      clicks.push(shop.payUntilTold(order, `click ${n}`))
    }
    await Promise.all(clicks)
  },
}
