import { plural } from '../../../invariant.ts'
import { atTheEnd } from '../evidence.ts'

export const invariant = atTheEnd('w6-counters-true', 'what is counted beside the rows is what the rows are when they are counted', ({ counters }) => ({
  violations: counters!.untrue === 0 ? [] : [{ why: `${plural(counters!.untrue, 'lane')} of ${counters!.lanes} count what is not there: ${JSON.stringify(counters!.examples[0])}`, witness: [counters!.seq] }],
  looked: plural(counters!.lanes, 'lane'),
}))
