import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

const MINUTE_MS = 60_000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'E2',
  summary: 'the key itself is forgotten, and comes again: the order is still paid, so nothing is charged; an order that was declined may be paid',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'timing' }],
  // Short clocks: an answer lives for five minutes, a key for half an hour, a bank's key for less.
  settings: { answerLifetimeMs: 5 * MINUTE_MS, keyLifetimeMs: 30 * MINUTE_MS, bankKeyLifetimeMs: 20 * MINUTE_MS, resendHorizonMs: 10 * MINUTE_MS, reapMs: MINUTE_MS, sweepMs: 10_000 },
  takesHours: true,
  async drive(world) {
    const shop = new Shop(world)
    const [order, declined] = [shop.order(), shop.order('4000000000000002')]
    await shop.payUntilTold(order, 'customer')
    expectTold(world, 'declined', await shop.payUntilTold(declined, 'customer without money'), 'declined')
    await world.clock.sleep(40 * MINUTE_MS)
    const asked = bankAsked(world)
    expectTold(world, 'the order is paid', await shop.pay(order, 'customer, late'), 'conflict')
    expectTold(world, 'and that is still known', await shop.ask(order, 'customer, late'), 'charged')
    expectTold(world, 'what was declined is forgotten', await shop.ask(declined, 'customer without money'), 'not_found')
    expectTold(world, 'by whatever key', await shop.pay(shop.rekeyed(order), 'customer with a new key'), 'conflict')
    expectCount(world, 'the bank is not asked', asked, 0)
    expectTold(world, 'what was declined may be paid now', await shop.payUntilTold({ ...declined, card: '4242424242424242' }, 'customer with money'), 'charged')
  },
}
