import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter, PayOrder } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { askUntil, collect, expectCount, expectTold, next } from '../staging.ts'

const CUSTOMERS = 10
/** Two commits and two turns. */
const OWN_MS = 50
/** What fraud takes: as much as the bank, in half of the cases. */
const FRAUD_MS = 300
/** More than it may. */
const SILENT_MS = 2000
/** It is asked again for a payment whose bank was silent, too. */
const SILENT_TIMES = 10
const BLOCKED_CARD = '4100000000000019'
/** Too large to go on without fraud's word, and no sum that another order has. */
const LARGE = 100_050
/** From an authorisation to its capture, and to the receipt's commit. */
const SOON_MS = 1000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'parallel',
  summary: 'fraud is asked beside the bank, which only holds the money: as quick as the slower of the two, and no money moves against fraud\'s word',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline', 'every-success-notified'],
  toxics: [],
  failures: [{ component: 'fraud', mode: 'timing' }],
  settings: { parallel: true },
  async drive(world) {
    const shop = new Shop(world)
    const orders: PayOrder[] = []
    const large = (card?: string) => {
      const order = shop.order(card)
      orders.push({ ...order, amount: LARGE + order.amount })
      return orders.at(-1)!
    }
    const answered = collect(world, (event) => event.type === 'exchange.answered' && (event['link'] === 'bank' || event['link'] === 'fraud'))
    const assessed = collect(world, (event) => event.type === 'fraud.assessed')
    const own: number[] = []
    world.lie('fraud', 'late_answer', { ms: FRAUD_MS, times: CUSTOMERS })
    for (let n = 1; n <= CUSTOMERS; n++) {
      const order = large()
      const before = answered.length
      const moved = next(world, 'bank.charged', (event) => event['amount'] === order.amount)
      const reply = await shop.pay(order, `customer ${n}`)
      if (reply.told === 'authorised') {
        const slower = Math.max(...['fraud', 'bank'].map((link) => Number(answered.slice(before).find((event) => event['link'] === link)?.['ms'] ?? 0)))
        own.push(reply.ms - slower)
        const charge = await moved
        const word = assessed.find((event) => event['amount'] === order.amount)
        world.expect('no money moves before fraud\'s word', charge !== undefined && word !== undefined && word.seq < charge.seq, `fraud ${word?.['decision'] ?? 'silent'}`)
        expectTold(world, 'the money that was held is captured', await askUntil(world, shop, order, 'charged', `customer ${n}`), 'charged')
      } else expectTold(world, 'a bank later than the deadline is pending, and a fraud that is silent declines', reply, 'pending', 'declined')
    }

    const usual = own.toSorted((a, b) => a - b)[Math.floor(own.length / 2)] ?? 0
    world.expect('as quick as the slower of the two', usual <= OWN_MS, `${Math.round(usual)} ms more, in half of ${own.length} cases`)

    for (const [card, as] of [[BLOCKED_CARD, 'customer whom fraud denies'], [undefined, 'customer of whom fraud says nothing']] as const) {
      if (card === undefined) world.lie('fraud', 'late_answer', { ms: SILENT_MS, times: SILENT_TIMES })
      const order = large(card)
      const charges = world.tally((event) => event.type === 'bank.charged' && event['amount'] === order.amount)
      const given = next(world, 'bank.voided', (event) => event['charge'] !== null)
      expectTold(world, 'not without fraud\'s word', await shop.payUntilTold(order, as), 'declined')
      world.expect('what was held is given back', (await given) !== undefined, as)
      await world.clock.sleep(SOON_MS)
      expectCount(world, 'no money has moved', charges, 0)
    }
    for (const order of orders) await shop.askUntilTold(order, 'auditor')
  },
}
