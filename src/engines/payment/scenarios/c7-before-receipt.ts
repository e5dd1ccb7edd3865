import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold, next, throughDeath } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'C7',
  summary: 'killed when the payment is charged and before its receipt is sent: the receipt comes later, the payment is unchanged',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'every-success-notified'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'notification', mode: 'omission' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const receipt = next(world, 'notification.received')
    world.killAt({ site: 'call:notification', nth: 1, when: 'before' })
    await throughDeath(world, () => shop.payUntilTold(order, 'customer'))
    expectTold(world, 'charged', await shop.pay(order, 'customer'), 'charged')
    world.expect('the receipt comes', (await receipt) !== undefined, 'a receipt')
    expectTold(world, 'unchanged by it', await shop.pay(order, 'customer'), 'charged')
  },
}
