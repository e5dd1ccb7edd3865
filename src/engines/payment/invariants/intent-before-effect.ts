import type { Invariant } from '../../../invariant.ts'
import { count } from '../truth.ts'

export const invariant: Invariant = {
  name: 'intent-before-effect',
  summary: 'when the bank is asked to charge, the request is already durable in the store',
  start() {
    let judged = 0
    return {
      on(event) {
        if (event.type !== 'intent.observed') return undefined
        judged++
        if (event['present']) return undefined
        return { why: `the bank was asked to charge under ${event['key']}, and the store knew nothing of it: a crash now would forget a charge`, witness: [event.seq] }
      },
      end() {
        return { violations: [], looked: count(judged, 'charge request'), undecided: judged === 0 ? "the subject's store cannot be seen" : undefined }
      },
    }
  },
}
