import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, next } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'O2',
  summary: 'the store says that the outcome could not be committed, and has committed it: what is stored counts',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline', 'every-success-notified', 'intent-before-effect'],
  toxics: [],
  failures: [{ component: 'store', mode: 'byzantine' }],
  settings: { leaseMs: 4000 },
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    const receipt = next(world, 'notification.received')
    world.spoil({ site: 'tx:outcome', nth: 1, how: 'in_doubt' })
    expectTold(world, 'charged in the end', await shop.payUntilTold(order, 'customer'), 'charged')
    world.expect('the receipt comes', (await receipt) !== undefined, 'a receipt')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
