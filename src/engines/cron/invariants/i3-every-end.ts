import { plural } from '../../../invariant.ts'
import { atTheEnd } from '../evidence.ts'

export const invariant = atTheEnd('i3-every-end', 'every tick ends in one state, and one that did not run says why', ({ ticks }) => ({
  violations: ticks.flatMap(({ seq, tick, state, reason }) => {
    if (state === 'queued' || state === 'running') return [{ why: `${tick} is still ${state}`, witness: [seq] }]
    return state !== 'succeeded' && reason === '' ? [{ why: `${tick} is ${state} for no reason`, witness: [seq] }] : []
  }),
  looked: plural(ticks.length, 'tick'),
}))
