import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold, throughDeath } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'L1',
  summary: 'through lost answers, kills, refunds, declines and a cancellation the ledger sums to zero, and has for each payment what the bank has',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'refund-as-asked', 'books-match-bank'],
  toxics: [],
  failures: [{ component: 'store', mode: 'byzantine' }],
  settings: { settleMs: 3000 },
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const orders = Array.from({ length: 6 }, () => shop.order())
    for (const kind of ['charge_then_500', 'error_500', 'charge_then_reset']) world.lie('bank', kind)
    for (const reply of await Promise.all(orders.map((order) => shop.payUntilTold(order, `customer of ${order.order}`)))) expectTold(world, 'charged', reply, 'charged')
    for (const site of ['tx:outcome', 'call:bank']) {
      const order = shop.order()
      world.killAt({ site, nth: 1, when: 'after' })
      expectTold(world, 'charged, through a kill', await throughDeath(world, () => shop.payUntilTold(order, 'customer of a node that dies')), 'charged')
    }
    expectTold(world, 'declined', await shop.payUntilTold(shop.order('4000000000000002'), 'customer without money'), 'declined')
    const [part, whole] = orders
    world.killAt({ site: 'tx:refund-outcome', nth: 1, when: 'before' })
    const wish = shop.wish(1)
    const back = await throughDeath(world, () => shop.refundUntilTold(part!, wish))
    world.expect('one cent goes back, through a kill', back.told === 'refunded', `told "${back.told}"`)
    const all = await shop.refundUntilTold(whole!, shop.wish(null))
    world.expect('all goes back', all.told === 'refunded' && all.amount === whole!.amount, `told "${all.told}"`)
  },
}
