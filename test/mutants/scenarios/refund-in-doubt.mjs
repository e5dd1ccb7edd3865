/** A refund whose answer is lost. */
import { Shop } from '../../../dist/engines/payment/shop.js'

export const scenario = {
  name: 'refund-in-doubt',
  summary: 'a part goes back, and the answer to it is lost',
  engine: 'payment',
  invariants: ['refund-as-asked', 'books-match-bank'],
  toxics: [],
  failures: [],
  settings: { settleMs: 3000 },
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    await shop.payUntilTold(order)
    world.lie('bank', 'refund_then_reset')
    await shop.refundUntilTold(order, shop.wish(1000))
  },
}
