import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, throughDeath } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'C5',
  summary: "killed when the bank's answer has been read and before it is committed: the look-up finds the charge",
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'intent-before-effect'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'store', mode: 'crash' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    world.killAt({ site: 'call:bank', nth: 1, when: 'after' })
    expectTold(world, 'charged in the end', await throughDeath(world, () => shop.payUntilTold(order, 'customer')), 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
