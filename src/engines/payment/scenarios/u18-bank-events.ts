import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, bankHolds, expectCount, expectTold, next } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U18',
  summary: "the bank's own events come before its answer, after it, twice, out of order, late, and in the answer's place: each payment moves once",
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline', 'every-success-notified', 'refund-as-asked', 'books-match-bank'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'timing' }, { component: 'bank', mode: 'byzantine' }],
  settings: { bankEventSecret: 'whsec_resil_mock_bank' },
  bank: { webhooks: true },
  async drive(world) {
    const shop = new Shop(world)
    const asked = bankAsked(world, 'charge')
    const lookups = bankAsked(world, 'lookup')
    const holds = bankHolds(world)
    let paid = 0
    const pay = async (as: string) => {
      const order = shop.order()
      paid += order.amount
      const heard = next(world, 'bank.webhook_attempted', (event) => event['status'] === 200)
      expectTold(world, `charged: ${as}`, await shop.payUntilTold(order, as), 'charged')
      await heard
      expectTold(world, 'and again', await shop.pay(order, as), 'charged')
      return order
    }
    world.lie('bank', 'webhook_first')
    await pay('customer whose event comes first')
    await pay('customer whose event comes afterwards')
    world.lie('bank', 'webhook_twice')
    await pay('customer whose event comes twice')
    world.lie('bank', 'webhook_late', { ms: 10_000 })
    await pay('customer whose event comes late')
    world.lie('bank', 'webhook_reordered')
    await Promise.all([pay('customer whose event comes behind the next'), pay('customer whose event comes before the last')])
    expectCount(world, 'no look-up was needed', lookups, 0)
    // The bank's answer hangs, and the event is faster than any look-up.
    world.toxic({ link: 'bank', type: 'lost_response', attributes: { then: 'hang', method: 'POST', path: '/v1/charges', first: 1 } })
    const order = await pay('customer whose answer is lost')
    expectCount(world, 'nor for a lost answer', lookups, 0)
    expectCount(world, 'the bank is asked to charge once each', asked, 7)
    const back = await shop.refundUntilTold(order, shop.wish(null))
    await next(world, 'bank.webhook_attempted', (event) => event['about'] === 'refund.succeeded')
    world.expect('an event of a refund moves nothing else', back.told === 'refunded' && holds() === paid - order.amount, `told "${back.told}", ${holds()} of ${paid} at the bank`)
    // A web page that anybody could send is no event.
    const forged = await world.send({ method: 'POST', path: '/v1/bank-events', headers: { 'bank-signature': 't=1,v1=00' }, body: '{}' }, { timeoutMs: 5000 })
    world.expect('an event without a signature is refused', forged.kind === 'ok' && forged.value.status === 401, `answered ${forged.kind === 'ok' ? forged.value.status : forged.kind}`)
  },
}
