import type { Invariant } from '../../../invariant.ts'
import { count } from '../truth.ts'

export const invariant: Invariant = {
  name: 'acknowledged-is-durable',
  summary: 'what was answered as charged before a crash is still charged after it',
  start() {
    /** Orders that were acknowledged, and those whose service died since. */
    const acknowledged = new Map<string, number>()
    const survived = new Map<string, number[]>()
    let judged = 0
    return {
      on(event) {
        if (event.type === 'node.killed') {
          for (const [order, seq] of acknowledged) survived.set(order, [seq, event.seq])
          return undefined
        }
        if (event.type !== 'client.told') return undefined
        const order = String(event['order'])
        const before = survived.get(order)
        if (before && !event['changed'] && !['nothing', 'conflict', 'refused'].includes(event['told'])) {
          judged++
          if (event['told'] !== 'charged') return { why: `${order} was acknowledged as charged, the service was killed, and now it says "${event['told']}"`, witness: [...before, event.seq] }
        }
        if (event['told'] === 'charged') acknowledged.set(order, event.seq)
        return undefined
      },
      end() {
        return { violations: [], looked: `${count(judged, 'answer')} after a crash`, undecided: judged === 0 ? 'nobody asked after a crash about a charge acknowledged before it' : undefined }
      },
    }
  },
}
