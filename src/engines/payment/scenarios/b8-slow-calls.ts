import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { DEFAULTS } from '../settings.ts'
import { Shop } from '../shop.ts'
import { chargesSent, crowd, expectAllTold, expectAtMost } from '../staging.ts'

const MANY = 25
const SLOW_MS = 2000
/** Until an open breaker has tried the bank and lets everybody through. */
const RECOVERED_MS = 6000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B8',
  summary: 'every call succeeds, and takes far too long: the breaker opens for that too',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'timing' }],
  settings: { tries: 1, breaker: { ...DEFAULTS.breaker, slowMs: SLOW_MS } },
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    const slow = world.toxic({ link: 'bank', type: 'latency', attributes: { latency: SLOW_MS, method: 'POST', path: '/v1/charges' } })
    expectAllTold(world, 'slow, and in time', await crowd(world, shop, MANY, 0), 'charged', 'pending')
    slow()
    const before = sent.length
    expectAllTold(world, 'those who come next are told not charged', await crowd(world, shop, MANY, 0), 'not_charged')
    expectAtMost(world, 'and the bank is left alone', sent.length - before, 0)
    await world.clock.sleep(RECOVERED_MS)
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
