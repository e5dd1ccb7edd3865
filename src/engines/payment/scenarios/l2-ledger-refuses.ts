import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'L2',
  summary: 'somebody with access to the database changes, deletes and replaces an entry of the ledger: the store refuses each',
  engine: 'payment',
  invariants: ['books-match-bank', 'at-most-one-charge'],
  toxics: [],
  failures: [{ component: 'store', mode: 'byzantine' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    // What the audit at the end tries to change.
    expectTold(world, 'charged', await shop.payUntilTold(shop.order(), 'customer'), 'charged')
  },
}
