import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, next } from '../staging.ts'

/** Both short, for the sake of runs in real time. */
const LEASE_MS = 4000
const SETTLE_MS = 3000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'C9',
  summary: 'two nodes set out to recover the same payment at the same time: one wins, and the bank is asked at most once more',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'intent-before-effect'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'engine', mode: 'timing' }],
  settings: { leaseMs: LEASE_MS, settleMs: SETTLE_MS },
  nodes: 2,
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const [first, second] = world.nodes as [string, string]
    const asked = bankAsked(world, 'charge')
    world.killAt({ site: 'tx:intent', nth: 1, when: 'after' })
    const death = next(world, 'node.killed')
    await shop.pay(order, 'customer')
    await death
    await world.clock.sleep(LEASE_MS - 500)
    world.pause(second)
    await world.clock.sleep(1500)
    // The second finds what belongs to a node that was silent for a lease, the first what its earlier life left.
    world.resume(second)
    await world.restart(first)
    expectTold(world, 'charged in the end', await shop.askUntilTold(order, 'customer'), 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
