import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U17',
  summary: 'the bank answers 200 and "failed", code NR, for a time-out of its own, and has charged: unknown where nobody has said what the code means, and where somebody has',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'byzantine' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    for (const providerCodes of [{}, { 'NR': 'unknown', '51': 'declined' }]) {
      await world.terminate()
      await world.restart(undefined, { providerCodes })
      const order = shop.order()
      const asked = bankAsked(world, 'charge')
      world.lie('bank', 'failed_body')
      expectTold(world, 'not said to have failed', await shop.pay(order, 'customer'), 'pending', 'charged')
      expectTold(world, 'charged in the end', await shop.payUntilTold(order, 'customer'), 'charged')
      expectCount(world, 'the bank is asked to charge once', asked, 1)
    }
  },
}
