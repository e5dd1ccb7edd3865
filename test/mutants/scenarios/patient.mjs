/** One customer who pays, asks until told, and looks again when whatever was still on its way has arrived. */
import { Shop } from '../../../dist/engines/payment/shop.js'

export const scenario = {
  name: 'patient',
  summary: 'one customer pays, and asks again when all that was on its way has arrived',
  engine: 'payment',
  invariants: ['at-most-one-charge'],
  toxics: [],
  failures: [],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    await shop.payUntilTold(order, 'customer')
    await world.clock.sleep(60_000)
    await shop.ask(order, 'customer')
  },
}
