import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { chargesSent, crowd, expectAllTold, expectAtMost, expectEnoughTold, next, told, whileTurnedAway } from '../staging.ts'

const FAILING = 25
const OPEN_MS = 6000
const PROBES = 5
/** Of these: whoever is late at the bank, because fraud took its time, meets the ramp. */
const IN_TIME = 3
const RAMP_MS = 3000
/** Customers every so often, in thirds of the ramp. */
const EVERY_MS = 25
const THIRD = RAMP_MS / 3 / EVERY_MS

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B15',
  summary: 'the breaker closes, and lets those who come through little by little: a bank that has just come back is not run over',
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
    // The ramp begins when the first who tries has gone well: from then on no other could change it.
    const well = next(world, 'bank.charged')
    const tries = crowd(world, shop, PROBES, 0)
    await well
    await world.clock.sleep(EVERY_MS)
    const before = sent.length
    const early = crowd(world, shop, THIRD, EVERY_MS)
    await world.clock.sleep(RAMP_MS / 3)
    expectAtMost(world, 'few are let through at first', sent.length - before, THIRD / 2)
    const middle = crowd(world, shop, THIRD, EVERY_MS)
    await world.clock.sleep(RAMP_MS / 3)
    const late = await crowd(world, shop, THIRD, EVERY_MS)
    expectEnoughTold(world, 'the bank was tried, and was well', await tries, IN_TIME, 'charged', 'pending')
    const [first, second, third] = [told(await early, 'charged', 'pending'), told(await middle, 'charged', 'pending'), told(late, 'charged', 'pending')]
    world.expect('more and more of them', first < second && second < third, `${first}, ${second}, ${third} of ${THIRD} in each third`)
    expectAllTold(world, 'then all', await crowd(world, shop, THIRD, EVERY_MS), 'charged', 'pending')
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
