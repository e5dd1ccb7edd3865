import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { chargesSent, crowd, expectAllTold, expectAtMost, whileTurnedAway } from '../staging.ts'

/** The breaker looks at this much, and judges from so many calls, of which so great a part must have failed. */
const WINDOW_MS = 10_000
const MINIMUM = 20
/** Of ten calls, so many fail: less than nine. */
const FAILING = 8
const OTHERS = 2
const ROUNDS = 3

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B1',
  summary: 'the breaker opens when nearly all calls fail and there were enough of them: not on few, not while some succeed',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'omission' }],
  settings: { tries: 1 },
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    await whileTurnedAway(world, () => crowd(world, shop, MINIMUM - 2, 0))
    expectAllTold(world, 'all fail, and they are few: the next one is asked for', await crowd(world, shop, 1, 0), 'charged', 'pending')
    await world.clock.sleep(WINDOW_MS)

    for (let round = 1; round <= ROUNDS; round++) {
      const before = sent.length
      await whileTurnedAway(world, () => crowd(world, shop, FAILING, 0))
      await crowd(world, shop, OTHERS, 0)
      world.expect('many fail, and some do not: all are asked for', sent.length - before === FAILING + OTHERS, `${sent.length - before} of ${FAILING + OTHERS}`)
    }
    await world.clock.sleep(WINDOW_MS)

    await whileTurnedAway(world, () => crowd(world, shop, MINIMUM + 5, 0))
    const before = sent.length
    expectAllTold(world, 'many fail, and nearly all: those who come later are told so', await crowd(world, shop, FAILING, 0), 'not_charged')
    expectAtMost(world, 'and the bank is left alone', sent.length - before, 0)
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
