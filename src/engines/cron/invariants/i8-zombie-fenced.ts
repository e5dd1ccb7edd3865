import { plural } from '../../../invariant.ts'
import { atTheEnd, caught } from '../evidence.ts'

export const invariant = atTheEnd('i8-zombie-fenced', 'what a worker writes for a run that is over does not stand', (evidence) => ({
  violations: caught(evidence, 'i8'),
  looked: `${plural(evidence.ticks.length, 'tick')}, ${plural(evidence.checkpoints.length, 'step')}`,
}))
