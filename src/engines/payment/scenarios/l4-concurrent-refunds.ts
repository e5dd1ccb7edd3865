import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, bankHolds, expectCount, expectTold } from '../staging.ts'

/** Ten wishes of which six fit. */
const WISHES = 10
const SHARE = 0.15

export const scenario: Scenario<PaymentAdapter> = {
  name: 'L4',
  summary: 'ten refunds at once at two nodes, of more than was charged: as many as fit are given back, the others are refused',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'refund-as-asked', 'books-match-bank'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  nodes: 2,
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const holds = bankHolds(world)
    expectTold(world, 'charged', await shop.payUntilTold(order, 'customer'), 'charged')
    const amount = Math.floor(order.amount * SHARE)
    const asked = bankAsked(world, 'refund')
    const fit = Math.floor(order.amount / amount)
    const replies = await Promise.all(Array.from({ length: WISHES }, (_, n) => shop.refund(order, shop.wish(amount), `customer ${n + 1}`, world.nodes[n % 2])))
    const told = (word: string) => replies.filter((reply) => reply.told === word).length
    world.expect('as many as fit are given back', told('refunded') === fit, `${told('refunded')} of ${fit}`)
    world.expect('the others are refused', told('refused') === WISHES - fit, `${told('refused')} of ${WISHES - fit}`)
    expectCount(world, 'the bank is not asked for more than was charged', asked, fit)
    world.expect('the bank has the rest', holds() === order.amount - fit * amount, `${holds()} of ${order.amount} left`)
    const rest = await shop.refund(order, shop.wish(null), 'customer who wants the rest')
    world.expect('which goes back as well', rest.told === 'refunded' && holds() === 0, `told "${rest.told}", ${holds()} left`)
  },
}
