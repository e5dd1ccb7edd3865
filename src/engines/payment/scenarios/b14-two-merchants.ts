import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { headed, Shop } from '../shop.ts'
import { chargesSent, expectAtMost, expectTold, whileTurnedAway } from '../staging.ts'

const ROUNDS = 25
const CLOSED = headed({ authorization: 'Bearer merchant-a' })
const OPEN = headed({ authorization: 'Bearer merchant-b' })

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B14',
  summary: 'the bank turns one merchant away and serves the other: the breaker opens for the one and not for the other',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'byzantine' }],
  settings: { tries: 1, breakerScope: 'merchant' },
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    const both = Array.from({ length: ROUNDS }, () => ({ closed: shop.order(), open: shop.order() }))
    // Nothing in a request to the bank says whose it is: so only the one merchant's come while it turns away.
    await whileTurnedAway(world, () => Promise.all(both.map(({ closed }) => shop.pay(closed, 'customer of merchant a', CLOSED))))
    const before = sent.length
    expectTold(world, 'the one merchant\'s customers are told not charged', await shop.pay(both[0]!.closed, 'customer of merchant a', CLOSED), 'not_charged')
    expectAtMost(world, 'and the bank is not asked for them', sent.length - before, 0)
    for (const { open } of both.slice(0, 5)) expectTold(world, 'the other merchant\'s customers are charged', await shop.pay(open, 'customer of merchant b', OPEN), 'charged', 'pending')
    for (const { open } of both) await shop.payUntilTold(open, 'customer of merchant b, again', 60_000, OPEN)
    for (const { closed } of both) await shop.payUntilTold(closed, 'customer of merchant a, again', 60_000, CLOSED)
    expectTold(world, 'the one merchant\'s customers pay when the bank opens to it again', await shop.pay(both[0]!.closed, 'customer of merchant a, again', CLOSED), 'charged')
  },
}
