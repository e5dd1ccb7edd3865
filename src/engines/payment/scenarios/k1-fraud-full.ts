import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { collect, crowd, expectAllTold, expectAtMost } from '../staging.ts'

const CUSTOMERS = 60
/** Calls at once to each service. */
const PLACES = 12
/** Half of what fraud may take: who has found no place there by then goes on without its word. */
const WAITED_MS = 400

export const scenario: Scenario<PaymentAdapter> = {
  name: 'K1',
  summary: 'fraud hangs and all its places are taken: the bank has places of its own, and small payments go through',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [{ link: 'fraud', type: 'hang' }],
  failures: [{ component: 'fraud', mode: 'omission' }],
  settings: { bulkhead: { floor: PLACES, ceiling: PLACES, profile: [], queue: 200 } },
  async drive(world) {
    const shop = new Shop(world)
    const atFraud = collect(world, (event) => event.type === 'exchange.opened' && event['link'] === 'fraud')
    const atBank = collect(world, (event) => event.type === 'bank.received' && event['ask'] === 'charge')
    const sent = collect(world, (event) => event.type === 'client.sent')
    const replies = await crowd(world, shop, CUSTOMERS, 0)
    expectAllTold(world, 'everybody is charged', replies, 'charged', 'pending')
    expectAtMost(world, 'fraud is asked by those who find a place', atFraud.length, CUSTOMERS / 2)
    const firstMs = atBank.length === 0 ? Infinity : atBank[0]!.t - sent[0]!.t
    world.expect('the bank is not kept waiting', firstMs <= WAITED_MS, `first asked after ${Math.round(firstMs)} ms`)
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
