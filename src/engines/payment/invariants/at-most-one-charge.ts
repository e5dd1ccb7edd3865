import type { Invariant } from '../../../invariant.ts'
import { count, money, Truth } from '../truth.ts'

export const invariant: Invariant = {
  name: 'at-most-one-charge',
  summary: 'an order never has two charges that stand at the same time; judged at every event of the bank',
  start() {
    const truth = new Truth()
    return {
      on(event) {
        const order = truth.on(event)
        if (!order) return undefined
        const live = truth.live(order.order)
        if (live.length < 2) return undefined
        const sum = live.reduce((total, charge) => total + charge.amount, 0)
        return { why: `${order.order} has ${live.length} charges that stand: ${money(sum, live[0]!.currency)} in all`, witness: live.map((charge) => charge.seq) }
      },
      end() {
        const charges = [...truth.orders.values()].reduce((sum, order) => sum + order.charges.length, 0)
        return { violations: [], looked: `${count(charges, 'charge')}, ${count(truth.orders.size, 'order')}`, undecided: truth.requests === 0 ? 'no charge request reached the bank' : undefined }
      },
    }
  },
}
