import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { chargesSent, crowd, expectAllTold, expectAtMost, expectEnoughTold, whileTurnedAway } from '../staging.ts'

const FAILING = 25
const OPEN_MS = 6000
const PROBES = 5
/** Of these: whoever is late at the bank, because fraud took its time, may find it closed already, and callers coming back little by little. */
const IN_TIME = 3
/** The breaker lets everybody through again. */
const RAMP_MS = 4000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B6',
  summary: 'the calls that were to try the bank hang: they do not hold their places for ever, the breaker opens again and recovers at its next try',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'omission' }],
  settings: { tries: 1 },
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    await whileTurnedAway(world, () => crowd(world, shop, FAILING, 0))
    await world.clock.sleep(OPEN_MS)
    const hangs = world.toxic({ link: 'bank', type: 'hang', attributes: { method: 'POST', path: '/v1/charges' } })
    const before = sent.length
    expectAllTold(world, 'those who try hang', await crowd(world, shop, PROBES, 0), 'pending')
    expectAllTold(world, 'meanwhile, and after it, nobody is let through', await crowd(world, shop, PROBES, 0), 'not_charged')
    expectAtMost(world, 'the bank is asked by those who try', sent.length - before, PROBES)
    hangs()
    await world.clock.sleep(OPEN_MS)
    expectEnoughTold(world, 'the next ones who try go well', await crowd(world, shop, PROBES, 0), IN_TIME, 'charged', 'pending')
    await world.clock.sleep(RAMP_MS)
    expectAllTold(world, 'and the breaker is closed', await crowd(world, shop, FAILING, 0), 'charged', 'pending')
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
