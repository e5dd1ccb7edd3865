/** A payment that is authorised beside fraud and captured afterwards. */
import { Shop } from '../../../dist/engines/payment/shop.js'

export const scenario = {
  name: 'two-step',
  summary: 'held, then captured',
  engine: 'payment',
  invariants: ['no-hold-left'],
  toxics: [],
  failures: [],
  settings: { parallel: true },
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    await shop.payUntilTold(order)
    await world.clock.sleep(10_000)
    await shop.ask(order)
  },
}
