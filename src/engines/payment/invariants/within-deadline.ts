import type { Invariant } from '../../../invariant.ts'

/** What an answer may take beyond the deadline: the way back and a turn of two event loops. */
const TOLERANCE_MS = 50

export const invariant: Invariant = {
  name: 'within-deadline',
  summary: 'a live service answers every client within its deadline',
  start() {
    let deadlineMs = 5000
    let slowest = 0
    let judged = 0
    let lastHurt = Number.NEGATIVE_INFINITY
    return {
      on(event) {
        if (event.type === 'run.started' && typeof event['options']?.deadlineMs === 'number') deadlineMs = event['options'].deadlineMs
        if (event.type === 'node.killed' || event.type === 'node.terminated' || event.type === 'node.paused' || event.type === 'node.resumed') lastHurt = event.t
        if (event.type === 'toxic.hit' && /^payments\b/.test(event['link'])) lastHurt = event.t
        if (event.type !== 'client.told' || event['ask'] !== 'pay') return undefined
        // A client whose service died or stood still while it waited is no measure of a live one, nor is one whose own connection was hurt.
        if (lastHurt >= event.t - event['ms']) return undefined
        const late = event['ms'] > deadlineMs + TOLERANCE_MS
        if (event['outcome'] !== 'ok' && !late) return undefined
        judged++
        slowest = Math.max(slowest, event['ms'])
        if (!late) return undefined
        return { why: `${event['client']} waited ${(event['ms'] / 1000).toFixed(1)} s${event['outcome'] === 'ok' ? '' : ' for nothing'}; the deadline is ${(deadlineMs / 1000).toFixed(1)} s`, witness: [event.seq] }
      },
      end() {
        return { violations: [], looked: `${(slowest / 1000).toFixed(1)} of ${(deadlineMs / 1000).toFixed(1)} s`, undecided: judged === 0 ? 'no live service was asked to pay' : undefined }
      },
    }
  },
}
