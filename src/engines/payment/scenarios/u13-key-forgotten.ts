import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter, PayOrder } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, bankHolds, expectCount, expectTold } from '../staging.ts'

const MINUTE_MS = 60_000
/** This bank remembers its keys for half an hour. */
const KEY_MS = 30 * MINUTE_MS
const OUTAGE_MS = 40 * MINUTE_MS

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U13',
  summary: 'when the bank can be asked again it has forgotten its keys: what it charged is found by reference, what is not found is never sent again but voided',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'byzantine' }],
  settings: { bankKeyLifetimeMs: KEY_MS, resendHorizonMs: KEY_MS / 2, sweepMs: 10_000 },
  bank: { dialect: 'qonto' },
  takesHours: true,
  async drive(world) {
    const shop = new Shop(world)
    const [found, never, hidden] = [shop.order(), shop.order(), shop.order()]
    const asked = bankAsked(world, 'charge')
    const holds = bankHolds(world)
    const inDoubt = async (...doubts: (readonly [PayOrder, string])[]) => {
      const lift = world.toxic({ link: 'bank', type: 'http_error', name: 'no_lookups', attributes: { status: 503, method: 'GET' } })
      for (const [order, lie] of doubts) {
        world.lie('bank', lie)
        expectTold(world, 'pending', await shop.pay(order, `customer of ${order.order}`), 'pending')
      }
      await world.clock.sleep(OUTAGE_MS)
      return lift
    }
    const back = await inDoubt([found, 'charge_then_reset'])
    back()
    expectTold(world, 'found by reference', await shop.askUntilTold(found, 'customer who was charged'), 'charged')
    const again = await inDoubt([never, 'error_500'], [hidden, 'charge_then_reset'])
    // From here on the bank shows nothing that is younger than a day: as if it had lost it.
    world.lie('bank', 'lookup_lag', { times: 1000, ms: 24 * 60 * MINUTE_MS })
    again()
    expectTold(world, 'given up', await shop.askUntilTold(never, 'customer who was not'), 'declined')
    expectTold(world, 'given up too, and given back', await shop.askUntilTold(hidden, 'customer whose charge is not found'), 'declined')
    expectCount(world, 'nothing is sent again after the key was forgotten', asked, 3)
    world.expect('the bank has what was told to be charged', holds() === found.amount, `${holds()} at the bank`)
  },
}
