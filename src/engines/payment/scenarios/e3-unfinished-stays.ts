import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

const MINUTE_MS = 60_000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'E3',
  summary: 'what is unknown, with an operator, or has a refund in doubt is not forgotten, however old it is: it comes to its end when the bank is back',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'no-lost-payment', 'refund-as-asked'],
  toxics: [],
  failures: [{ component: 'store', mode: 'timing' }],
  // Short clocks: an answer lives for five minutes, a key for half an hour, a bank's key for less.
  settings: { answerLifetimeMs: 5 * MINUTE_MS, keyLifetimeMs: 30 * MINUTE_MS, bankKeyLifetimeMs: 20 * MINUTE_MS, resendHorizonMs: 10 * MINUTE_MS, reapMs: MINUTE_MS, sweepMs: 10_000 },
  takesHours: true,
  async drive(world) {
    const shop = new Shop(world)
    const [forgotten, refunded, reviewed, unknown] = [shop.order('4000000000000002'), shop.order(), shop.order(), shop.order()]
    await shop.payUntilTold(forgotten, 'customer without money')
    await shop.payUntilTold(refunded, 'customer who sends it back')
    world.lie('bank', 'wrong_amount')
    await shop.payUntilTold(reviewed, 'customer of a confused bank')
    const lift = world.toxic({ link: 'bank', type: 'http_error', name: 'no_lookups', attributes: { status: 503, method: 'GET' } })
    world.lie('bank', 'refund_then_reset')
    const wish = shop.wish(null)
    await shop.refund(refunded, wish, 'customer who sends it back')
    world.lie('bank', 'charge_then_reset')
    expectTold(world, 'pending', await shop.pay(unknown, 'customer of a silent bank'), 'pending')
    const asked = bankAsked(world, 'charge')
    await world.clock.sleep(2 * 60 * MINUTE_MS)
    expectTold(world, 'what has come to its end is forgotten', await shop.ask(forgotten, 'customer without money'), 'not_found')
    expectTold(world, 'what is unknown is not', await shop.pay(unknown, 'customer of a silent bank'), 'pending')
    expectTold(world, 'nor what an operator has', await shop.pay(reviewed, 'customer of a confused bank'), 'review')
    expectTold(world, 'nor what has a refund in doubt', await shop.ask(refunded, 'customer who sends it back'), 'charged')
    lift()
    expectTold(world, 'charged in the end', await shop.askUntilTold(unknown, 'customer of a silent bank'), 'charged')
    const back = await shop.refundUntilTold(refunded, wish, 'customer who sends it back')
    world.expect('given back in the end', back.told === 'refunded', `told "${back.told}"`)
    expectCount(world, 'the bank is not asked to charge again', asked, 0)
  },
}
