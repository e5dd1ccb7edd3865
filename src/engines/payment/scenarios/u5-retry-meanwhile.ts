import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, nextCharge } from '../staging.ts'

/** Beyond the deadline, within the settle time. */
const TOO_LATE_MS = 8000
/** Between the retries. */
const RETRIES_MS = [500, 2000, 2500]

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U5',
  summary: 'the customer asks again and again while the bank is late: told to wait, and the bank is asked once',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'timing' }, { component: 'bank', mode: 'timing' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    world.lie('bank', 'late_answer', { ms: TOO_LATE_MS })
    const atBank = nextCharge(world)
    const replies = [shop.pay(order, 'customer')]
    await atBank
    for (const ms of RETRIES_MS) {
      await world.clock.sleep(ms)
      replies.push(shop.pay(order, `customer, ${replies.length} times again`))
    }
    for (const reply of await Promise.all(replies)) expectTold(world, 'told to wait, or what came of it', reply, 'pending', 'conflict', 'charged')
    const finals = await Promise.all([shop.payUntilTold(order, 'customer'), shop.payUntilTold(order, 'customer in another tab')])
    for (const reply of finals) expectTold(world, 'charged in the end', reply, 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
