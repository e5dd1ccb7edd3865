import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, nextCharge } from '../staging.ts'

const HOUR_MS = 3_600_000
const LEASE_MS = 4000
const SETTLE_MS = 8000
/** Within what a payment leaves for its bank when fraud takes as long as it may. */
const LATE_MS = 3500

export const scenario: Scenario<PaymentAdapter> = {
  name: 'E4',
  summary: 'the clocks of two nodes are two hours apart: no payment is taken from a node that lives, none is sent again too early, and none waits for a clock to catch up',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'intent-before-effect'],
  toxics: [],
  failures: [{ component: 'clock', mode: 'byzantine' }, { component: 'engine', mode: 'timing' }],
  settings: { leaseMs: LEASE_MS, settleMs: SETTLE_MS },
  nodes: 2,
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const [fast, slow] = world.nodes as [string, string]
    world.step(fast, HOUR_MS)
    world.step(slow, -HOUR_MS)
    for (const node of [fast, slow]) {
      const other = node === fast ? slow : fast
      const order = shop.order()
      const [asked, lookups] = [bankAsked(world, 'charge'), bankAsked(world, 'lookup')]
      world.lie('bank', 'late_answer', { ms: LATE_MS })
      const replies = await Promise.all([shop.payUntilTold(order, `customer at ${node}`, 60_000, { node }), shop.payUntilTold(order, `customer at ${other}`, 60_000, { node: other })])
      for (const reply of replies) expectTold(world, 'charged, whichever node is asked', reply, 'charged')
      expectCount(world, 'the bank is asked to charge once', asked, 1)
      expectCount(world, 'nobody took the payment over', lookups, 0)
    }
    for (const node of [fast, slow]) {
      const other = node === fast ? slow : fast
      const order = shop.order()
      const [asked, atBank] = [bankAsked(world, 'charge'), nextCharge(world)]
      // The bank works on it for longer than the lease, and until then its look-ups show nothing.
      world.lie('bank', 'late_answer', { ms: SETTLE_MS - 1000 })
      const reply = shop.pay(order, `customer at ${node}`, { node })
      await atBank
      await world.kill(node)
      await reply
      expectTold(world, 'taken over, and charged within the minute', await shop.askUntilTold(order, `customer at ${other}`, 60_000, { node: other }), 'charged')
      expectCount(world, 'not sent again while it may be under way', asked, 1)
      await world.restart(node)
    }
  },
}
