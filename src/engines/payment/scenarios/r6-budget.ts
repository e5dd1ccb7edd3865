import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { chargesSent, crowd, expectAllTold, expectAtMost, expectTold, whileTurnedAway } from '../staging.ts'

const CUSTOMERS = 60
const TRIES = 3
/** Of the calls in flight, so many may be repeats. */
const SHARE = 0.1
/** Sooner than the bank asked them to come again: those who may not retry wait for nothing. */
const AT_ONCE_MS = 1000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'R6',
  summary: 'many fail at once: a tenth of them may try again, the others are told at once that they are not charged',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'omission' }],
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    const replies = await whileTurnedAway(world, () => crowd(world, shop, CUSTOMERS, 0), { status: 429 })
    expectAllTold(world, 'nobody is charged', replies, 'not_charged')
    expectAtMost(world, 'requests to the bank', sent.length, CUSTOMERS + (TRIES - 1) * SHARE * CUSTOMERS)
    const quick = replies.filter(({ ms }) => ms <= AT_ONCE_MS).length
    world.expect('most are told at once', quick >= (1 - SHARE) * CUSTOMERS - 1, `${quick} of ${CUSTOMERS}`)
    expectTold(world, 'paid afterwards', await shop.payUntilTold(shop.orders[0]!, 'customer 1'), 'charged')
  },
}
