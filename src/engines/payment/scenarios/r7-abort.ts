import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { consenting, Shop } from '../shop.ts'
import { chargesSent, expectCount, expectTold, next, whileTurnedAway } from '../staging.ts'

/** The bank asks to come again in this many s; the client stays for less. */
const AGAIN_S = 2
const STAYS_MS = 1500
/** Past the second try, had there been one. */
const AFTERWARDS_MS = 3000
/** Until it is known that nobody waits any more. */
const SOON_MS = 100

export const scenario: Scenario<PaymentAdapter> = {
  name: 'R7',
  summary: 'the client leaves, or the service is told to end, while a retry is waited for: that ends the wait, and there is no further call',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'crash' }, { component: 'engine', mode: 'crash' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    const order = shop.order()
    await whileTurnedAway(world, async () => {
      expectTold(world, 'the client leaves', await shop.pay(order, 'client that leaves', { patienceMs: STAYS_MS }), 'nothing')
      await world.clock.sleep(SOON_MS)
      expectTold(world, 'it is not charged, and that is known at once', await shop.ask(order, 'client that leaves'), 'not_charged')
      await world.clock.sleep(AFTERWARDS_MS)
      expectCount(world, 'the bank was asked once', () => sent.length, 1)
    }, { status: 429, retry_after: AGAIN_S })

    const queued = shop.order()
    await whileTurnedAway(world, async () => {
      expectTold(world, 'accepted for later', await shop.pay(queued, 'client that agreed to be charged later', consenting('payer@example.org')), 'pending')
      // Nobody waits for the next try: told to end, the service need not see it through.
      await next(world, 'exchange.answered', (event) => event['link'] === 'bank')
      const before = sent.length
      await world.terminate()
      await world.clock.sleep(AFTERWARDS_MS)
      expectCount(world, 'whoever is told to end asks no bank again', () => sent.length - before, 0)
    }, { status: 429, retry_after: AGAIN_S })
    await world.restart()
    expectTold(world, 'the next life charges', await shop.askUntilTold(queued, 'client that agreed to be charged later'), 'charged')
    expectTold(world, 'the same key pays', await shop.payUntilTold(order, 'client that left'), 'charged')
  },
}
