import type { Invariant } from '../../../invariant.ts'
import { count } from '../truth.ts'

export const invariant: Invariant = {
  name: 'same-key-same-answer',
  summary: 'every final answer to one key is the same, status and body',
  start() {
    const first = new Map<string, { status: number; digest: string; told: string; seq: number }>()
    let compared = 0
    return {
      on(event) {
        if (event.type !== 'client.told' || event['ask'] !== 'pay' || event['changed']) return undefined
        if (event['told'] !== 'charged' && event['told'] !== 'declined') return undefined
        const before = first.get(event['key'])
        if (!before) {
          first.set(event['key'], { status: event['status'], digest: event['digest'], told: event['told'], seq: event.seq })
          return undefined
        }
        compared++
        if (before.status === event['status'] && before.digest === event['digest']) return undefined
        const differ = before.told === event['told'] ? `with different answers (${before.status} ${before.digest}, ${event['status']} ${event['digest']})` : `"${before.told}" and then "${event['told']}"`
        return { why: `one key was answered ${differ}`, witness: [before.seq, event.seq] }
      },
      end() {
        return { violations: [], looked: count(compared === 0 ? first.size : compared + new Set(first.keys()).size, 'answer'), undecided: compared === 0 ? 'no key was answered twice' : undefined }
      },
    }
  },
}
