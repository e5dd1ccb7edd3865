import { plural } from '../../../invariant.ts'
import type { Evidence } from '../evidence.ts'
import { atTheEnd } from '../evidence.ts'

/** What is on its way when the answer leaves still comes: no request of a scenario takes longer, ms. */
const ON_ITS_WAY_MS = 1500
/** By how much the latencies of two answers may differ, ms. */
const EARLY_MS = 100
/** Nobody is obeyed for longer, ms. */
const LONGEST_MS = 3_600_000

interface Quiet {
  from: number
  until: number
  seq: number
}

export const invariant = atTheEnd('w8-retry-after', 'whoever answers with Retry-After is left alone for so long, an hour at most', (evidence) => {
  const quiets = evidence.withOneEndpoint.map((customer) => judge(evidence, customer))
  return { violations: quiets.flatMap(({ violations }) => violations), looked: plural(quiets.reduce((sum, { asked }) => sum + asked, 0), 'Retry-After') }
})

function judge(evidence: Evidence, customer: string): { asked: number; violations: { why: string; witness: number[] }[] } {
  let asked = 0
  let quiet: Quiet | undefined
  const violations = []
  for (const { seq, t, retryAfterMs, ...request } of evidence.received) {
    if (request.customer !== customer) continue
    // Who died before it had written the answer down takes it with him.
    if (quiet && t > quiet.from + ON_ITS_WAY_MS && t < quiet.until - EARLY_MS && !evidence.interrupted(quiet.from, t)) {
      violations.push({ why: `${customer} was sent a request ${Math.round(quiet.until - t)} ms before the time that it had asked for`, witness: [quiet.seq, seq] })
    }
    if (retryAfterMs === undefined) continue
    asked++
    const until = t + Math.min(retryAfterMs, LONGEST_MS)
    if (!quiet || until > quiet.until) quiet = { from: t, until, seq }
  }
  return { asked, violations }
}
