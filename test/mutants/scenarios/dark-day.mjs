/** The bank's look-ups see nothing for a while, and its keys are forgotten meanwhile: the service comes back a day after it died with the answer in its hands. */
import { Shop } from '../../../dist/engines/payment/shop.js'

const DAY_MS = 25 * 3_600_000

export const scenario = {
  name: 'dark-day',
  summary: 'dead from the charge until the bank has forgotten the key, and the bank finds it only later',
  engine: 'payment',
  invariants: ['at-most-one-charge'],
  toxics: [],
  failures: [],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    world.lie('bank', 'lookup_lag', { times: 1000, ms: 2 * DAY_MS })
    world.killAt({ site: 'call:bank', nth: 1, when: 'after' })
    await shop.pay(order, 'customer')
    await world.clock.sleep(DAY_MS)
    await world.restart()
    await shop.askUntilTold(order, 'customer')
  },
}
