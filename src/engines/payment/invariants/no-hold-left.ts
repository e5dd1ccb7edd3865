import type { Invariant } from '../../../invariant.ts'
import { count } from '../truth.ts'

export const invariant: Invariant = {
  name: 'no-hold-left',
  summary: 'money that was held is moved or let go in the end, and who was told that it is held has been told the truth',
  start() {
    /** Holds that stand, by charge, and the payments whose money was held once. */
    const holds = new Map<string, { payment: string; seq: number }>()
    const held = new Set<string>()
    return {
      on(event) {
        if (event.type === 'bank.authorised') {
          holds.set(event['charge'], { payment: event['reference'], seq: event.seq })
          held.add(event['reference'])
        }
        if (event.type === 'bank.charged' || event.type === 'bank.voided' || event.type === 'bank.expired') holds.delete(event['charge'])
        if (event.type !== 'client.told' || event['told'] !== 'authorised' || held.has(event['payment'])) return undefined
        return { why: `the client of ${event['order']} was told that its money is held, and the bank never held any`, witness: [event.seq] }
      },
      end() {
        return {
          violations: [...holds].map(([charge, { payment, seq }]) => ({ why: `${charge} of ${payment} is still held: neither captured nor let go`, witness: [seq] })),
          looked: count(held.size, 'payment held').replace('payment helds', 'payments held'),
          undecided: held.size === 0 ? 'no money was held' : undefined,
        }
      },
    }
  },
}
