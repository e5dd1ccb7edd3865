import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { chargesSent, crowd, expectAllTold, expectAtMost, expectCount, whileTurnedAway } from '../staging.ts'

const FAILING = 25
/** The nodes see what an operator did at their next sweep. */
const SEEN_MS = 2500

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B9',
  summary: 'an operator opens the breaker by hand, lets it only watch, takes it out, and gives it back its own judgement; it survives a restart',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'omission' }],
  settings: { tries: 1 },
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    const force = async (forced: Parameters<typeof world.forceBreaker>[1]) => {
      await world.forceBreaker('bank', forced)
      await world.clock.sleep(SEEN_MS)
    }
    await force('open')
    expectAllTold(world, 'forced open: nobody is charged, though the bank is well', await crowd(world, shop, 3, 0), 'not_charged')
    await world.kill()
    await world.restart()
    await world.clock.sleep(SEEN_MS)
    expectAllTold(world, 'the next life keeps to it', await crowd(world, shop, 3, 0), 'not_charged')
    expectAtMost(world, 'the bank is not asked', sent.length, 0)

    for (const forced of ['metrics_only', 'disabled'] as const) {
      await force(forced)
      const before = sent.length
      await whileTurnedAway(world, () => crowd(world, shop, FAILING, 0))
      expectAllTold(world, `${forced}: all may fail, and the next one is asked for`, await crowd(world, shop, 1, 0), 'charged', 'pending')
      expectCount(world, `${forced}: all are asked for`, () => sent.length - before, FAILING + 1)
    }

    await force(null)
    await whileTurnedAway(world, () => crowd(world, shop, FAILING, 0))
    const before = sent.length
    expectAllTold(world, 'by itself it opens', await crowd(world, shop, 3, 0), 'not_charged')
    expectAtMost(world, 'and the bank is left alone', sent.length - before, 0)
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
