import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { consenting, Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, next } from '../staging.ts'

const AGREED = consenting('payer@example.org')
const DOWN_MS = 60_000
/** The hour that payers agree to, and a try more. */
const TOO_LATE_MS = 3_600_000 + 60_000
/** Beyond the time between two tries. */
const SOON_MS = 90_000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'charge-later',
  summary: 'the bank is down and the payer agrees to be charged later: charged when it is back and told by mail; after an hour given up, and told that',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline', 'every-success-notified'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'crash' }],
  settings: { queueEveryMs: 20_000, sweepMs: 2000 },
  takesHours: true,
  async drive(world) {
    const shop = new Shop(world)
    const asked = bankAsked(world, 'charge')
    const paid = shop.order()
    world.down('bank')
    const reply = await shop.pay(paid, 'patient customer', AGREED)
    expectTold(world, 'accepted', reply, 'pending')
    world.expect('with a warning not to pay again', reply.status === 202 && reply.safeNewKey === false, `status ${reply.status}, safe_new_key ${reply.safeNewKey}`)
    await world.clock.sleep(DOWN_MS)
    expectTold(world, 'not yet', await shop.pay(paid, 'patient customer, again', AGREED), 'pending')
    const receipt = next(world, 'notification.received')
    world.up('bank')
    expectTold(world, 'charged when the bank is back', await shop.askUntilTold(paid, 'patient customer', SOON_MS), 'charged')
    world.expect('and told by mail', (await receipt)?.['what'] === 'payment.succeeded', `told ${String((await receipt)?.['what'])}`)
    expectCount(world, 'the bank is asked once', asked, 1)

    const unlucky = shop.order()
    world.down('bank')
    expectTold(world, 'accepted', await shop.pay(unlucky, 'customer whose hour passes', AGREED), 'pending')
    const word = world.until((event) => event.type === 'notification.received', TOO_LATE_MS)
    await world.clock.sleep(TOO_LATE_MS)
    expectTold(world, 'given up after the hour', await shop.ask(unlucky, 'customer whose hour passed'), 'not_charged')
    world.expect('and told by mail that it is not charged', (await word)?.['what'] === 'payment.not_charged', `told ${String((await word)?.['what'])}`)
    world.up('bank')
    await world.clock.sleep(SOON_MS)
    expectCount(world, 'nothing is charged afterwards', asked, 1)
    expectTold(world, 'the same key may pay again', await shop.payUntilTold(unlucky, 'customer, again', SOON_MS, AGREED), 'charged')
  },
}
