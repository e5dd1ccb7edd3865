import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { headed, Shop } from '../shop.ts'
import { expectTold, nextCharge } from '../staging.ts'

/** One place, and two who may wait. */
const BANK_MS = 2500
const FRAUD_MS = 50
/** Until all have asked fraud and wait. */
const SETTLED_MS = 300
const STAYS_MS = 400
const AT_ONCE_MS = 1000
/** Leaves the bank enough only if it is asked at once. */
const HURRIED_MS = 2600

export const scenario: Scenario<PaymentAdapter> = {
  name: 'K3',
  summary: 'who leaves the queue, or has waited too long, makes room for the next one at once',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'crash' }],
  settings: { tries: 1, bulkhead: { floor: 1, ceiling: 1, profile: [], queue: 2 } },
  async drive(world) {
    const shop = new Shop(world)
    // Fraud has one place too: each is let in when the one before has been assessed.
    const enter = async (as: string, options: Parameters<typeof shop.pay>[2] = {}) => {
      world.lie('fraud', 'late_answer', { ms: FRAUD_MS })
      const order = shop.order()
      const reply = shop.pay(order, as, options)
      await world.clock.sleep(SETTLED_MS / 3)
      return { order, reply }
    }
    world.lie('bank', 'late_answer', { ms: BANK_MS })
    const atBank = nextCharge(world)
    const first = await enter('customer at the bank')
    await atBank
    const leaves = await enter('customer who leaves', { patienceMs: STAYS_MS })
    const hurried = await enter('customer in a hurry', headed({ 'x-request-timeout-ms': String(HURRIED_MS) }))
    const full = await enter('customer without room')
    expectTold(world, 'no room: told so at once', await full.reply, 'not_charged')
    expectTold(world, 'one leaves', await leaves.reply, 'nothing')
    const second = await enter('customer who comes then')
    expectTold(world, 'one has waited too long', await hurried.reply, 'not_charged')
    const third = await enter('customer who comes last')
    expectTold(world, 'the first is charged', await first.reply, 'charged')
    // Of the two the one that came last goes first, and the other may wait in vain.
    for (const [whose, { reply }] of [['left', second], ['waited too long', third]] as const) {
      const { told, ms } = await reply
      world.expect(`who took the room of the one that ${whose} is let in to wait`, told === 'charged' || told === 'pending' || ms > AT_ONCE_MS, `told "${told}" after ${Math.round(ms)} ms`)
    }
    const tolds = [(await second.reply).told, (await third.reply).told]
    world.expect('for one of them at least the bank is asked', tolds.some((told) => told !== 'not_charged'), tolds.join(', '))
    expectTold(world, 'who left is not charged', await shop.ask(leaves.order, 'customer who left'), 'not_charged')
    for (const { order } of [first, second, third, full]) await shop.payUntilTold(order, 'customer, again')
  },
}
