/** One node stands still while the bank answers; another takes the payment over and ends it; then the first goes on. */
import { Shop } from '../../../dist/engines/payment/shop.js'

export const scenario = {
  name: 'zombie',
  summary: 'a node that stood still goes on with a payment that another has ended',
  engine: 'payment',
  invariants: ['every-success-notified', 'at-most-one-charge'],
  toxics: [],
  failures: [],
  nodes: 2,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const charged = world.until((event) => event.type === 'bank.received', 60_000).then(() => world.pause('n1'))
    void shop.pay(order, 'customer', { node: 'n1' })
    await charged
    await world.clock.sleep(40_000)
    await shop.ask(order, 'second client', 'n2')
    world.resume('n1')
    await world.clock.sleep(60_000)
    await shop.ask(order, 'second client', 'n2')
  },
}
