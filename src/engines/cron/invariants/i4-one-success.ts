import { plural } from '../../../invariant.ts'
import { atTheEnd, caught } from '../evidence.ts'

export const invariant = atTheEnd('i4-one-success', 'a tick that has succeeded stays so: it never succeeds twice', (evidence) => ({
  violations: caught(evidence, 'i4'),
  looked: plural(evidence.ticks.filter(({ state }) => state === 'succeeded').length, 'success').replace(/success(s)$/, 'successes'),
}))
