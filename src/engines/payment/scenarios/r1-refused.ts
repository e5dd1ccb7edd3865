import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { collect, expectAtMost, expectTold } from '../staging.ts'

/** Too few for a breaker, together. */
const CUSTOMERS = 5
const TRIES = 3
/** Between two tries at most: the back-off doubles from 100 ms, and processes need time of their own. */
const LONGEST_WAIT_MS = 500

export const scenario: Scenario<PaymentAdapter> = {
  name: 'R1',
  summary: 'the bank refuses connections: each payment is tried a few times, after waits of chance, and then told not charged',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'crash' }],
  async drive(world) {
    const shop = new Shop(world)
    // Nobody listens: only who calls can say that it did.
    const tries = collect(world, (event) => event.type === 'hop.started' && event['hop'] === 'bank')
    const waits: number[] = []
    world.down('bank')
    for (let n = 1; n <= CUSTOMERS; n++) {
      const before = tries.length
      expectTold(world, 'not charged', await shop.pay(shop.order(), `customer ${n}`), 'not_charged')
      const own = tries.slice(before)
      expectAtMost(world, 'a payment is tried a few times', own.length, TRIES)
      waits.push(...own.slice(1).map((event, at) => event.t - own[at]!.t))
    }
    const longest = waits.length === 0 ? 0 : Math.max(...waits)
    world.expect('the waits are short, and no two alike', longest <= LONGEST_WAIT_MS && new Set(waits).size === waits.length, `${waits.length} waits, ${Math.round(longest)} ms at most`)
    world.up('bank')
    for (const order of shop.orders) expectTold(world, 'the same key pays once the bank is back', await shop.payUntilTold(order, 'customer, again'), 'charged')
  },
}
