import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, bankHolds, expectCount, expectTold, next } from '../staging.ts'

/** What may become of a refund whose answer is not heard. */
const IN_DOUBT = ['refund_then_500', 'refund_then_reset', 'delayed_refund']

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U16',
  summary: 'what became of a refund or a void is not heard: looked up, asked again under the same key, done once; never more than was charged',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'refund-as-asked', 'books-match-bank'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'byzantine' }, { component: 'bank', mode: 'omission' }],
  settings: { settleMs: 6000 },
  async drive(world) {
    const shop = new Shop(world)
    const holds = bankHolds(world)
    const order = shop.order()
    await shop.payUntilTold(order, 'customer')
    let left = order.amount
    for (const kind of IN_DOUBT) {
      const wish = shop.wish(1000)
      const asked = bankAsked(world, 'refund')
      world.lie('bank', kind)
      const told = await shop.refundUntilTold(order, wish)
      world.expect('given back in the end', told.told === 'refunded' && told.amount === 1000, `told "${told.told}", ${told.amount}`)
      expectCount(world, `asked once, ${kind}`, asked, 1)
      left -= 1000
      world.expect('given back once', holds() === left, `${holds()} of ${left} at the bank`)
    }
    const lost = shop.wish(1000)
    const asked = bankAsked(world, 'refund')
    world.toxic({ link: 'bank', type: 'lost_request', name: 'refund_lost', attributes: { then: 'hang', method: 'POST', path: '/v1/refunds', first: 1 } })
    const told = await shop.refundUntilTold(order, lost)
    world.expect('a refund that was lost on its way is asked again', told.told === 'refunded', `told "${told.told}"`)
    expectCount(world, 'and reaches the bank once', asked, 1)
    const rest = await shop.refundUntilTold(order, shop.wish(null))
    world.expect('the rest goes back', rest.told === 'refunded' && holds() === 0, `told "${rest.told}", ${holds()} left at the bank`)
    const more = await shop.refund(order, shop.wish(1))
    world.expect('there is nothing more to give back', more.told === 'refused', `told "${more.told}"`)

    for (const kind of ['void_then_500', 'void_then_reset', 'delayed_void']) {
      const cancelled = shop.order()
      world.lie('bank', 'charge_then_reset')
      world.lie('bank', kind)
      const undone = next(world, 'bank.voided')
      const atBank = next(world, 'bank.charged')
      const paid = shop.pay(cancelled, `customer of ${kind}`)
      await atBank
      await shop.cancel(cancelled)
      await paid
      await undone
      expectTold(world, 'undone in the end', await shop.askUntilTold(cancelled, `customer of ${kind}`), 'declined')
      world.expect('nothing of it is left at the bank', holds() === 0, `${holds()} at the bank`)
    }
  },
}
