import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, nextCharge } from '../staging.ts'

/** Fraud and bank take longer than these clients stay. */
const FRAUD_MS = 300
const BANK_MS = 1500
const STAYS_MS = 100
/** Beyond both. */
const AFTERWARDS_MS = 3000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'T5',
  summary: 'a client that leaves before the bank was asked is not charged and can learn that; one that leaves later is charged, and can learn that',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'crash' }],
  async drive(world) {
    const shop = new Shop(world)
    const asked = bankAsked(world, 'charge')
    const early = shop.order()
    world.lie('fraud', 'late_answer', { ms: FRAUD_MS })
    expectTold(world, 'the first client leaves without an answer', await shop.pay(early, 'client that leaves early', { patienceMs: STAYS_MS }), 'nothing')
    await world.clock.sleep(AFTERWARDS_MS)
    expectTold(world, 'it learns that it is not charged', await shop.ask(early, 'client that leaves early'), 'not_charged')
    expectCount(world, 'the bank was not asked', asked, 0)

    const late = shop.order()
    world.lie('bank', 'late_answer', { ms: BANK_MS })
    const atBank = nextCharge(world)
    const left = shop.pay(late, 'client that leaves late', { patienceMs: BANK_MS })
    await atBank
    expectTold(world, 'the second client leaves without an answer', await left, 'nothing')
    await world.clock.sleep(AFTERWARDS_MS)
    expectTold(world, 'what was begun is ended', await shop.ask(late, 'client that leaves late'), 'charged')
    expectTold(world, 'the first one is charged when it comes back', await shop.payUntilTold(early, 'client that leaves early'), 'charged')
    expectCount(world, 'the bank is asked once for each', asked, 2)
  },
}
