import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

const LONG_MS = 30_000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U12',
  summary: 'a bank that knows neither keys nor look-ups answers 500, once having charged and once not: never sent again, an operator decides',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'byzantine' }, { component: 'bank', mode: 'omission' }],
  settings: { bankLookup: false, resendHorizonMs: 0 },
  bank: { dialect: 'none' },
  async drive(world) {
    const shop = new Shop(world)
    const asked = bankAsked(world, 'charge')
    for (const kind of ['charge_then_500', 'error_500']) {
      const order = shop.order()
      world.lie('bank', kind)
      expectTold(world, 'somebody looks into it', await shop.payUntilTold(order, 'customer'), 'review')
      await world.clock.sleep(LONG_MS)
      expectTold(world, 'and still does, whoever asks', await shop.pay(order, 'customer'), 'review')
      expectTold(world, 'a new key is refused while it is open', await shop.pay(shop.rekeyed(order), 'customer with a new key', { changed: true }), 'conflict')
    }
    expectCount(world, 'the bank is asked once each', asked, 2)
  },
}
