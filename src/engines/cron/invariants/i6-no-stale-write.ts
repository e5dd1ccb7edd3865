import { plural } from '../../../invariant.ts'
import { atTheEnd } from '../evidence.ts'

export const invariant = atTheEnd('i6-no-stale-write', 'what an old leader writes never stands behind what a newer one wrote', ({ ticks }) => {
  const newest = new Map<string, { epoch: number; seq: number }>()
  // In the order in which they were written; an operator's own have no epoch.
  const violations = ticks.flatMap(({ seq, tick, schedule, kind, epoch }) => {
    if (kind !== 'cron' || epoch === 0) return []
    const before = newest.get(schedule)
    newest.set(schedule, { epoch, seq })
    return before && epoch < before.epoch ? [{ why: `${tick} was written in epoch ${epoch}, behind epoch ${before.epoch}`, witness: [before.seq, seq] }] : []
  })
  return { violations, looked: plural(ticks.length, 'row') }
})
