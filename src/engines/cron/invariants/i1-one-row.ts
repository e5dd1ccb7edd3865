import { plural } from '../../../invariant.ts'
import { atTheEnd } from '../evidence.ts'

export const invariant = atTheEnd('i1-one-row', 'a slot has one row in the ledger, and no two rows stand for the same slot', ({ ticks }) => {
  const rows = new Map<string, number>()
  const violations = ticks.flatMap(({ seq, tick }) => {
    const before = rows.get(tick)
    rows.set(tick, seq)
    return before === undefined ? [] : [{ why: `${tick} has two rows`, witness: [before, seq] }]
  })
  return { violations, looked: plural(ticks.length, 'row') }
})
