import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold, next } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'kill-after-answer',
  summary: 'killed the moment it answered, and the bank is gone: what was acknowledged is still charged',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'acknowledged-is-durable'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'store', mode: 'crash' }, { component: 'bank', mode: 'crash' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const charged = next(world, 'bank.charged')
    const death = next(world, 'node.killed')
    const told = shop.payUntilTold(order, 'customer')
    await charged
    world.killAt({ site: 'answer', nth: 1, when: 'after' })
    expectTold(world, 'acknowledged', await told, 'charged')
    await death
    world.down('bank')
    await world.restart()
    expectTold(world, 'still charged, without the bank', await shop.ask(order, 'customer'), 'charged')
    expectTold(world, 'the same key is answered without the bank', await shop.pay(order, 'customer'), 'charged')
  },
}
