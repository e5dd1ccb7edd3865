import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { crowd, expectAllTold, next } from '../staging.ts'

const CUSTOMERS = 60
/** A second's worth of them at a time. */
const EVERY_MS = 20
/** What a payment takes of the bank's and fraud's own time, and no word to a customer. */
const USUAL_MS = 4500

export const scenario: Scenario<PaymentAdapter> = {
  name: 'T2',
  summary: 'notifications hang while many pay: no payment feels it, and every receipt arrives in the end',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline', 'every-success-notified'],
  toxics: [],
  failures: [{ component: 'notification', mode: 'timing' }],
  async drive(world) {
    const shop = new Shop(world)
    const hangs = world.toxic({ link: 'notification', type: 'hang' })
    const replies = await crowd(world, shop, CUSTOMERS, EVERY_MS)
    expectAllTold(world, 'all are answered as if nothing were wrong', replies, 'charged', 'pending')
    const slowest = Math.max(...replies.filter(({ told }) => told === 'charged').map(({ ms }) => ms))
    world.expect('and as quickly', slowest <= USUAL_MS, `the slowest waited ${Math.round(slowest)} ms`)
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
