import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, next, throughDeath } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'C4',
  summary: 'killed when the bank has charged and before its answer arrives: the look-up finds the charge',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'intent-before-effect'],
  toxics: [{ link: 'bank', type: 'latency', attributes: { latency: 3000, method: 'POST', path: '/v1/charges', first: 1 } }],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'network', mode: 'timing' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world, 'charge')
    const charged = next(world, 'bank.charged')
    const told = throughDeath(world, () => shop.payUntilTold(order, 'customer'))
    await charged
    await world.kill()
    expectTold(world, 'charged in the end', await told, 'charged')
    expectCount(world, 'the bank is asked to charge once', asked, 1)
  },
}
