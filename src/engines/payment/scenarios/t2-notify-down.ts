import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { collect, crowd, expectAllTold, next } from '../staging.ts'

const CUSTOMERS = 60
/** A second's worth of them at a time. */
const EVERY_MS = 20
/** From the bank's charge to the customer's answer: a commit, and no word to anybody else, which would be given a second. */
const AT_ONCE_MS = 500

export const scenario: Scenario<PaymentAdapter> = {
  name: 'T2',
  summary: 'notifications hang while many pay: no payment feels it, and every receipt arrives in the end',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline', 'every-success-notified'],
  toxics: [],
  failures: [{ component: 'notification', mode: 'timing' }],
  async drive(world) {
    const shop = new Shop(world)
    const charged = collect(world, (event) => event.type === 'bank.charged')
    const answered = collect(world, (event) => event.type === 'client.told' && event['told'] === 'charged')
    const hangs = world.toxic({ link: 'notification', type: 'hang' })
    const replies = await crowd(world, shop, CUSTOMERS, EVERY_MS)
    expectAllTold(world, 'all are answered as if nothing were wrong', replies, 'charged', 'pending')
    const chargedAt = new Map(charged.map((event) => [event['amount'], event.t]))
    const slowest = Math.max(0, ...answered.map((event) => event.t - chargedAt.get(event['amount'])!))
    world.expect('and as quickly', slowest <= AT_ONCE_MS, `${Math.round(slowest)} ms after the charge at the latest`)
    hangs()
    const seen = new Set<unknown>()
    while (seen.size < CUSTOMERS) {
      const receipt = await next(world, 'notification.received', (event) => !seen.has(event['payment']))
      if (!receipt) break
      seen.add(receipt['payment'])
    }
    world.expect('every receipt arrives', seen.size === CUSTOMERS, `${seen.size} of ${CUSTOMERS}`)
    for (const order of shop.orders) await shop.askUntilTold(order, 'auditor')
  },
}
