import type { Judgement } from '../../../invariant.ts'
import { plural } from '../../../invariant.ts'
import type { Evidence } from '../evidence.ts'
import { atTheEnd } from '../evidence.ts'

export const invariant = atTheEnd('i13-one-effect', 'a tick that succeeded took effect once, and none took effect twice or without a row', judge)

const NOT_RUN = ['skipped_overlap', 'skipped_late', 'skipped_paused', 'coalesced']

function judge(evidence: Evidence): Judgement {
  const effects = new Map<string, number[]>()
  for (const { key, seq } of evidence.applied) effects.set(key, [...(effects.get(key) ?? []), seq])
  const violations = []
  const expected = new Set<string>()
  for (const tick of evidence.ticks) {
    const { seq, state } = tick
    for (const key of evidence.keys(tick) ?? []) {
      expected.add(key)
      const seen = effects.get(key) ?? []
      if (state === 'succeeded' && seen.length !== 1) violations.push({ why: `${key} succeeded with ${plural(seen.length, 'effect')}`, witness: [seq, ...seen] })
      else if (seen.length > 1) violations.push({ why: `${key} took effect ${seen.length} times`, witness: seen })
      if (seen.length > 0 && NOT_RUN.includes(state)) violations.push({ why: `${key} was ${state} and took effect`, witness: [seq, ...seen] })
    }
  }
  for (const { key, seq } of evidence.applied) if (!expected.has(key)) violations.push({ why: `an effect for ${key}, which is in no ledger`, witness: [seq] })
  const kept = [evidence.repeated.length, evidence.refused.length]
  return { violations, looked: `${plural(evidence.applied.length, 'effect')}, ${plural(kept[0]!, 'repeat')} told apart by key, ${plural(kept[1]!, 'late one')} refused by token` }
}
