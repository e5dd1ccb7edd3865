import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { headed, Shop } from '../shop.ts'
import { expectTold, nextCharge } from '../staging.ts'

/** The bank's answer comes within the stall, before the time for the bank is up; the stall ends when all time-outs are due, and the deadline is not. */
const DEADLINE_MS = 1900
const FRAUD_MS = 100
const BANK_MS = 1000
const STALL_AFTER_MS = 950
const STALL_MS = 500

export const scenario: Scenario<PaymentAdapter> = {
  name: 'T8',
  summary: 'the service stands still for half a second while the bank\'s answer arrives: the answer counts, not the time-outs that fell due meanwhile',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'timing' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    world.lie('fraud', 'late_answer', { ms: FRAUD_MS })
    world.lie('bank', 'late_answer', { ms: BANK_MS })
    const atBank = nextCharge(world)
    const reply = shop.pay(order, 'customer', headed({ 'x-request-timeout-ms': String(DEADLINE_MS) }))
    await atBank
    await world.clock.sleep(STALL_AFTER_MS)
    world.pause()
    await world.clock.sleep(STALL_MS)
    world.resume()
    const told = await reply
    expectTold(world, 'the answer that was there is told', told, 'charged')
    world.expect('within the deadline', told.ms <= DEADLINE_MS, `after ${Math.round(told.ms)} ms`)
  },
}
