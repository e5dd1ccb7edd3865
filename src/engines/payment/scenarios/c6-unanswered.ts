import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, next, throughDeath } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'C6',
  summary: 'killed when the outcome is committed and before the customer is answered: the same key gets the answer without the bank',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'engine', mode: 'omission' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    let asked = () => 0
    world.killAt({ site: 'answer', nth: 1, when: 'before' })
    await throughDeath(world, () => {
      void next(world, 'node.killed').then(() => (asked = bankAsked(world)))
      return shop.pay(order, 'customer')
    })
    expectTold(world, 'the same key is answered', await shop.pay(order, 'customer'), 'charged')
    expectTold(world, 'and once more', await shop.pay(order, 'customer'), 'charged')
    expectCount(world, 'the bank is not asked', asked, 0)
  },
}
