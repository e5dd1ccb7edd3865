import type { Invariant, Violation } from '../../../invariant.ts'
import { count } from '../truth.ts'

export const invariant: Invariant = {
  name: 'every-success-notified',
  summary: 'a charged payment is notified at least once, always under the same id, and never before it is charged',
  start() {
    const charged = new Map<string, number>()
    const ids = new Map<string, string>()
    let bankCharges = 0
    return {
      on(event) {
        if (event.type === 'bank.charged') bankCharges++
        if (event.type === 'client.told' && event['told'] === 'charged' && event['payment']) charged.set(event['payment'], event.seq)
        if (event.type !== 'notification.received') return undefined
        if (event['what'] !== undefined && event['what'] !== 'payment.succeeded') return undefined // another matter
        if (bankCharges === 0) return { why: `payment ${event['payment']} was notified before the bank charged anything`, witness: [event.seq] }
        const before = ids.get(event['payment'])
        ids.set(event['payment'], event['id'])
        return before === undefined || before === event['id'] ? undefined : { why: `payment ${event['payment']} was notified under two ids, ${before} and ${event['id']}`, witness: [event.seq] }
      },
      end() {
        const violations: Violation[] = [...charged].filter(([payment]) => !ids.has(payment)).map(([payment, seq]) => ({ why: `payment ${payment} was charged and never notified`, witness: [seq] }))
        return { violations, looked: count(ids.size, 'payment notified').replace('payment notifieds', 'payments notified'), undecided: charged.size === 0 ? 'no client was told "charged"' : undefined }
      },
    }
  },
}
