import { plural } from '../../../invariant.ts'
import { atTheEnd } from '../evidence.ts'

/** Of the TTL: as long as it may take until somebody leads again. */
const FAIL_OVER = 1.2
/** Until the new leader has written what is due, ms. */
const WRITING_MS = 1000

export const invariant = atTheEnd('i12-in-time', 'a slot is in the ledger within 1.2 TTL and a second, whoever dies', ({ ticks, ttlMs }) => {
  const most = FAIL_OVER * ttlMs + WRITING_MS
  const slots = ticks.filter(({ kind, slots: n }) => kind === 'cron' && n === 1)
  const worst = Math.max(0, ...slots.map(({ slot, recordedAt }) => recordedAt - slot))
  return { violations: slots.filter(({ slot, recordedAt }) => recordedAt - slot > most).map(({ seq, tick, slot, recordedAt }) => ({ why: `${tick} was written ${recordedAt - slot} ms late`, witness: [seq] })), looked: `${plural(slots.length, 'slot')}, at most ${worst} ms late` }
})
