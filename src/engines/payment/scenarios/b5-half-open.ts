import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { chargesSent, crowd, expectAllTold, expectCount, whileTurnedAway } from '../staging.ts'

const FAILING = 25
const OPEN_MS = 6000
const PROBES = 5
const CUSTOMERS = 25
/** Longer than fraud and every other customer's answer. */
const BANK_MS = 2500
const AT_ONCE_MS = 2000
/** The breaker lets everybody through again. */
const RAMP_MS = 4000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B5',
  summary: 'when its time is up the breaker lets five through to try; the others are told at once that they are not charged',
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
    const before = sent.length
    const slow = world.toxic({ link: 'bank', type: 'latency', attributes: { latency: BANK_MS, method: 'POST', path: '/v1/charges' } })
    const replies = await crowd(world, shop, CUSTOMERS, 0)
    slow()
    expectCount(world, 'exactly five are let through', () => sent.length - before, PROBES)
    const others = replies.filter(({ told }) => told === 'not_charged')
    expectCount(world, 'the others are told not charged', () => others.length, CUSTOMERS - PROBES)
    const slowest = Math.max(...others.map(({ ms }) => ms))
    world.expect('at once', slowest <= AT_ONCE_MS, `the slowest after ${Math.round(slowest)} ms`)
    await world.clock.sleep(RAMP_MS)
    expectAllTold(world, 'the five went well: everybody is let through again', await crowd(world, shop, CUSTOMERS, 0), 'charged', 'pending')
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
