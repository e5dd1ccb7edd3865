import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold, throughDeath } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'C2',
  summary: 'killed when the claim is committed: the payment goes on by itself',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'intent-before-effect'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'store', mode: 'crash' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    world.killAt({ site: 'tx:claim', nth: 1, when: 'after' })
    await throughDeath(world, () => shop.pay(order, 'customer'))
    expectTold(world, 'charged without being sent again', await shop.askUntilTold(order, 'customer'), 'charged')
  },
}
