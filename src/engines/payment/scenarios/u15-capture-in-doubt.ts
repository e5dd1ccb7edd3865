import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { askUntil, bankAsked, bankHolds, expectCount, expectTold } from '../staging.ts'

/** What may become of a capture whose answer is not heard. */
const IN_DOUBT = ['capture_then_500', 'capture_then_reset', 'delayed_capture']

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U15',
  summary: 'the money is held, and what became of its capture is not heard: looked up and captured once; a capture that the bank refuses lets the hold go',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'no-hold-left', 'within-deadline', 'every-success-notified', 'books-match-bank'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'byzantine' }, { component: 'bank', mode: 'omission' }],
  settings: { parallel: true, notifyBackoff: { baseMs: 1000, capMs: 5000 } },
  async drive(world) {
    const shop = new Shop(world)
    const holds = bankHolds(world)
    let paid = 0
    for (const kind of [...IN_DOUBT, 'charge_then_reset']) {
      const order = shop.order()
      const asked = bankAsked(world, 'charge')
      world.lie('bank', kind)
      const reply = await shop.pay(order, `customer of ${kind}`)
      expectTold(world, 'held, or not known yet', reply, 'authorised', 'pending')
      expectTold(world, 'captured in the end', await askUntil(world, shop, order, 'charged', `customer of ${kind}`), 'charged')
      expectCount(world, `authorised once, ${kind}`, asked, 1)
      paid += order.amount
      world.expect('each is captured once', holds() === paid, `${holds()} of ${paid} at the bank`)
    }
    const refused = shop.order()
    world.toxic({ link: 'bank', type: 'http_error', name: 'no_capture', attributes: { status: 422, method: 'POST', path: '/v1/captures' } })
    expectTold(world, 'held at first', await shop.payUntilTold(refused, 'customer of a refused capture'), 'authorised')
    expectTold(world, 'let go', await askUntil(world, shop, refused, 'declined'), 'declined')
    expectTold(world, 'and the key is told so from then on', await shop.pay(refused, 'customer of a refused capture'), 'declined')
    world.expect('nothing more was captured', holds() === paid, `${holds()} of ${paid} at the bank`)
  },
}
