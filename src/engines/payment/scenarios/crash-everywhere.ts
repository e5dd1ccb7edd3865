import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold, throughDeath } from '../staging.ts'

/** What a payment to which nothing happens crosses, in its order. */
const SITES = ['tx:claim', 'call:fraud', 'tx:intent', 'call:bank', 'tx:outcome', 'call:notification', 'answer', 'tx:notified']

export const scenario: Scenario<PaymentAdapter> = {
  name: 'crash-everywhere',
  summary: 'the service is killed at every commit and every call of a payment, before it and after it: each customer asks again and is charged once',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'intent-before-effect', 'acknowledged-is-durable'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'store', mode: 'crash' }],
  settings: { settleMs: 2000 },
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const orders = []
    for (const site of SITES) {
      for (const when of ['before', 'after'] as const) {
        const order = shop.order()
        orders.push(order)
        world.killAt({ site, nth: 1, when })
      await throughDeath(world, () => shop.payUntilTold(order, `customer of ${site} ${when}`))
      }
    }
    for (const order of orders) expectTold(world, 'charged in the end', await shop.pay(order, 'customer, again'), 'charged')
  },
}
