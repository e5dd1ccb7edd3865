import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { crowd, expectAllTold, whileTurnedAway } from '../staging.ts'

/** Not enough for the breaker; twice as many would be. */
const FAILURES = 18
/** Longer than what it looks at; nobody calls meanwhile. */
const IDLE_MS = 15_000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B3',
  summary: 'what failed before an idle time is forgotten, although nobody called meanwhile',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'omission' }],
  settings: { tries: 1 },
  async drive(world) {
    const shop = new Shop(world)
    await whileTurnedAway(world, () => crowd(world, shop, FAILURES, 0))
    await world.clock.sleep(IDLE_MS)
    await whileTurnedAway(world, () => crowd(world, shop, FAILURES, 0))
    expectAllTold(world, 'the next one is asked for and charged', await crowd(world, shop, 1, 0), 'charged', 'pending')
    await world.clock.sleep(IDLE_MS)
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
