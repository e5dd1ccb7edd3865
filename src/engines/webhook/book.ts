/**
 * Questions about the store: what happened, what waits, what is dead. Each is one transaction, goes by an index, and looks at a bounded number of rows, however
 * many there are: a page that looked at as many as it may says where the next one begins, even when it found little.
 */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import { visible } from '../../visible.ts'
import type { Store, Tx } from '../store/store.ts'
import type { EndpointState, LaneRow } from './endpoints.ts'
import { known } from './endpoints.ts'

export type DeliveryState = 'pending' | 'chained' | 'delivered' | 'dead' | 'cancelled'

/** Rows that one page may look at. */
export const LOOKED_AT_MOST = 10_000
/** Rows of one page. */
export const PAGE_MOST = 1000
const PAGE = 100
/** Bytes of the bodies on one page: some of the largest. */
const PAGE_BYTES = 1024 * 1024
/** Dead ones of a lane that are counted by their reason; their number is known without. */
const REASONS_LOOKED_AT = 10_000
/** Lanes with dead deliveries of which one answer tells. */
const DLQ_LANES_MOST = 1000
/** What waits longer than this for its first attempt has a slow lane, ms. */
export const SLOW_MS = 30_000

export interface EventLine {
  id: string
  seq: number
  tenant: string
  type: string
  key: string | null
  created_at: number
}

export interface DeliveryLine {
  id: number
  event: string
  type: string
  endpoint: string
  /** Its number in the lane. */
  sequence: number
  state: DeliveryState
  tries: number
  /** When it is tried again, ms since 1970; 0: at once. */
  due: number
  reason: string | null
  job: string | null
  created_at: number
  ended_at: number | null
}

export interface EventShown extends EventLine {
  body: string
  deliveries: DeliveryLine[]
}

/** An event as one endpoint is told of it. */
export interface OwedLine {
  id: string
  /** Its number in the lane: the `webhook-sequence` of its requests. */
  sequence: number
  type: string
  key: string | null
  state: DeliveryState
  created_at: number
  body: string
}

export interface AttemptLine {
  n: number
  at: number
  ms: number
  outcome: string
  status: number | null
  detail: string | null
  body: string | null
}

export interface EventFilter {
  /** Sequence number; what came later is shown, oldest first. */
  after?: number
  limit?: number
  tenant?: string
  /** `order.created`, `order.*`. */
  type?: string
  /** At least one of its deliveries is. */
  state?: DeliveryState
}

export interface DeliveryFilter {
  endpoint?: string
  state?: DeliveryState
  type?: string
  /** Of the event, ms since 1970. */
  since?: number
  limit?: number
  /** `next` of the page before. */
  cursor?: string
}

export interface Dead {
  endpoint: string
  dead: number
  /** When the oldest died. */
  oldest_at: number | null
  /** Counted over the oldest 10 000. */
  reasons: { reason: string; dead: number; oldest_at: number | null }[]
}

/** A lane in one word: the first of these that is true, from right to left of how much a person must do. */
export type LaneWord = 'healthy' | 'slow' | 'quiet' | 'parked' | 'paused' | 'disabled'

export interface LaneView {
  endpoint: string
  tenant: string
  url: string
  state: LaneWord
  reason: string | null
  /** Neither delivered nor dead. */
  waiting: number
  /** Age of the oldest of these, ms; of those that are tried again, the one that is due first. */
  oldest_ms: number | null
  delivered: number
  dead: number
  /** In a row. */
  failures: number
  failing_since: number | null
  succeeded_at: number | null
  /** When a parked lane is probed, or a quiet one is spoken to again, ms since 1970. */
  next_at: number | null
  /** Concurrency that was found; 0: nothing has been sent. */
  places: number
}

export interface Recount {
  endpoint: string
  lane: number
  /** By the counters of the lane, and by its rows. */
  waiting: { counted: number; rows: number }
  dead: { counted: number; rows: number }
  agrees: boolean
}

