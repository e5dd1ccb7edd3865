import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold, throughDeath } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'C1',
  summary: 'killed before the claim is committed: no trace of it, and the retry is charged once',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'intent-before-effect'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'store', mode: 'crash' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    world.killAt({ site: 'tx:claim', nth: 1, when: 'before' })
    await throughDeath(world, () => shop.pay(order, 'customer'))
    expectTold(world, 'no trace', await shop.ask(order, 'customer'), 'not_found')
    expectTold(world, 'the retry is charged', await shop.payUntilTold(order, 'customer'), 'charged')
  },
}
