import type { Invariant, Violation } from '../../../invariant.ts'
import { count } from '../truth.ts'

export const invariant: Invariant = {
  name: 'books-match-bank',
  summary: 'the ledger sums to zero, has for each payment what the bank has, to the last minor unit, and lets nobody change it',
  start() {
    /** What the bank has of each payment, by charge: minor units less what went back. */
    const charges = new Map<string, { payment: string; currency: string; amount: number; seq: number }>()
    const booked = new Map<string, { amount: number; seq: number }>()
    let audited: string | undefined
    return {
      on(event) {
        const known = charges.get(event['charge'])
        if (event.type === 'bank.charged') charges.set(event['charge'], { payment: event['reference'], currency: event['currency'], amount: event['amount'], seq: event.seq })
        if (event.type === 'bank.refunded' && known) known.amount -= event['amount']
        if (event.type === 'bank.voided') charges.delete(event['charge'])
        if (event.type === 'books.observed') {
          booked.set(`${event['payment']} ${event['currency']}`, { amount: event['merchant'], seq: event.seq })
          return event['sum'] === 0 ? undefined : { why: `the entries of ${event['payment']} sum to ${event['sum']}`, witness: [event.seq] }
        }
        if (event.type === 'chain.observed') {
          audited = event['why']
          return event['whole'] ? undefined : { why: event['why'], witness: [event.seq] }
        }
        if (event.type === 'tampering.observed' && !event['refused']) return { why: `the ledger let an entry be changed by ${event['how']}`, witness: [event.seq] }
        return undefined
      },
      end() {
        if (audited === undefined) return { violations: [], looked: '', undecided: "the subject's ledger cannot be seen" }
        const truth = new Map<string, { amount: number; witness: number[] }>()
        for (const { payment, currency, amount, seq } of charges.values()) {
          const at = truth.get(`${payment} ${currency}`) ?? { amount: 0, witness: [] }
          truth.set(`${payment} ${currency}`, { amount: at.amount + amount, witness: [...at.witness, seq] })
        }
        const violations: Violation[] = []
        for (const name of new Set([...truth.keys(), ...booked.keys()])) {
          const there = truth.get(name)
          const here = booked.get(name)
          if ((there?.amount ?? 0) === (here?.amount ?? 0)) continue
          violations.push({ why: `the bank has ${there?.amount ?? 0} of ${name}, and the books have ${here?.amount ?? 0}`, witness: [...(there?.witness ?? []), ...(here ? [here.seq] : [])] })
        }
        return { violations, looked: `${count(charges.size, 'charge')}, ${audited}` }
      },
    }
  },
}
