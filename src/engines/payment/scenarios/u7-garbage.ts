import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U7',
  summary: 'a web page arrives with status 200, once from a bank that has charged and once from a network that never asked it: not believed, an operator is told',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    world.lie('bank', 'garbage')
    expectTold(world, 'not said to have failed', await shop.pay(order, 'customer'), 'pending', 'charged')
    expectTold(world, 'charged in the end', await shop.payUntilTold(order, 'customer'), 'charged')
    expectCount(world, 'a bank that has charged is not asked again', asked, 1)
    const other = shop.order()
    world.lie('bank', 'portal')
    expectTold(world, 'not believed when nothing was charged', await shop.pay(other, 'customer of a captive network'), 'pending')
    expectTold(world, 'charged once the bank is asked', await shop.payUntilTold(other, 'customer of a captive network'), 'charged')
    expectCount(world, 'a bank that was not asked is', asked, 3)
  },
}
