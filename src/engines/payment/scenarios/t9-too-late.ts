import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { headed, Shop } from '../shop.ts'
import { collect, expectTold } from '../staging.ts'

/** Less what is kept back for the answer, this is less than a bank needs. */
const TOO_LITTLE_MS = ['1500', '800', '1', '0']

export const scenario: Scenario<PaymentAdapter> = {
  name: 'T9',
  summary: 'a client that leaves too little time for the bank is told so at once: not charged, nobody asked, and the same key pays later',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'timing' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const calls = collect(world, (event) => event.type === 'exchange.opened' && (event['link'] === 'fraud' || event['link'] === 'bank'))
    for (const ms of TOO_LITTLE_MS) {
      const reply = await shop.pay(order, `client with ${ms} ms`, headed({ 'x-request-timeout-ms': ms }))
      expectTold(world, 'not charged', reply, 'not_charged')
      world.expect('told so with the right words', reply.status === 503 && reply.retryAfterMs !== null, `status ${reply.status}`)
      world.expect('nobody was asked', calls.length === 0, `${calls.length} calls`)
    }
    expectTold(world, 'the same key pays with more time', await shop.payUntilTold(order, 'client with time'), 'charged')
  },
}
