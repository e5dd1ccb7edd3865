import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'O1',
  summary: 'the disk is full when the charge request should be written: the bank is not asked before it is',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline', 'intent-before-effect'],
  toxics: [],
  failures: [{ component: 'store', mode: 'omission' }],
  settings: { leaseMs: 4000 },
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world)
    world.spoil({ site: 'tx:intent', nth: 1, how: 'full' })
    const first = await shop.pay(order, 'customer')
    world.expect('not said to be charged', first.told !== 'charged', `told "${first.told}"`)
    expectCount(world, 'the bank is not asked', asked, 0)
    expectTold(world, 'charged once there is room', await shop.askUntilTold(order, 'customer'), 'charged')
  },
}
