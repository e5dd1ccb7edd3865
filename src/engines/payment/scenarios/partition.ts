import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold, nextCharge } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'partition',
  summary: 'the line to the bank is cut in the middle of a charge and stays cut: not said to have failed, and found when it is back',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'network', mode: 'crash' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const atBank = nextCharge(world)
    const told = shop.pay(order, 'customer')
    await atBank
    world.down('bank')
    expectTold(world, 'pending while the line is cut', await told, 'pending')
    world.up('bank')
    expectTold(world, 'charged in the end', await shop.askUntilTold(order, 'customer'), 'charged')
  },
}
