import { plural } from '../../../invariant.ts'
import { atTheEnd } from '../evidence.ts'

export const invariant = atTheEnd('i9-steps-once', 'steps follow each other, and one that was committed is never begun again', ({ checkpoints, asked }) => {
  const committed = new Map<string, { token: number; seq: number }>()
  const last = new Map<string, { step: number; token: number; seq: number }>()
  const violations = checkpoints.flatMap(({ seq, tick, step, token }) => {
    const before = last.get(tick)
    last.set(tick, { step, token, seq })
    committed.set(`${tick}/${step}`, { token, seq })
    if (step !== (before?.step ?? 0) + 1) return [{ why: `${tick} has step ${step} behind ${before?.step ?? 'none'}`, witness: [seq] }]
    return before && token < before.token ? [{ why: `${tick} has step ${step} of token ${token} behind token ${before.token}`, witness: [before.seq, seq] }] : []
  })
  // A newer token is given out only when the older one can commit no more: what the older one committed was there before the newer began.
  for (const { seq, key, token } of asked) {
    const before = committed.get(key)
    if (before && token !== null && token > before.token) violations.push({ why: `${key} was committed by token ${before.token} and begun again by token ${token}`, witness: [seq, before.seq] })
  }
  return { violations, looked: plural(checkpoints.length, 'step') }
})
