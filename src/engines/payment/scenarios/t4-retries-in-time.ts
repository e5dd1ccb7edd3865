import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { chargesSent, crowd, expectAllTold, expectAtMost, overdrawn } from '../staging.ts'

const CUSTOMERS = 16
/** Each in its second or third place in the queue. */
const AT_THE_BANK = 4
/** Each of them at most so often. */
const TRIES = 3

export const scenario: Scenario<PaymentAdapter> = {
  name: 'T4',
  summary: 'queue, retries and back-off together: nobody waits beyond the deadline, and no bank is begun with that cannot answer within it',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'timing' }],
  settings: { bulkhead: { floor: AT_THE_BANK, ceiling: AT_THE_BANK, profile: [], queue: 100 } },
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    const promised = overdrawn(world)
    world.toxic({ link: 'bank', type: 'latency', attributes: { latency: 900, method: 'POST', path: '/v1/charges' } })
    world.toxic({ link: 'bank', type: 'http_error', attributes: { status: 503, retry_after: 1, every: 3, method: 'POST', path: '/v1/charges' } })
    const replies = await crowd(world, shop, CUSTOMERS, 10)
    expectAllTold(world, 'each is told what became of it', replies, 'charged', 'not_charged', 'pending')
    const slowest = Math.max(...replies.map(({ ms }) => ms))
    expectAtMost(world, 'nobody waits beyond the deadline', Math.round(slowest), world.adapter.deadlineMs)
    expectAtMost(world, 'no bank is promised more than there is', promised(), 0)
    expectAtMost(world, 'each is tried a few times', sent.length, TRIES * CUSTOMERS)
    await world.heal()
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
