/** What passed between the engine, its services and its clients: calls and answers, from the engine's own events or from what its store kept of them. */
import type { Fields } from '../../events.ts'
import type { Result } from '../policies/ambient.ts'
import type { Store } from '../store/store.ts'

/** One call that has ended. */
export interface Call {
  /** `bank`, `fraud`, `notification`, or another bank. */
  service: string
  /** `bank` is a charge; see HopKind. */
  hop: string
  payment: string
  /** When it began, ms from any origin; and what it took. */
  at: number
  ms: number
  /** As a breaker counts it. */
  result: Result
  /** It failed and did nothing, for certain: it could have been made again. */
  harmless: boolean
  /** Its time ran out: it would have taken longer. */
  cutOff: boolean
}

/** A call that was not made, because a breaker or a bulkhead refused it. */
export interface Refused {
  service: string
  at: number
}

/** What a client was told. */
export interface Answer {
  payment: string
  at: number
  /** The state that it was told. */
  told: string
  spentMs: number
  deadlineMs: number
}

export interface Traffic {
  /** In the order in which they ended, as they were said. */
  calls: Call[]
  refused: Refused[]
  answers: Answer[]
}

/** An event as it was said or written down; its fields are what somebody wrote into a file. */
export interface Said extends Fields {
  type: string
  /** ms since the log began. */
  t: number
}

/** From events of the engine; others, and those that cannot be read, are passed over. */
export function trafficOf(events: Iterable<Said>): Traffic {
  const traffic: Traffic = { calls: [], refused: [], answers: [] }
  for (const event of events) {
    const { type, t, payment } = event
    if (!Number.isFinite(t)) continue
    if (type === 'hop.ended') {
      const call = callOf(event)
      if (call) traffic.calls.push(call)
    } else if (type === 'hop.refused') {
      traffic.refused.push({ service: serviceOf(event), at: t })
    } else if (type === 'payment.answered' && Number.isFinite(event['spentMs']) && event['deadlineMs'] > 0) {
      traffic.answers.push({ payment: String(payment), at: t, told: String(event['told']), spentMs: event['spentMs'], deadlineMs: event['deadlineMs'] })
    }
  }
  return traffic
}

function callOf(event: Said): Call | undefined {
  const { t, payment, hop, outcome, status, detail, ms } = event
  if (!(ms >= 0) || typeof hop !== 'string' || !['ok', 'failed', 'unknown'].includes(outcome)) return undefined
  const refusal = outcome === 'ok' && status >= 400 && status < 500 && status !== 408
  const failed = outcome === 'ok' ? status >= 500 || status === 408 : detail !== 'ABORTED'
  const result = failed ? 'failure' : refusal || outcome !== 'ok' ? 'ignored' : 'ok'
  return { service: serviceOf(event), hop, payment: String(payment), at: t - ms, ms, result, harmless: outcome === 'failed' || status === 429 || status === 425, cutOff: detail === 'TIMEOUT' }
}

const SERVICE: Record<string, string> = { fraud: 'fraud', notify: 'notification' }

/** Where the event does not name it: the one that its hop goes to. */
const serviceOf = ({ service, hop }: Said) => (typeof service === 'string' ? service : (SERVICE[hop] ?? 'bank'))

/** What a store can give at most: the newest of its charge requests. */
const MOST_KEPT = 100_000

interface KeptCall {
  payment: string
  acquirer: string
  sentAt: number
  endedAt: number
  timeoutMs: number
  outcome: string
  detail: string | null
}

interface KeptAnswer {
  payment: string
  state: string
  createdAt: number
  restedAt: number
}

/**
 * From a store: charge requests only, and answers as they must have been, for only their end is kept. A payment that came to rest after `patienceMs`, the
 * deadline without its reserve, was told "not known yet".
 */
export async function trafficIn(store: Store, deadlineMs: number, patienceMs: number): Promise<Traffic> {
  const { calls, answers } = await store.transaction('traffic', async (tx) => ({
    calls: await tx.query<KeptCall>(
      `SELECT attempts.payment AS payment, acquirer, attempts.sent_at AS "sentAt", ended_at AS "endedAt", timeout_ms AS "timeoutMs", outcome, detail
       FROM attempts JOIN payments ON payments.id = attempts.payment
       WHERE ended_at IS NOT NULL AND outcome IS NOT NULL ORDER BY attempts.sent_at DESC LIMIT :most`,
      { most: MOST_KEPT },
    ),
    answers: await tx.query<KeptAnswer>(
      `SELECT id AS payment, state, created_at AS "createdAt", coalesce(finished_at, updated_at) AS "restedAt" FROM payments
       WHERE state NOT IN ('claimed', 'sent') ORDER BY created_at DESC LIMIT :most`,
      { most: MOST_KEPT },
    ),
  }))
  return {
    calls: calls.reverse().map(({ payment, acquirer, sentAt, endedAt, timeoutMs, outcome, detail }) => ({
      service: acquirer, hop: 'bank', payment, at: sentAt,
      // One whose node died was closed by whoever took it over, long after its time was up.
      ms: Math.min(Math.max(0, endedAt - sentAt), timeoutMs),
      result: outcome === 'unknown' || outcome === 'not_applied' ? 'failure' : outcome === 'declined' ? 'ignored' : 'ok',
      harmless: outcome === 'not_applied', cutOff: detail === 'TIMEOUT' || endedAt - sentAt > timeoutMs,
    })),
    refused: [],
    answers: answers.reverse().map(({ payment, state, createdAt, restedAt }) => {
      const tookMs = Math.max(0, restedAt - createdAt)
      const waited = state === 'unknown' || state === 'review' || tookMs > patienceMs
      return { payment, at: createdAt + Math.min(tookMs, patienceMs), told: waited && state !== 'released' ? 'unknown' : state, spentMs: Math.min(tookMs, patienceMs), deadlineMs }
    }),
  }
}