export class Book {
  readonly #store: Store
  readonly #clock: Clock

  constructor({ store, clock }: { store: Store; clock: Clock }) {
    this.#store = store
    this.#clock = clock
  }

  /** Oldest first. `next` is the sequence number to go on after, null when this was all there is now. Throws BAD_FILTER. */
  events({ after = 0, limit = PAGE, tenant, type, state }: EventFilter = {}): Promise<{ events: EventLine[]; next: number | null }> {
    const [terms, params] = typed(type, 'e')
    if (tenant !== undefined) terms.push('e.tenant = :tenant')
    if (state !== undefined) terms.push('EXISTS (SELECT 1 FROM delivery d WHERE d.event = e.seq AND d.state = :state)')
    return this.#store.transaction('book:events', async (tx) => {
      const most = pageOf(limit)
      const looked = await upTo(tx, 'event', 'seq', after)
      const events = await tx.query<EventLine>(
        `SELECT e.id, e.seq, e.tenant, e.type, e.ordering_key AS key, e.created_at FROM event e
         WHERE e.seq > :after AND e.seq <= :last ${terms.map((term) => `AND ${term}`).join(' ')} ORDER BY e.seq LIMIT :most`,
        { ...params, after, last: looked.last, most, ...(tenant === undefined ? {} : { tenant }), ...(state === undefined ? {} : { state }) },
      )
      return { events, next: events.length === most ? events.at(-1)!.seq : looked.more ? looked.last : null }
    })
  }

  /**
   * What one endpoint is to be told, delivered or not, in the order of its numbers, with the bodies: as many as fit a page. `next` is the number to
   * go on after, null when this was all there is now. Throws NO_SUCH_ENDPOINT, BAD_FILTER.
   */
  owed(endpoint: string, { after = 0, limit = PAGE }: { after?: number; limit?: number } = {}): Promise<{ events: OwedLine[]; next: number | null }> {
    return this.#store.transaction('book:owed', async (tx) => {
      const most = pageOf(limit)
      const { lane } = await known(tx, endpoint)
      const rows = await tx.query<{ n: number; bytes: number }>('SELECT d.n, LENGTH(CAST(e.body AS BLOB)) AS bytes FROM delivery d CROSS JOIN event e ON e.seq = d.event WHERE d.lane = :lane AND d.n > :after ORDER BY d.n LIMIT :most', { lane, after, most })
      let bytes = 0
      const page = rows.filter((row) => (bytes += row.bytes) <= PAGE_BYTES)
      const last = page.at(-1)?.n ?? after
      const events = await tx.query<OwedLine>(
        `SELECT e.id, d.n AS sequence, e.type, e.ordering_key AS key, d.state, e.created_at, e.body FROM delivery d CROSS JOIN event e ON e.seq = d.event
         WHERE d.lane = :lane AND d.n > :after AND d.n <= :last ORDER BY d.n`,
        { lane, after, last },
      )
      return { events, next: page.length < rows.length || rows.length === most ? last : null }
    })
  }

  /** With its body and its deliveries, at most 1000 of these. Throws NO_SUCH_EVENT. */
  event(id: string): Promise<EventShown> {
    return this.#store.transaction('book:event', async (tx) => {
      const [event] = await tx.query<EventLine & { body: string }>('SELECT id, seq, tenant, type, ordering_key AS key, created_at, body FROM event WHERE id = :id', { id })
      if (!event) throw new ResilError('NO_SUCH_EVENT', `there is no event "${visible(id.slice(0, 255))}"`, 'those whose deliveries have all ended are forgotten after some days')
      const deliveries = await tx.query<DeliveryLine>(`${DELIVERY} WHERE d.event = :seq ORDER BY d.id LIMIT ${PAGE_MOST}`, { seq: event.seq })
      return { ...event, deliveries }
    })
  }

  /** Newest first. Throws NO_SUCH_ENDPOINT, BAD_FILTER. */
  deliveries({ endpoint, state, type, since, limit = PAGE, cursor }: DeliveryFilter = {}): Promise<{ deliveries: DeliveryLine[]; next: string | null }> {
    // Of one lane they stand in the order of their numbers, or, the dead, of their ids; of all lanes, of their ids.
    const order = endpoint === undefined || state === 'dead' ? 'id' : 'n'
    const before = cursor === undefined ? Number.MAX_SAFE_INTEGER : Number(new RegExp(`^${order}(\\d{1,15})$`).exec(cursor)?.[1] ?? Number.NaN)
    if (Number.isNaN(before)) return Promise.reject(new ResilError('BAD_FILTER', 'the cursor belongs to another question', 'give the `next` of the page before, with the same filter'))
    const [terms, params] = typed(type, 'e')
    return this.#store.transaction('book:deliveries', async (tx) => {
      const most = pageOf(limit)
      const lane = endpoint === undefined ? undefined : (await known(tx, endpoint)).lane
      const inner = [`${order} < :before`, ...(lane === undefined ? [] : ['lane = :lane']), ...(state === 'dead' ? ["state = 'dead'"] : [])].join(' AND ')
      const own = { before, ...(lane === undefined ? {} : { lane }) }
      const [end] = await tx.query<{ last: number | null; n: number; oldest: number | null }>(
        `SELECT last, n, (SELECT e.created_at FROM event e WHERE e.seq = first) AS oldest
         FROM (SELECT MIN(at) AS last, COUNT(*) AS n, MIN(event) AS first FROM (SELECT ${order} AS at, event FROM delivery WHERE ${inner} ORDER BY ${order} DESC LIMIT ${LOOKED_AT_MOST}) AS looked) AS ends`,
        own,
      )
      if (end!.n === 0) return { deliveries: [], next: null }
      if (state !== undefined) terms.push('d.state = :state')
      if (since !== undefined) terms.push('e.created_at >= :since')
      const deliveries = await tx.query<DeliveryLine>(
        `${DELIVERY} WHERE ${inner.replaceAll(/\b(id|n|lane|state)\b(?= [<=])/g, 'd.$1')} AND d.${order} >= :last ${terms.map((term) => `AND ${term}`).join(' ')} ORDER BY d.${order} DESC LIMIT :most`,
        { ...params, ...own, last: end!.last, most, ...(state === undefined ? {} : { state }), ...(since === undefined ? {} : { since }) },
      )
      const tail = deliveries.at(-1)
      if (deliveries.length === most) return { deliveries, next: `${order}${order === 'n' ? tail!.sequence : tail!.id}` }
      const over = end!.n < LOOKED_AT_MOST || (since !== undefined && end!.oldest !== null && end!.oldest < since)
      return { deliveries, next: over ? null : `${order}${end!.last}` }
    })
  }

  /** First to last, at most 1000. Throws NO_SUCH_DELIVERY. */
  attempts(delivery: number): Promise<{ delivery: DeliveryLine; attempts: AttemptLine[] }> {
    return this.#store.transaction('book:attempts', async (tx) => {
      const [found] = await tx.query<DeliveryLine>(`${DELIVERY} WHERE d.id = :delivery`, { delivery })
      if (!found) throw new ResilError('NO_SUCH_DELIVERY', `there is no delivery ${delivery}`, 'GET /v1/deliveries lists them')
      return { delivery: found, attempts: await tx.query<AttemptLine>(`SELECT n, at, ms, outcome, status, detail, body FROM attempt WHERE delivery = :delivery ORDER BY n LIMIT ${PAGE_MOST}`, { delivery }) }
    })
  }

  /** Of at most 1000 endpoints, those with the most first. Throws NO_SUCH_ENDPOINT. */
  dlq(endpoint?: string): Promise<Dead[]> {
    return this.#store.transaction('book:dlq', async (tx) => {
      const lanes = endpoint === undefined
        ? await tx.query<{ lane: number; id: string; dead: number }>(`SELECT l.lane, e.id, l.dead FROM lane l JOIN endpoint e ON e.lane = l.lane WHERE l.dead > 0 AND e.state <> 'removed' ORDER BY l.dead DESC, l.lane LIMIT ${DLQ_LANES_MOST}`)
        : [await known(tx, endpoint)]
      const budget = Math.max(1, Math.floor(REASONS_LOOKED_AT / Math.max(1, lanes.length)))
      const all: Dead[] = []
      for (const { lane, id, dead } of lanes) {
        const rows = await tx.query<{ reason: string | null; n: number; oldest: number | null }>(
          `SELECT reason, COUNT(*) AS n, MIN(ended_at) AS oldest FROM (SELECT reason, ended_at FROM delivery WHERE lane = :lane AND state = 'dead' ORDER BY id LIMIT :budget) AS dead GROUP BY reason ORDER BY n DESC, reason LIMIT 100`,
          { lane, budget },
        )
        const reasons = rows.map(({ reason, n, oldest }) => ({ reason: reason ?? 'unknown', dead: n, oldest_at: oldest }))
        all.push({ endpoint: id, dead, oldest_at: least(reasons.map(({ oldest_at }) => oldest_at)), reasons })
      }
      return all
    })
  }

  /** In the order in which endpoints were made. `next` is the `after` of the next page. A page costs some look-ups a lane, whatever waits there. */
  lanes({ after = 0, limit = PAGE, tenant }: { after?: number; limit?: number; tenant?: string } = {}): Promise<{ lanes: LaneView[]; next: number | null }> {
    const now = this.#clock.now()
    return this.#store.transaction('book:lanes', async (tx) => {
      const most = pageOf(limit)
      const rows = await tx.query<LaneFull>(
        `${LANE_FULL} WHERE e.lane > :after AND e.state <> 'removed' ${tenant === undefined ? '' : 'AND e.tenant = :tenant'} ORDER BY e.lane LIMIT :most`,
        { after, most, ...(tenant === undefined ? {} : { tenant }) },
      )
      const lanes: LaneView[] = []
      for (const row of rows) lanes.push(await viewOf(tx, row, now))
      return { lanes, next: rows.length === most ? rows.at(-1)!.lane : null }
    })
  }

  /** Throws NO_SUCH_ENDPOINT. */
  lane(endpoint: string): Promise<LaneView> {
    const now = this.#clock.now()
    return this.#store.transaction('book:lane', async (tx) => viewOf(tx, await known(tx, endpoint), now))
  }

  /**
   * Counts one lane's rows anew, which takes as long as it has rows: for audits. What was delivered is forgotten after some days, and so the rows of it are not
   * compared; what waits is, and the dead are as long as none has been forgotten. Throws NO_SUCH_ENDPOINT.
   */
  recount(endpoint: string): Promise<Recount> {
    return this.#store.transaction('book:recount', async (tx) => {
      const { lane, waiting, dead, seq } = await known(tx, endpoint)
      const rows = await tx.query<{ state: DeliveryState; n: number }>('SELECT state, COUNT(*) AS n FROM delivery WHERE lane = :lane GROUP BY state', { lane })
      const of = (...states: DeliveryState[]) => rows.reduce((sum, row) => sum + (states.includes(row.state) ? row.n : 0), 0)
      const whole = rows.reduce((sum, { n }) => sum + n, 0) === seq
      const found = { waiting: of('pending', 'chained'), dead: of('dead') }
      return { endpoint, lane, waiting: { counted: waiting, rows: found.waiting }, dead: { counted: dead, rows: found.dead }, agrees: waiting === found.waiting && (whole ? dead === found.dead : dead >= found.dead) }
    })
  }
}

