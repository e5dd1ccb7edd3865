/** What the webhook engine's own store says, when all has come to rest: said as events, so that invariants can lay it beside what customers saw. */
import type { Log } from '../events.ts'
import type { Store } from '../engines/store/store.ts'

/** Rows of one page. */
const PAGE = 5000
/** Examples of what should not be. */
const EXAMPLES = 5

export async function observeDeliveries(store: Store, log: Log, customerOf: (endpoint: string) => string | undefined): Promise<void> {
  for (let cursor = 0; ; ) {
    const rows = await store.transaction('audit', (tx) =>
      tx.query<{ id: number; event: string; type: string; endpoint: string; n: number; state: string; reason: string | null; tries: number; attempts: number; replayed: number; chain: string | null; endpoint_state: string }>(
        `SELECT d.id, e.id AS event, e.type, p.id AS endpoint, p.state AS endpoint_state, d.n, d.state, d.reason, d.tries, d.job IS NOT NULL AS replayed, d.chain, (SELECT COUNT(*) FROM attempt a WHERE a.delivery = d.id) AS attempts
         FROM delivery d JOIN event e ON e.seq = d.event JOIN endpoint p ON p.lane = d.lane
         WHERE d.id > :cursor ORDER BY d.id LIMIT ${PAGE}`,
        { cursor },
      ),
    )
    for (const { id: _id, type, replayed, endpoint_state, ...row } of rows) {
      log.emit('delivery.observed', { ...row, what: type, replayed: replayed === 1, held: row.state === 'pending' && endpoint_state !== 'enabled', customer: customerOf(row.endpoint) ?? null })
    }
    if (rows.length < PAGE) break
    cursor = rows.at(-1)!.id
  }
  const answered = await store.transaction('audit', (tx) =>
    tx.query<{ endpoint: string; attempts: number; answered: number }>('SELECT p.id AS endpoint, COUNT(*) AS attempts, SUM(a.status IS NOT NULL) AS answered FROM attempt a JOIN delivery d ON d.id = a.delivery JOIN endpoint p ON p.lane = d.lane GROUP BY p.id ORDER BY p.lane'),
  )
  for (const row of answered) log.emit('attempts.observed', { ...row, customer: customerOf(row.endpoint) ?? null })
  const beyond = await store.transaction('audit', (tx) =>
    tx.query<{ event: string; endpoint: string }>(
      `SELECT e.id AS event, p.id AS endpoint FROM attempt a JOIN attempt b ON b.delivery = a.delivery AND b.n > a.n
       JOIN delivery d ON d.id = a.delivery JOIN event e ON e.seq = d.event JOIN endpoint p ON p.lane = d.lane
       WHERE a.outcome = 'delivered' AND d.job IS NULL LIMIT ${EXAMPLES}`,
    ),
  )
  log.emit('repeats.observed', { repeats: beyond.length, examples: beyond })
  const wrong = await store.transaction('audit', (tx) =>
    tx.query<{ lane: number; delivered: number; dead: number; cancelled: number; seq: number; arrived: number; died: number; stopped: number; last: number | null }>(
      `SELECT l.lane, l.delivered, l.dead, l.cancelled, l.seq,
              (SELECT COUNT(*) FROM delivery d WHERE d.lane = l.lane AND d.state = 'delivered') AS arrived, (SELECT COUNT(*) FROM delivery d WHERE d.lane = l.lane AND d.state = 'dead') AS died,
              (SELECT COUNT(*) FROM delivery d WHERE d.lane = l.lane AND d.state = 'cancelled') AS stopped, (SELECT MAX(n) FROM delivery d WHERE d.lane = l.lane) AS last
       FROM lane l`,
    ),
  )
  const untrue = wrong.filter((row) => row.delivered !== row.arrived || row.dead !== row.died || row.cancelled !== row.stopped || row.seq !== (row.last ?? 0))
  log.emit('counters.observed', { lanes: wrong.length, untrue: untrue.length, examples: untrue.slice(0, EXAMPLES) })
}
