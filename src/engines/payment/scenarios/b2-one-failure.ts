import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { crowd, expectAllTold, whileTurnedAway } from '../staging.ts'

/** Nothing is remembered of the time before this. */
const QUIET_MS = 60_000
const TIMES = 3

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B2',
  summary: 'one failure never opens the breaker: not the first call of all, not the first after a quiet time',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'omission' }],
  settings: { tries: 1 },
  async drive(world) {
    const shop = new Shop(world)
    for (let time = 1; time <= TIMES; time++) {
      expectAllTold(world, 'one fails', await whileTurnedAway(world, () => crowd(world, shop, 1, 0)), 'not_charged')
      expectAllTold(world, 'the next ones are charged', await crowd(world, shop, 3, 0), 'charged', 'pending')
      await world.clock.sleep(QUIET_MS)
    }
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
