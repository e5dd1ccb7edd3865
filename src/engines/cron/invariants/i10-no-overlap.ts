import { plural } from '../../../invariant.ts'
import { atTheEnd, caught } from '../evidence.ts'

export const invariant = atTheEnd('i10-no-overlap', 'a schedule that does not allow it never has two runs at once', (evidence) => ({
  violations: caught(evidence, 'i10'),
  looked: plural(evidence.definitions.filter(({ spec }) => spec.overlap !== 'allow').length, 'definition'),
}))
