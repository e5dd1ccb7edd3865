import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, next, nextCharge, throughDeath } from '../staging.ts'

/** Short, for the sake of runs in real time: nothing is under way at the bank here. */
const SETTLE_MS = 3000
/** The settle time began a commit before the death. */
const COMMIT_MS = 1000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'C3',
  summary: 'killed when the charge request is committed, before a byte of it is sent: looked up, waited for, then sent under the same bank key',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'intent-before-effect'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'store', mode: 'crash' }],
  settings: { settleMs: SETTLE_MS },
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    const death = next(world, 'node.killed')
    const charge = nextCharge(world)
    world.killAt({ site: 'tx:intent', nth: 1, when: 'after' })
    expectTold(world, 'charged in the end', await throughDeath(world, () => shop.payUntilTold(order, 'customer')), 'charged')
    const waitedMs = ((await charge)?.t ?? 0) - ((await death)?.t ?? 0)
    world.expect('"not found" is not believed before the settle time', waitedMs > SETTLE_MS - COMMIT_MS, `sent ${(waitedMs / 1000).toFixed(1)} s after the death`)
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
