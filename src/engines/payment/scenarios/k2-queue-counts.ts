import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { collect, crowd, expectAllTold, expectAtMost, expectCount, overdrawn, told } from '../staging.ts'

const CUSTOMERS = 12
const PLACES = 2
const BANK_MS = 1200

export const scenario: Scenario<PaymentAdapter> = {
  name: 'K2',
  summary: 'who waits for a place spends his own time: the bank is promised what is left, and who has waited too long is told not charged, in time',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'timing' }],
  settings: { bulkhead: { floor: PLACES, ceiling: PLACES, profile: [], queue: 100 } },
  async drive(world) {
    const shop = new Shop(world)
    const promised = overdrawn(world)
    const received = collect(world, (event) => event.type === 'bank.received' && event['ask'] === 'charge')
    world.lie('bank', 'late_answer', { ms: BANK_MS, times: CUSTOMERS / 2 })
    const replies = await crowd(world, shop, CUSTOMERS, 0)
    expectAllTold(world, 'each is told what became of it', replies, 'charged', 'pending', 'not_charged')
    world.expect('some waited in vain', told(replies, 'not_charged') > 0, `${told(replies, 'not_charged')} of ${CUSTOMERS}`)
    expectCount(world, 'no bank is promised more than there is', promised, 0)
    const first = Number(received[0]?.['timeoutMs'])
    const last = Number(received.at(-1)?.['timeoutMs'])
    world.expect('the wait is taken off', last < first - BANK_MS, `${first} ms for the first, ${last} for the last`)
    expectAtMost(world, 'nobody waits beyond the deadline', Math.round(Math.max(...replies.map(({ ms }) => ms))), world.adapter.deadlineMs)
    await world.heal()
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again')
  },
}
