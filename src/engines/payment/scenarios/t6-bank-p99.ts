import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { collect, expectAtMost, told } from '../staging.ts'

const CUSTOMERS = 300
const EVERY_MS = 200
/** Of the bank's time for a charge, ms. */
const P50 = 1500
const P99 = 5000
/** What is left for the bank of five seconds, in the usual case. */
const LEFT_MS = 4350
/** Draws from which the expected share is found. */
const DRAWS = 20_000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'T6',
  summary: 'a bank whose p99 is as long as the deadline: as many payments are pending as its latencies make so, none is said to have failed, all are charged',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'timing' }],
  async drive(world) {
    const shop = new Shop(world)
    const received = collect(world, (event) => event.type === 'bank.received' && event['ask'] === 'charge')
    const charged = collect(world, (event) => event.type === 'bank.charged')
    const replies: ReturnType<Shop['pay']>[] = []
    for (let n = 0; n < CUSTOMERS; n++) {
      world.lie('bank', 'late_answer', { ms: world.random.logNormal(P50, P99) })
      replies.push(shop.pay(shop.order(), `customer ${n + 1}`))
      await world.clock.sleep(EVERY_MS)
    }
    const answers = await Promise.all(replies)
    const pending = told(answers, 'pending')
    expectAtMost(world, 'nobody is said to have failed', CUSTOMERS - pending - told(answers, 'charged'), 0)

    const doneAt = new Map(charged.map((event) => [event['reference'], event.t]))
    const late = received.filter((event) => (doneAt.get(event['reference']) ?? Infinity) - event.t > Number(event['timeoutMs'])).length
    world.expect('pending are those whose bank was late', Math.abs(pending - late) <= 1, `${pending} pending, ${late} late`)
    const draws = world.random.fork('expected')
    const share = Array.from({ length: DRAWS }, () => draws.logNormal(P50, P99)).filter((ms) => ms > LEFT_MS).length / DRAWS
    const expected = share * CUSTOMERS
    world.expect('as many as computed', Math.abs(pending - expected) <= 4 * Math.sqrt(expected), `${pending} pending, ${expected.toFixed(1)} expected`)
    for (const order of shop.orders) await shop.askUntilTold(order, 'auditor')
  },
}
