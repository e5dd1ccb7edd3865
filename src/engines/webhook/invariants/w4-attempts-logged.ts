import { plural } from '../../../invariant.ts'
import { atTheEnd } from '../evidence.ts'

/** Attempts of one lane that may be in flight when a node dies, and are not written down. */
const IN_FLIGHT = 64

export const invariant = atTheEnd('w4-attempts-logged', 'the log of attempts tells what customers saw: nothing more, and nothing less but what was in flight when a node died', ({ attempts, received, interruptions, faults }) => {
  const seen = new Map<string, number>()
  for (const { customer } of received) seen.set(customer, (seen.get(customer) ?? 0) + 1)
  const violations = attempts.flatMap(({ seq, customer, attempts: logged, answered }) => {
    if (customer === null) return []
    const requests = seen.get(customer) ?? 0
    const disturbed = faults.get(customer) ?? 0
    if (requests > logged + interruptions.length * IN_FLIGHT + disturbed) return [{ why: `${customer} saw ${plural(requests, 'request')}, and ${plural(logged, 'attempt')} were written down`, witness: [seq] }]
    if (answered > requests + disturbed) return [{ why: `${plural(answered, 'attempt')} are said to have been answered by ${customer}, which saw ${plural(requests, 'request')}`, witness: [seq] }]
    return []
  })
  return { violations, looked: plural(attempts.reduce((sum, row) => sum + row.attempts, 0), 'attempt') }
})
