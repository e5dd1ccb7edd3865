import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { crowd, expectAllTold, told, whileTurnedAway } from '../staging.ts'

/** More than a breaker needs to judge. */
const MANY = 25
const DECLINED_CARD = '4000000000000002'
/** Calls at once, and none waits. */
const PLACES = 30
const TOO_MANY = 80
const STAYS_MS = 30

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B7',
  summary: 'declines, requests that were wrong, calls that found no place and clients who left say nothing of the bank: the breaker does not count them',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  settings: { tries: 1, bulkhead: { floor: PLACES, ceiling: PLACES, profile: [], queue: 0 } },
  async drive(world) {
    const shop = new Shop(world)
    const good = async (after: string) => expectAllTold(world, `after ${after} a good card is charged`, await crowd(world, shop, 1, 0), 'charged', 'pending')
    const declined = await Promise.all(Array.from({ length: MANY }, () => shop.pay(shop.order(DECLINED_CARD), 'customer with a bad card')))
    expectAllTold(world, 'bad cards are declined', declined, 'declined', 'pending')
    await good('declines')
    await whileTurnedAway(world, () => crowd(world, shop, MANY, 0), { status: 400, retry_after: 0 })
    await good('wrong requests')
    const full = await crowd(world, shop, TOO_MANY, 0)
    world.expect('those without a place are told not charged', told(full, 'not_charged') > 0, `${told(full, 'not_charged')} of ${TOO_MANY}`)
    await good('calls that found no place')
    await crowd(world, shop, MANY, 0, { patienceMs: STAYS_MS })
    await good('clients who left')
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
