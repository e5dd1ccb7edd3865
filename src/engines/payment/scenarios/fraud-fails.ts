import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

/** Above what goes on without a fraud check, minor units. */
const LARGE = 123_400

export const scenario: Scenario<PaymentAdapter> = {
  name: 'fraud-fails',
  summary: 'the fraud check is dead, silent, late, then talks nonsense: small payments go on, a large one is not attempted',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'fraud', mode: 'crash' }, { component: 'fraud', mode: 'omission' }, { component: 'fraud', mode: 'timing' }, { component: 'fraud', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const large = { ...shop.order(), amount: LARGE }
    world.down('fraud')
    expectTold(world, 'a small payment goes on while fraud is dead', await shop.payUntilTold(shop.order(), 'customer of a dead fraud check'), 'charged')
    const asked = bankAsked(world)
    expectTold(world, 'a large payment is not attempted', await shop.pay(large, 'customer with a large sum'), 'not_charged')
    expectCount(world, 'the bank does not hear of the large payment', asked, 0)
    world.up('fraud')
    world.toxic({ link: 'fraud', type: 'lost_response', attributes: { then: 'hang', first: 1 } })
    expectTold(world, 'and while it is silent', await shop.payUntilTold(shop.order(), 'customer of a silent fraud check'), 'charged')
    world.lie('fraud', 'late_answer')
    expectTold(world, 'and while it is late', await shop.payUntilTold(shop.order(), 'customer of a late fraud check'), 'charged')
    world.lie('fraud', 'garbage')
    expectTold(world, 'and while it talks nonsense', await shop.payUntilTold(shop.order(), 'customer of a mad fraud check'), 'charged')
    expectTold(world, 'the large payment is charged by the same key once fraud is back', await shop.payUntilTold(large, 'customer with a large sum'), 'charged')
  },
}
