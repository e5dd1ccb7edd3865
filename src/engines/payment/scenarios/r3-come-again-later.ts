import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { chargesSent, expectCount, expectTold } from '../staging.ts'

/** Beyond any deadline. */
const LATER_S = 30
/** A service that waits for nothing answers within this. */
const AT_ONCE_MS = 1000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'R3',
  summary: 'the bank asks to come again later than the deadline allows: told not charged at once, with the bank\'s own time to come again',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'omission' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const sent = chargesSent(world)
    const busy = world.toxic({ link: 'bank', type: 'http_error', attributes: { status: 503, retry_after: LATER_S, method: 'POST', path: '/v1/charges' } })
    const reply = await shop.pay(order, 'customer')
    expectTold(world, 'not charged', reply, 'not_charged')
    expectCount(world, 'the bank is asked once', () => sent.length, 1)
    world.expect('nothing is waited for', reply.ms <= AT_ONCE_MS, `answered after ${Math.round(reply.ms)} ms`)
    world.expect('the bank\'s time is passed on', reply.retryAfterMs === LATER_S * 1000, `asked to come again in ${reply.retryAfterMs} ms`)
    busy()
    expectTold(world, 'the same key pays later', await shop.payUntilTold(order, 'customer'), 'charged')
  },
}
