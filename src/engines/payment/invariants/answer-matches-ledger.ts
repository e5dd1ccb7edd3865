import type { Invariant } from '../../../invariant.ts'
import { count, money, Truth } from '../truth.ts'

export const invariant: Invariant = {
  name: 'answer-matches-ledger',
  summary: 'what a client is told about the money agrees with the bank, then and later',
  start() {
    const truth = new Truth()
    /** Orders whose client was told that no money moved, and has not asked for it again since. */
    const denied = new Map<string, number>()
    const underWay = new Map<string, number>()
    let answers = 0
    return {
      on(event) {
        const charged = truth.on(event)
        if (charged) {
          const told = denied.get(charged.order)
          const charge = charged.charges.at(-1)!
          return told === undefined ? undefined : { why: `the client of ${charged.order} was told that it was not charged, and then the bank charged ${money(charge.amount, charge.currency)}`, witness: [told, charge.seq] }
        }
        const order = String(event['order'])
        if (event.type === 'client.sent' && event['ask'] === 'pay') {
          denied.delete(order)
          underWay.set(order, (underWay.get(order) ?? 0) + 1)
          return undefined
        }
        if (event.type !== 'client.told') return undefined
        if (event['ask'] === 'pay') underWay.set(order, (underWay.get(order) ?? 1) - 1)

        const live = truth.live(order)
        if (event['told'] === 'charged') {
          answers++
          // A payment whose money was given back at the customer's wish was charged all the same.
          const told = truth.orders.get(order)?.wanted ? truth.orders.get(order)!.charges.filter((charge) => !charge.undone || charge.refunded > 0) : live
          if (told.some((charge) => charge.amount === event['amount'] && charge.currency === event['currency'])) return undefined
          const has = live.length === 0 ? 'no charge' : live.map((charge) => money(charge.amount, charge.currency)).join(' and ')
          return { why: `the client of ${order} was told that ${money(event['amount'], event['currency'])} was charged, and the bank has ${has}`, witness: [...live.map((charge) => charge.seq), event.seq] }
        }
        if (event['told'] !== 'declined' && event['told'] !== 'not_charged') return undefined
        answers++
        if (live.length > 0) return { why: `the client of ${order} was told that it was not charged, and the bank has ${count(live.length, 'charge')}`, witness: [...live.map((charge) => charge.seq), event.seq] }
        if (!underWay.get(order)) denied.set(order, event.seq)
        return undefined
      },
      end() {
        return {
          violations: truth.stray.map((charge) => ({ why: `the bank charged ${money(charge.amount, charge.currency)}, which no client asked for`, witness: [charge.seq] })),
          looked: count(answers, 'answer'),
          undecided: answers === 0 ? 'no client was told anything definite' : undefined,
        }
      },
    }
  },
}
