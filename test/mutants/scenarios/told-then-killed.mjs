/** The client is told, the service dies at once and lives again, and the client asks. */
import { Shop } from '../../../dist/engines/payment/shop.js'

export const scenario = {
  name: 'told-then-killed',
  summary: 'killed as soon as the client has its answer',
  engine: 'payment',
  invariants: ['acknowledged-is-durable'],
  toxics: [],
  failures: [],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    world.killAt({ site: 'answer', nth: 1, when: 'after' })
    const dead = world.until((event) => event.type === 'node.killed', 60_000)
    await shop.pay(order, 'customer')
    await dead
    await world.restart()
    await shop.ask(order, 'customer')
  },
}