/** A reason in one of few words, whatever the endpoint demanded. */
export function deathWord(reason: string | null): 'poison' | 'too_large' | 'forbidden' | 'age' {
  if (reason?.startsWith('poison')) return 'poison'
  if (reason === 'status 413') return 'too_large'
  return reason === 'FORBIDDEN_ADDRESS' || reason === 'INVALID_REQUEST' ? 'forbidden' : 'age'
}

const DELIVERY = `SELECT d.id, e.id AS event, e.type, p.id AS endpoint, d.n AS sequence, d.state, d.tries, d.due, d.reason, d.job, d.created_at, d.ended_at
  FROM delivery d CROSS JOIN event e ON e.seq = d.event CROSS JOIN endpoint p ON p.lane = d.lane`

interface LaneFull extends LaneRow {
  id: string
  tenant: string
  url: string
  state: EndpointState
  reason: string | null
  waiting: number
}

const LANE_FULL = `SELECT l.*, e.id, e.tenant, e.url, e.state, e.reason, l.seq - l.delivered - l.dead - l.cancelled AS waiting FROM endpoint e CROSS JOIN lane l ON l.lane = e.lane`

async function viewOf(tx: Tx, row: LaneFull, now: number): Promise<LaneView> {
  const firsts = row.waiting === 0 ? [] : await tx.query<{ class: number; created_at: number }>(
    [0, 1, 2].map((kind) => `SELECT * FROM (SELECT class, created_at FROM delivery WHERE lane = :lane AND class = ${kind} AND state = 'pending' ORDER BY due, id LIMIT 1) AS c${kind}`).join(' UNION ALL '),
    { lane: row.lane },
  )
  const oldest = least(firsts.map(({ created_at }) => created_at))
  const fresh = firsts.find((each) => each.class === 0)?.created_at
  const breaker = row.breaker === null ? undefined : (JSON.parse(row.breaker) as { state: string; untilAt: number })
  const parked = breaker?.state === 'open'
  const quiet = row.quiet_until !== null && row.quiet_until > now
  const held = row.state === 'paused' || row.state === 'disabled'
  const slow = fresh !== undefined && now - fresh > SLOW_MS
  return {
    endpoint: row.id,
    tenant: row.tenant,
    url: row.url,
    state: held ? (row.state as 'paused' | 'disabled') : parked ? 'parked' : quiet ? 'quiet' : slow ? 'slow' : 'healthy',
    reason: row.reason,
    waiting: row.waiting,
    oldest_ms: oldest === null ? null : Math.max(0, now - oldest),
    delivered: row.delivered,
    dead: row.dead,
    failures: row.failures,
    failing_since: row.failing_since,
    succeeded_at: row.succeeded_at,
    next_at: held ? null : parked ? breaker.untilAt : quiet ? row.quiet_until : null,
    places: row.places,
  }
}

/** Where a page that begins behind `after` has looked at as many rows as it may. */
async function upTo(tx: Tx, table: 'event', column: 'seq', after: number): Promise<{ last: number; more: boolean }> {
  const [row] = await tx.query<{ at: number }>(`SELECT ${column} AS at FROM ${table} WHERE ${column} > :after ORDER BY ${column} LIMIT 1 OFFSET ${LOOKED_AT_MOST - 1}`, { after })
  return row ? { last: row.at, more: true } : { last: Number.MAX_SAFE_INTEGER, more: false }
}

function typed(type: string | undefined, table: string): [string[], Record<string, string>] {
  if (type === undefined || type === '*') return [[], {}]
  return type.endsWith('.*') ? [[`substr(${table}.type, 1, length(:type)) = :type`], { type: type.slice(0, -1) }] : [[`${table}.type = :type`], { type }]
}

function pageOf(limit: number): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= PAGE_MOST) return limit
  throw new ResilError('BAD_FILTER', `a page has 1 to ${PAGE_MOST} rows`, 'give a smaller limit, and the cursor of the page before')
}

const least = (values: readonly (number | null)[]) => values.reduce<number | null>((low, value) => (value !== null && (low === null || value < low) ? value : low), null)
