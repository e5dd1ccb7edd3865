import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

const OUTAGE_MS = 20_000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U9',
  summary: "the bank's answer is lost, and for a while it answers no look-up either: the payment stays unknown, an operator is called, and it is resolved when the bank is back",
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'omission' }],
  settings: { alarmAfterMs: 8000, settleMs: 6000 },
  async drive(world) {
    const shop = new Shop(world)
    const [charged, lost] = [shop.order(), shop.order()]
    const asked = bankAsked(world, 'charge')
    const lift = world.toxic({ link: 'bank', type: 'http_error', name: 'no_lookups', attributes: { status: 503, method: 'GET' } })
    world.lie('bank', 'charge_then_reset')
    expectTold(world, 'pending', await shop.pay(charged, 'customer'), 'pending')
    world.lie('bank', 'error_500')
    expectTold(world, 'pending, though nothing was charged', await shop.pay(lost, 'other customer'), 'pending')
    expectTold(world, 'time alone decides nothing', await shop.askUntilTold(charged, 'customer', OUTAGE_MS), 'pending')
    expectTold(world, 'nor for the other', await shop.ask(lost, 'other customer'), 'pending')
    expectCount(world, 'the bank was asked to charge once each, and not again', asked, 2)
    lift()
    expectTold(world, 'charged once the bank can be asked', await shop.askUntilTold(charged, 'customer'), 'charged')
    expectTold(world, 'sent again once nothing is found', await shop.askUntilTold(lost, 'other customer'), 'charged')
    expectCount(world, 'only what was not found is sent again', asked, 3)
  },
}
