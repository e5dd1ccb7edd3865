import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankHolds, expectTold, next } from '../staging.ts'

const LATE_MS = 30_000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'original-after-failover',
  summary: 'the first bank refused and the second charged; then the request reaches the first bank after all: its charge is undone, the other stands',
  engine: 'payment',
  // Two charges stand until the first bank's event has come: no caller can prevent that, only end it.
  invariants: ['answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'byzantine' }],
  settings: { acquirers: ['bank', 'bank-2'], bankEventSecret: 'whsec_resil_mock_bank' },
  bank: { second: true, webhooks: true },
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const holds = bankHolds(world)
    const undone = next(world, 'bank.voided', (event) => event['charge'] !== null)
    world.lie('bank', 'refused_then_original', { ms: LATE_MS })
    expectTold(world, 'charged by the second bank', await shop.payUntilTold(order, 'customer'), 'charged')
    world.expect('the late charge is undone', (await undone) !== undefined, `${holds()} at the banks`)
    world.expect('what the second bank charged stands', holds() === order.amount, `${holds()} at the banks`)
    expectTold(world, 'and the customer is told so', await shop.ask(order, 'customer'), 'charged')
  },
}
