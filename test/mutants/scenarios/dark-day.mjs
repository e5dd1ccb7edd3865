/** The service dies when the bank has charged, and is back after the bank has forgotten the key. */
import { Shop } from '../../../dist/engines/payment/shop.js'

export const scenario = {
  name: 'dark-day',
  summary: 'dead from the charge until the bank has forgotten the key',
  engine: 'payment',
  invariants: ['at-most-one-charge'],
  toxics: [],
  failures: [],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    world.killAt({ site: 'call:bank', nth: 1, when: 'after' })
    await shop.pay(order, 'customer')
    await world.clock.sleep(25 * 3_600_000)
    await world.restart()
    await shop.askUntilTold(order, 'customer')
  },
}
