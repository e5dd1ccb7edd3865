import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { chargesSent, collect, expectAtMost, expectTold, whileTurnedAway } from '../staging.ts'

const TRIES = 3

export const scenario: Scenario<PaymentAdapter> = {
  name: 'R8',
  summary: 'every service fails: of all layers one retries, so that a request of the client is a few requests to the bank, and never their product',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'omission' }, { component: 'fraud', mode: 'omission' }],
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    const asked = collect(world, (event) => event.type === 'exchange.opened' && event['link'] === 'fraud')
    const fraudIll = world.toxic({ link: 'fraud', type: 'http_error', attributes: { status: 503 } })
    const refused = shop.order()
    expectTold(world, 'not charged', await whileTurnedAway(world, () => shop.pay(refused, 'customer of a bank that turns away')), 'not_charged')
    expectAtMost(world, 'a definite refusal is tried a few times', sent.length, TRIES)
    expectAtMost(world, 'fraud is asked a few times', asked.length, TRIES)

    const doubtful = shop.order()
    const before = sent.length
    world.lie('bank', 'charge_then_500')
    expectTold(world, 'found by look-up', await shop.payUntilTold(doubtful, 'customer of a bank in doubt'), 'charged')
    expectAtMost(world, 'what is in doubt is not tried again', sent.length - before, 1)
    fraudIll()
    expectTold(world, 'the same key pays', await shop.payUntilTold(refused, 'customer of a bank that turned away'), 'charged')
  },
}
