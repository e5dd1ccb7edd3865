import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

/** Beyond the deadline; with the bank's slowest answer still within the settle time. */
const LAG_MS = 9000
const SETTLE_MS = 20_000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U10',
  summary: "the bank's answer is lost, and its look-ups show a charge only after a while: not found proves nothing before the settle time, so it is not sent again",
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'timing' }],
  settings: { settleMs: SETTLE_MS },
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    world.lie('bank', 'charge_then_reset')
    world.lie('bank', 'lookup_lag', { times: 1000, ms: LAG_MS })
    expectTold(world, 'pending while look-ups lag', await shop.pay(order, 'customer'), 'pending')
    expectTold(world, 'charged in the end', await shop.askUntilTold(order, 'customer'), 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
