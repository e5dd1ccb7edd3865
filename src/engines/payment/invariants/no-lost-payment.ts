import type { Invariant, Violation } from '../../../invariant.ts'
import { Truth } from '../truth.ts'

export const invariant: Invariant = {
  name: 'no-lost-payment',
  summary: 'what the bank charged ends as succeeded, given back, or with an operator; never forgotten',
  start() {
    const truth = new Truth()
    /** The last thing that was said about each order. */
    const last = new Map<string, { told: string; seq: number }>()
    /** ms from the first charge of an order to the first time that somebody was told. */
    let slowest = 0
    const known = new Set<string>()
    return {
      on(event) {
        truth.on(event)
        if (event.type !== 'client.told' || event['told'] === 'nothing' || event['changed']) return undefined
        // What a conflict or a refusal says is about the request, not about the order.
        if (event['told'] === 'conflict' || event['told'] === 'refused') return undefined
        last.set(event['order'], { told: event['told'], seq: event.seq })
        const charge = truth.live(event['order'])[0]
        if (charge && event['told'] === 'charged' && !known.has(event['order'])) {
          known.add(event['order'])
          slowest = Math.max(slowest, event.t - charge.t)
        }
        return undefined
      },
      end() {
        const violations: Violation[] = []
        let charged = 0
        for (const { order, charges } of truth.orders.values()) {
          charged += charges.length
          const live = truth.live(order)
          const said = last.get(order)
          if (live.length === 0 || said?.told === 'charged' || said?.told === 'review') continue
          const end = said === undefined ? 'nobody was ever told' : `the last that was said is "${said.told}"`
          violations.push({ why: `the bank charged ${order} and ${end}`, witness: [...live.map((charge) => charge.seq), ...(said ? [said.seq] : [])] })
        }
        return { violations, looked: `final ${(slowest / 1000).toFixed(1)} s after the charge`, undecided: charged === 0 ? 'the bank charged nothing' : undefined }
      },
    }
  },
}
