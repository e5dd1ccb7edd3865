/** Which slots of a schedule are due, and what becomes of each: pure, for the same inputs the same ledger. */
import type { Crontab } from './crontab.ts'
import type { Spec } from './spec.ts'

/** A row of the ledger to be. */
export interface Slot {
  slotAt: number
  /** Of a row for several slots: the last of them, and how many they are. */
  untilAt: number
  slots: number
  state: 'queued' | 'skipped_late' | 'skipped_paused' | 'coalesced'
  reason: string
  runAt: number
}

export interface Due {
  slots: Slot[]
  /** Up to here every slot is accounted for. */
  cursorAt: number
  nextAt: number | null
}

/** Slots with rows of their own: beyond them one row stands for all the older ones. */
const ROWS_MAX = 1000
/** A span of more slots than this is not counted to its end. */
const COUNTED_MAX = 100_000

/**
 * All slots in (cursorAt, now]. Those noticed within `graceMs` are on time; older ones are misfires, made up for as the policy says:
 *   once   the newest of them runs, the others are coalesced into it
 *   all    the newest `catchUpMax` run, oldest first, at most `catchUpPerSecond`; the others are coalesced
 *   skip   none runs
 * One later than `windowMs` never runs.
 */
export function dueSlots(crontab: Crontab, spec: Spec, cursorAt: number, now: number, paused: boolean): Due {
  const { misfire, graceMs, windowMs, catchUpMax, catchUpPerSecond } = spec
  const first = crontab.next(cursorAt)
  if (first === null || first > now) return { slots: [], cursorAt, nextAt: first }
  const second = crontab.next(first)
  if (!paused && now - first <= graceMs && (second === null || second > now)) {
    // As it nearly always is: one slot, on time.
    return { slots: [{ slotAt: first, untilAt: first, slots: 1, state: 'queued', reason: '', runAt: first }], cursorAt: first, nextAt: second }
  }
  const newest: number[] = []
  let before = now + 1
  while (newest.length < ROWS_MAX) {
    const at = crontab.prev(before)
    if (at === null || at <= cursorAt) break
    newest.unshift(at)
    before = at
  }
  const oldest = newest[0]
  if (oldest === undefined) return { slots: [], cursorAt, nextAt: crontab.next(Math.max(cursorAt, now)) }
  const last = newest.at(-1)!
  const nextAt = crontab.next(last)
  const slots: Slot[] = []
  const add = (slotAt: number, state: Slot['state'], reason: string, runAt = slotAt) => slots.push({ slotAt, untilAt: slotAt, slots: 1, state, reason, runAt })

  if (first < oldest) {
    let [count, until] = [0, first]
    for (let at: number | null = first; at !== null && at < oldest && count < COUNTED_MAX; at = crontab.next(at)) [count, until] = [count + 1, at]
    const more = crontab.prev(oldest)!
    const reason = paused ? 'the schedule was paused' : `too many were missed${more > until ? `: more than ${COUNTED_MAX}` : ''}`
    slots.push({ slotAt: first, untilAt: more, slots: count, state: paused ? 'skipped_paused' : 'coalesced', reason, runAt: first })
  }
  if (paused) {
    for (const at of newest) add(at, 'skipped_paused', 'the schedule was paused')
    return { slots, cursorAt: last, nextAt }
  }
  const missed = newest.filter((at) => now - at > graceMs)
  const makeUp = missed.filter((at) => now - at <= windowMs)
  const runs = misfire === 'skip' ? 0 : misfire === 'once' ? 1 : catchUpMax
  const made = makeUp.slice(Math.max(0, makeUp.length - runs))
  for (const at of missed) {
    const nth = made.indexOf(at)
    if (nth !== -1) add(at, 'queued', misfire === 'all' ? 'made up for' : 'made up for once', misfire === 'all' ? now + Math.floor((nth * 1000) / catchUpPerSecond) : at)
    else if (now - at > windowMs) add(at, 'skipped_late', `more than ${windowMs} ms late`)
    else if (misfire === 'skip') add(at, 'skipped_late', `more than ${graceMs} ms late`)
    else add(at, 'coalesced', misfire === 'once' ? 'a newer one runs in its place' : `more than ${catchUpMax} were missed`)
  }
  for (const at of newest.slice(missed.length)) add(at, 'queued', '')
  return { slots, cursorAt: last, nextAt }
}
