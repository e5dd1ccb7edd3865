/** How lanes stand, for whoever watches: what their owner knows of them, beside what its store says. */
import type { Tx } from '../store/store.ts'
import type { EndpointState } from './endpoints.ts'
import type { Lane } from './lane.ts'

/** Between two looks, ms: a reader sees no more. */
export const OBSERVED_EVERY_MS = 500
/** Lanes of one look, those first in which the most waits: an event that names thousands is read by nobody. */
const LANES_MOST = 64

export interface LaneSeen {
  endpoint: string
  state: EndpointState
  /** Why it is not enabled. */
  reason: string | null
  /** Deliveries that it was ever given. */
  owed: number
  /** Not delivered yet, and not dead. */
  waiting: number
  dead: number
  /** Age of what waits longest, ms; null when nothing does. Of retries and replays it is that of the one which is due first. */
  oldestMs: number | null
  inFlight: number
  /** Its concurrency now, and the most that it may be. */
  limit: number
  places: number
  parked: boolean
  /** ms until something may be sent: the next probe of a parked lane, or the end of a silence that was asked for. */
  nextMs: number
  /** Since the last success, and how long ago the first of them was, ms. */
  failures: number
  failingMs: number | null
}

/** In the caller's transaction, in the order of lanes. `monotonic` and `wall` are the node's, ms. */
export async function observeLanes(tx: Tx, lanes: ReadonlyMap<number, Lane>, { monotonic, wall }: { monotonic: number; wall: number }): Promise<LaneSeen[]> {
  if (lanes.size === 0) return []
  const rows = await tx.query<{ lane: number; owed: number; waiting: number; dead: number; first: number | null; retry: number | null; replay: number | null }>(
    `SELECT s.lane, s.owed, s.waiting, s.dead, ${oldest(0)} AS first, ${oldest(1)} AS retry, ${oldest(2)} AS replay
     FROM (SELECT l.lane, l.seq AS owed, l.seq - l.delivered - l.dead - l.cancelled AS waiting, l.dead FROM json_each(:lanes) j CROSS JOIN lane l ON l.lane = j.value ORDER BY waiting DESC, l.lane LIMIT ${LANES_MOST}) AS s
     ORDER BY s.lane`,
    { lanes: JSON.stringify([...lanes.keys()]) },
  )
  return rows.map(({ lane: number, owed, waiting, dead, ...ages }) => {
    const lane = lanes.get(number)!
    const { id: endpoint, state, reason } = lane.facts
    const since = Object.values(ages).filter((at) => at !== null)
    return {
      endpoint, state, reason, owed, waiting, dead,
      oldestMs: waiting === 0 || since.length === 0 ? null : Math.max(0, wall - Math.min(...since)),
      inFlight: lane.inFlight, limit: lane.limit, places: lane.places, parked: lane.isParked, nextMs: Math.ceil(lane.retryIn(monotonic)),
      failures: lane.failures, failingMs: lane.failingSince === null ? null : Math.max(0, wall - lane.failingSince),
    }
  })
}

/** The index gives it without a look at the others. */
const oldest = (kind: number) => `(SELECT d.created_at FROM delivery d WHERE d.lane = s.lane AND d.class = ${kind} AND d.state = 'pending' ORDER BY d.due, d.id LIMIT 1)`
