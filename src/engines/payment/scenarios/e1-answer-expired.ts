import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

const LIFETIME_MS = 20_000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'E1',
  summary: 'the same key again when its stored answer has expired: told so, and where the payment stands; nothing is charged',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'timing' }],
  settings: { answerLifetimeMs: LIFETIME_MS, reapMs: 5000 },
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    await shop.payUntilTold(order, 'customer')
    const asked = bankAsked(world)
    await world.clock.sleep(LIFETIME_MS / 2)
    expectTold(world, 'replayed while it lives', await shop.pay(order, 'customer'), 'charged')
    await world.clock.sleep(LIFETIME_MS)
    expectTold(world, 'not processed again', await shop.pay(order, 'customer, late'), 'conflict')
    expectTold(world, 'it stands as it did', await shop.ask(order, 'customer, late'), 'charged')
    expectTold(world, 'another key does not pay the order again', await shop.pay(shop.rekeyed(order), 'customer with a new key', { changed: true }), 'conflict')
    expectCount(world, 'the bank is not asked', asked, 0)
  },
}
