import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { crowd, expectAllTold } from '../staging.ts'

const STORM = 150
const DECLINED_CARD = '4000000000000002'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B13',
  summary: 'somebody tries a list of stolen cards: a storm of declines does not keep good cards from paying',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const storm = []
    for (let n = 1; n <= STORM; n++) {
      storm.push(shop.pay(shop.order(DECLINED_CARD), `stolen card ${n}`))
      await world.clock.sleep(20)
    }
    const good = crowd(world, shop, 5, 20)
    expectAllTold(world, 'stolen cards are declined', await Promise.all(storm), 'declined', 'pending')
    expectAllTold(world, 'good cards are charged in the midst of it', await good, 'charged', 'pending')
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
