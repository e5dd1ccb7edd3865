import { plural } from '../../../invariant.ts'
import { atTheEnd, iso } from '../evidence.ts'

export const invariant = atTheEnd('i11-not-early', 'nothing takes effect before its slot, but for what a clock was set ahead', ({ applied, aheadMs }) => ({
  violations: applied.flatMap(({ seq, key, at }) => {
    const slot = Date.parse(/@([^!/]+)/.exec(key)?.[1] ?? '')
    return at < slot - aheadMs ? [{ why: `${key} took effect at ${iso(at)}, ${slot - at} ms early`, witness: [seq] }] : []
  }),
  looked: plural(applied.length, 'effect'),
}))
