import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, nextCharge } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'E5',
  summary: 'a node stands still in the middle of a charge until another takes the payment over: it wakes up late, and what it writes is refused',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'intent-before-effect', 'every-success-notified'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'timing' }, { component: 'engine', mode: 'byzantine' }],
  settings: { leaseMs: 4000 },
  nodes: 2,
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const [first, second] = world.nodes as [string, string]
    const asked = bankAsked(world, 'charge')
    const atBank = nextCharge(world)
    const told = shop.pay(order, 'customer', { node: first })
    await atBank
    world.pause(first)
    expectTold(world, 'the other node learns that it was charged', await shop.askUntilTold(order, 'customer at the other node', 60_000, { node: second }), 'charged')
    world.resume(first)
    await told
    expectTold(world, 'the woken node says the same', await shop.payUntilTold(order, 'customer at the woken node', 60_000, { node: first }), 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
