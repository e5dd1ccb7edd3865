import type { Received } from '../evidence.ts'
import { atTheEnd } from '../evidence.ts'

/** By how much the latencies of two answers may differ, and what a clock rounds, ms. */
const EARLY_MS = 100
/** How long a retry that is due may wait behind first attempts, ms. */
const LATE_MS = 5000
/** Answers that are no failure of the message: success, "not now", and those after which it is not sent again. */
const NO_STRIKE: ReadonlySet<number> = new Set([0, 410, 413, 429])

export const invariant = atTheEnd('w9-schedule', 'a message that fails by itself comes again when the schedule says so, give or take its jitter', (evidence) => {
  const { delays, observed } = evidence
  if (!delays) return { violations: [], looked: 'no schedule was promised' }
  const replayed = new Set(observed.filter((row) => row.replayed || row.chain !== null).map(({ customer, event }) => `${customer}/${event}`))
  let retries = 0
  const violations = []
  for (const customer of evidence.withOneEndpoint) {
    const requests = evidence.received.filter((request) => request.customer === customer)
    if (hasBeenOut(requests, delays.breakerFailures) || evidence.faults.has(customer) || requests.some(({ retryAfterMs, status }) => retryAfterMs !== undefined || status === 429)) continue
    const before = new Map<string, { request: Received; least: number; most: number }>()
    for (const request of requests) {
      const { id, status, t, seq } = request
      if (id === null || replayed.has(`${customer}/${id}`)) continue
      const last = before.get(id)
      if (last && evidence.interrupted(last.request.t, t)) last.least-- // it may have been written down or not
      else if (last) {
        retries++
        const ms = t - last.request.t
        const isDue = (base: number) => ms >= base * (1 - delays.jitter) - EARLY_MS && ms <= base * (1 + delays.jitter) + LATE_MS
        const bases = new Set(Array.from({ length: last.most - last.least + 1 }, (_, n) => delays.schedule[Math.min(last.least + n, delays.schedule.length) - 1]!))
        if (![...bases].some(isDue)) {
          const failure = last.least === last.most ? `failure ${last.most}` : `failure ${last.least} to ${last.most}`
          violations.push({ why: `${customer} was sent ${id} again ${Math.round(ms)} ms after ${failure}, which the schedule puts at ${[...bases].join(' or ')} ms, give or take ${delays.jitter * 100} %`, witness: [last.request.seq, seq] })
        }
      }
      if (status >= 300 && !NO_STRIKE.has(status)) before.set(id, { request, least: (last?.least ?? 0) + 1, most: (last?.most ?? 0) + 1 })
      else before.delete(id)
    }
  }
  return { violations, looked: `${retries} ${retries === 1 ? 'retry' : 'retries'}` }
})

/** Of its 4xx, those that may be an outage's as well. */
const PASSING: ReadonlySet<number> = new Set([408, 409, 425])

/** Whether so many answers in a row were an outage's: then its lane may have been parked, and what was sent there knocked. */
function hasBeenOut(requests: readonly Received[], breakerFailures: number): boolean {
  let row = 0
  for (const { status } of requests) {
    row = status === 0 || status >= 500 || PASSING.has(status) ? row + 1 : 0
    if (row >= breakerFailures) return true
  }
  return false
}
