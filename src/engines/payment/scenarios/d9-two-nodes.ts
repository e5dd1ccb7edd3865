import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'D9',
  summary: 'two processes on one store get the same click: one charge, the same answer from both',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  nodes: 2,
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    const replies = await Promise.all(world.nodes.map((node) => shop.payUntilTold(order, `customer at ${node}`, 60_000, { node })))
    for (const reply of replies) expectTold(world, 'charged', reply, 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
