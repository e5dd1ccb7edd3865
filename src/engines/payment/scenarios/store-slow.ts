import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'store-slow',
  summary: 'every commit of a payment takes a second: the deadline holds all the same',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'store', mode: 'timing' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    for (const site of ['tx:claim', 'tx:intent', 'tx:outcome']) world.spoil({ site, nth: 1, how: 'slow', ms: 1000 })
    expectTold(world, 'charged', await shop.payUntilTold(shop.order(), 'customer'), 'charged')
  },
}
