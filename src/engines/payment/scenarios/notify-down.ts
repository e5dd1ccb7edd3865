import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectCount, expectTold, next } from '../staging.ts'

/** Long enough for the first receipt to be sent and refused. */
const REFUSED_MS = 500
/** Beyond the engine's timeout for a notification. */
const TOO_LATE_MS = 2500
/** One that was answered 500, one that was answered too late, and one that was answered well. */
const COPIES = 3

export const scenario: Scenario<PaymentAdapter> = {
  name: 'notify-down',
  summary: 'notifications are refused, taken without a word, answered late and lost: the payment does not feel it, and the receipt arrives',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline', 'every-success-notified'],
  toxics: [],
  failures: [{ component: 'notification', mode: 'crash' }, { component: 'notification', mode: 'omission' }, { component: 'notification', mode: 'timing' }, { component: 'notification', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const receipts = world.tally((event) => event.type === 'notification.received')
    world.down('notification')
    expectTold(world, 'charged while notifications are down', await shop.payUntilTold(shop.order(), 'customer'), 'charged')
    await world.clock.sleep(REFUSED_MS)
    expectCount(world, 'no receipt while notifications are down', receipts, 0)
    world.lie('notification', 'error_500')
    world.lie('notification', 'taken_then_500', { after: 1 })
    world.lie('notification', 'late_answer', { after: 2, ms: TOO_LATE_MS })
    world.up('notification')
    let last = await next(world, 'notification.received', (event) => !event['duplicate'])
    for (let copy = 2; copy <= COPIES && last; copy++) last = await next(world, 'notification.received')
    world.expect('the receipt arrives, and again after each doubt', last !== undefined, `${receipts()} of ${COPIES} copies`)
  },
}
