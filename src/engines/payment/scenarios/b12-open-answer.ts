import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { crowd, expectTold, whileTurnedAway } from '../staging.ts'

const FAILING = 25
/** How long the breaker stays open, with its chance, and a second for rounding up. */
const OPEN_MS = 5500 + 1000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B12',
  summary: 'while the breaker is open a payer is told: not charged, when to come again, and that the same key is good; who has paid still gets the same answer',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline', 'same-key-same-answer'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'omission' }],
  settings: { tries: 1 },
  async drive(world) {
    const shop = new Shop(world)
    const paid = shop.order()
    expectTold(world, 'one has paid', await shop.payUntilTold(paid, 'customer who has paid'), 'charged')
    await whileTurnedAway(world, () => crowd(world, shop, FAILING, 0))
    const order = shop.order()
    const reply = await shop.pay(order, 'customer of an open breaker')
    expectTold(world, 'not charged', reply, 'not_charged')
    world.expect('in words that a program understands', reply.status === 503 && reply.safeNewKey === true, `status ${reply.status}, safe_new_key ${reply.safeNewKey}`)
    world.expect('with the time to come again', reply.retryAfterMs !== null && reply.retryAfterMs >= 1000 && reply.retryAfterMs <= OPEN_MS, `in ${reply.retryAfterMs} ms`)
    expectTold(world, 'who has paid is told the same', await shop.pay(paid, 'customer who has paid'), 'charged')
    expectTold(world, 'and may ask', await shop.ask(paid, 'customer who has paid'), 'charged')
    await world.clock.sleep(reply.retryAfterMs ?? OPEN_MS)
    expectTold(world, 'come again at that time, the bank is asked', await shop.pay(order, 'customer of an open breaker'), 'charged', 'pending')
    expectTold(world, 'and the same key pays', await shop.payUntilTold(order, 'customer of an open breaker'), 'charged')
  },
}
