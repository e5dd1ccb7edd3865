import type { Invariant } from '../../../invariant.ts'
import { count, money } from '../truth.ts'

export const invariant: Invariant = {
  name: 'key-misuse',
  summary: 'a key that comes with another body is refused, and nothing is charged for it',
  start() {
    const misused = new Map<string, number>()
    let judged = 0
    return {
      on(event) {
        if (event.type === 'client.sent' && event['changed'] && event['ask'] === 'pay') misused.set(`${event['amount']} ${event['currency']}`, event.seq)
        if (event.type === 'bank.charged') {
          const sent = misused.get(`${event['amount']} ${event['currency']}`)
          return sent === undefined ? undefined : { why: `${money(event['amount'], event['currency'])} was charged for a key that had been used for another payment`, witness: [sent, event.seq] }
        }
        if (event.type !== 'client.told' || !event['changed'] || event['outcome'] !== 'ok') return undefined
        if (event['told'] === 'nothing') return undefined // a 500 may come from the way, not from the service
        judged++
        if (event['told'] === 'refused' || event['told'] === 'conflict') return undefined
        return { why: `a key that came with another body was answered "${event['told']}" (${event['status']}) instead of being refused`, witness: [event.seq] }
      },
      end() {
        return { violations: [], looked: count(judged, 'misused key'), undecided: judged === 0 ? 'no key was answered that came with another body' : undefined }
      },
    }
  },
}
