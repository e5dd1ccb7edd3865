import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { headed, Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, next, overdrawn } from '../staging.ts'

/** Either side of the amount up to which a payment goes on without fraud's word. */
const SMALL = 9_900
const LARGE = 80_000
/** What such a client leaves is enough for fraud and a bank, not for a fraud that takes all it may. */
const HURRIED_MS = 2000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'T1',
  summary: 'fraud does not answer in time: small payments go on with what is left, large ones are not charged, and no bank is asked that has too little time',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [{ link: 'fraud', type: 'latency', attributes: { latency: 5000 } }],
  failures: [{ component: 'fraud', mode: 'timing' }],
  async drive(world) {
    const shop = new Shop(world)
    const asked = bankAsked(world, 'charge')
    const promised = overdrawn(world)
    const small = { ...shop.order(), amount: SMALL }
    const sent = next(world, 'client.sent')
    const received = next(world, 'bank.received')
    expectTold(world, 'a small payment goes on', await shop.payUntilTold(small, 'customer with a small order'), 'charged')
    const waitedMs = ((await received)?.t ?? Infinity) - ((await sent)?.t ?? 0)
    world.expect('fraud is given a part of the time', waitedMs < world.adapter.deadlineMs / 2, `the bank was asked after ${Math.round(waitedMs)} ms`)
    expectCount(world, 'the bank is promised what is left, and no more', promised, 0)

    const large = { ...shop.order(), amount: LARGE }
    expectTold(world, 'a large payment does not', await shop.pay(large, 'customer with a large order'), 'not_charged')
    const hurried = { ...shop.order(), amount: SMALL + 1 }
    const reply = await shop.pay(hurried, 'customer in a hurry', headed({ 'x-request-timeout-ms': String(HURRIED_MS) }))
    expectTold(world, 'with too little left the payment is not attempted', reply, 'not_charged')
    expectCount(world, 'the bank was asked for the first one only', asked, 1)
    await world.heal()
    expectTold(world, 'the large payment is charged once fraud answers', await shop.payUntilTold(large, 'customer with a large order'), 'charged')
  },
}
