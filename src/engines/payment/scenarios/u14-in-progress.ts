import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

/** Beyond the deadline, within the settle time. */
const WORKS_MS = 7000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U14',
  summary: 'the bank answers 409, "in progress", and charges later: neither success nor failure, looked up until it is done',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'timing' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    world.lie('bank', 'in_progress', { ms: WORKS_MS })
    expectTold(world, 'pending', await shop.pay(order, 'customer'), 'pending')
    expectTold(world, 'charged once the bank is done', await shop.askUntilTold(order, 'customer'), 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
