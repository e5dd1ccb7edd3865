import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { DEFAULTS } from '../settings.ts'
import { Shop } from '../shop.ts'
import { chargesSent, crowd, expectAllTold, expectAtMost, whileTurnedAway } from '../staging.ts'

const HUNG = 70
const FAILING = 30
const OPEN_MS = 1000
const TRIES = 5
const QUICK_MS = 50

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B4',
  summary: 'calls of before the breaker opened end when it has closed again: that they failed says nothing of the bank as it is now',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'timing' }],
  settings: { tries: 1, breaker: { ...DEFAULTS.breaker, openMs: OPEN_MS, rampMs: 0 }, bulkhead: { floor: 500, ceiling: 500, profile: [], queue: 200 } },
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    const hangs = world.toxic({ link: 'bank', type: 'hang', attributes: { method: 'POST', path: '/v1/charges', first: HUNG } })
    const hung = crowd(world, shop, HUNG, 0)
    await world.clock.sleep(OPEN_MS)
    expectAtMost(world, 'the first ones hang', sent.length, HUNG)
    await whileTurnedAway(world, () => crowd(world, shop, FAILING, 0))
    hangs()
    const before = sent.length
    expectAllTold(world, 'the breaker is open', await crowd(world, shop, 3, 0), 'not_charged')
    expectAtMost(world, 'and asks nobody', sent.length - before, 0)
    await world.clock.sleep(OPEN_MS + 200)
    world.lie('bank', 'late_answer', { ms: QUICK_MS, times: TRIES + 1 })
    expectAllTold(world, 'those who try it go well, and it closes', await crowd(world, shop, TRIES, 0), 'charged')
    expectAllTold(world, 'it is closed', await crowd(world, shop, 1, 0), 'charged', 'pending')
    expectAllTold(world, 'the hung ones are given up', await hung, 'pending', 'charged', 'not_charged')
    expectAllTold(world, 'it stays closed', await crowd(world, shop, TRIES, 0), 'charged', 'pending')
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
