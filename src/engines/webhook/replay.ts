/**
 * Sending again what is dead, or has arrived before: a job in the store, so that it goes on after a crash, counts exactly, and asks nothing twice.
 *
 *   filter, bound (the newest delivery at the time) ──▶ pages by id ──▶ pending again, class 2, same webhook-id ──▶ counted as they end
 *
 * Asking is paced; what was asked has its own small share of each lane, so that live traffic keeps the rest.
 */
import { ResilError } from '../../errors.ts'
import { suggestion } from '../../nearest.ts'
import { visible } from '../../visible.ts'
import type { Clock } from '../../clock.ts'
import type { Random } from '../../random.ts'
import type { Store, Tx } from '../store/store.ts'
import { audit } from './endpoints.ts'

export interface ReplayFilter {
  /** Only what is dead; else also what was delivered. */
  dlq: boolean
  tenant?: string
  endpoint?: string
  /** A type of event, as of the subscription: `order.created`, `order.*`. */
  type?: string
  /** Of the event, ms since 1970, both included. */
  since?: number
  until?: number
  /** Begins so. */
  reason?: string
  /** Events by their id. */
  ids?: readonly string[]
}

export type ReplayState = 'running' | 'paused' | 'cancelled' | 'done'

export interface Replay {
  id: string
  filter: string
  newest_first: number
  /** 0: as fast as lanes take them. */
  per_second: number
  state: ReplayState
  bound: number
  cursor: number
  matched: number
  queued: number
  delivered: number
  /** Again. */
  failed: number
  credit_at: number
  created_at: number
  ended_at: number | null
}

export interface NewReplay {
  filter: ReplayFilter
  newestFirst?: boolean
  perSecond?: number
  /** The same one again is the same job: asking twice asks once. */
  id?: string
  who: string
}

/** Rows that one step moves: it holds the store for some ms. */
const STEP = 200
/** Ids in one filter. */
const IDS_MOST = 10_000

export class Replays {
  readonly #store: Store
  readonly #clock: Clock
  readonly #random: Random

  constructor(outside: { store: Store; clock: Clock; random: Random }) {
    this.#store = outside.store
    this.#clock = outside.clock
    this.#random = outside.random.fork('replays')
  }

  /** How many a job would ask for now. Throws NO_SUCH_ENDPOINT. */
  count(filter: ReplayFilter): Promise<number> {
    return this.#store.transaction('replay:count', async (tx) => {
      const { where, params } = await conditions(tx, filter)
      const [row] = await tx.query<{ n: number }>(`SELECT COUNT(*) AS n ${FROM} WHERE ${where}`, params)
      return row!.n
    })
  }

  /** Throws NO_SUCH_ENDPOINT, REPLAY_EXISTS. */
  ask({ filter, newestFirst = false, perSecond = 0, id = this.#random.id('rp'), who }: NewReplay): Promise<Replay> {
    if ((filter.ids?.length ?? 0) > IDS_MOST) throw new ResilError('BAD_FILTER', `a replay names at most ${IDS_MOST} events`, 'filter by endpoint, type or time instead')
    const now = this.#clock.now()
    return this.#store.transaction('replay:ask', async (tx) => {
      const [before] = await tx.query<Replay>('SELECT * FROM replay WHERE id = :id', { id })
      if (before) {
        if (before.filter === JSON.stringify(filter)) return before
        throw new ResilError('REPLAY_EXISTS', `${id} asks for something else already`, 'leave --job out for a new one')
      }
      const { where, params } = await conditions(tx, filter)
      const [found] = await tx.query<{ n: number; bound: number | null; least: number | null }>(`SELECT COUNT(*) AS n, MAX(d.id) AS bound, MIN(d.id) AS least ${FROM} WHERE ${where}`, params)
      const { n, bound, least } = found!
      // Neither end moves: what dies later, or again, is for another job.
      const cursor = newestFirst ? (bound ?? 0) + 1 : (least ?? 1) - 1
      await tx.query(
        `INSERT INTO replay (id, tenant, filter, newest_first, per_second, state, bound, cursor, matched, queued, delivered, failed, credit_at, created_at, ended_at)
         VALUES (:id, :tenant, :filter, :newestFirst, :perSecond, :state, :bound, :cursor, :n, 0, 0, 0, :now, :now, :endedAt)`,
        { id, tenant: filter.tenant ?? null, filter: JSON.stringify(filter), newestFirst: newestFirst ? 1 : 0, perSecond, state: n === 0 ? 'done' : 'running', bound: newestFirst ? (least ?? 0) : (bound ?? 0), cursor, n, now, endedAt: n === 0 ? now : null },
      )
      await audit(tx, now, who, 'replay asked', id, JSON.stringify(filter))
      return shown(tx, id)
    })
  }

  list(): Promise<Replay[]> {
    return this.#store.transaction('replay:list', (tx) => tx.query<Replay>('SELECT * FROM replay ORDER BY created_at DESC, id LIMIT 1000'))
  }

  /** Throws NO_SUCH_REPLAY. */
  show(id: string): Promise<Replay> {
    return this.#store.transaction('replay:show', (tx) => shown(tx, id))
  }

  /** What was asked already goes on; `cancelled` asks for nothing more. Throws NO_SUCH_REPLAY. */
  setState(id: string, state: 'running' | 'paused' | 'cancelled', who: string): Promise<Replay> {
    const now = this.#clock.now()
    return this.#store.transaction('replay:state', async (tx) => {
      await shown(tx, id)
      await tx.query("UPDATE replay SET state = :state, credit_at = :now, ended_at = :endedAt WHERE id = :id AND state IN ('running', 'paused')", { id, state, now, endedAt: state === 'cancelled' ? now : null })
      await audit(tx, now, who, `replay ${state}`, id, '')
      return shown(tx, id)
    })
  }

  /** One step of each job that runs, as its pace allows: asked by one node. Answers in how many ms the next one is worth it; undefined when none runs. */
  async step(): Promise<number | undefined> {
    const running = await this.#store.transaction('replay:running', (tx) => tx.query<{ id: string }>("SELECT id FROM replay WHERE state = 'running' ORDER BY created_at, id LIMIT 100"))
    let soonest: number | undefined
    for (const { id } of running) {
      const ms = await this.#store.transaction('replay:step', (tx) => this.#step(tx, id))
      if (ms !== undefined) soonest = Math.min(soonest ?? ms, ms)
    }
    return soonest
  }

  async #step(tx: Tx, id: string): Promise<number | undefined> {
    const now = this.#clock.now()
    const job = await shown(tx, id)
    if (job.state !== 'running') return undefined
    const pace = job.per_second
    // A clock that was set, either way, or a long sleep gives neither a burst of more than a second nor a standstill.
    const countedAt = job.credit_at > now ? now - Math.ceil(1000 / pace) : job.credit_at
    const credit = pace === 0 ? STEP : Math.min(STEP, Math.max(1, Math.floor(pace)), Math.floor(((now - countedAt) / 1000) * pace))
    if (credit === 0) return Math.ceil(1000 / pace)
    const { where, params } = await conditions(tx, JSON.parse(job.filter) as ReplayFilter)
    const [beyond, upTo, order] = job.newest_first === 1 ? ['d.id < :cursor', 'd.id >= :bound', 'DESC'] : ['d.id > :cursor', 'd.id <= :bound', 'ASC']
    const page = await tx.query<{ id: number; lane: number; state: string }>(`SELECT d.id, d.lane, d.state ${FROM} WHERE ${where} AND ${beyond} AND ${upTo} ORDER BY d.id ${order} LIMIT :credit`, { ...params, cursor: job.cursor, bound: job.bound, credit })
    if (page.length > 0) {
      await tx.query(
        `UPDATE delivery SET state = 'pending', class = 2, due = :sign * id, strikes = 0, job = :job, reason = NULL, ended_at = NULL, chain = NULL, created_at = :now
         WHERE id IN (SELECT value FROM json_each(:ids))`,
        { ids: JSON.stringify(page.map((row) => row.id)), job: id, sign: job.newest_first === 1 ? -1 : 0, now },
      )
      const lanes = new Map<number, { dead: number; delivered: number }>()
      for (const { lane, state } of page) {
        const known = lanes.get(lane) ?? { dead: 0, delivered: 0 }
        lanes.set(lane, known)
        if (state === 'dead') known.dead++
        else known.delivered++
      }
      for (const [lane, { dead, delivered }] of lanes) {
        await tx.query('UPDATE lane SET dead = dead - :dead, delivered = delivered - :delivered WHERE lane = :lane', { lane, dead, delivered })
        await tx.query('INSERT INTO nudge (lane) VALUES (:lane)', { lane })
      }
    }
    const over = page.length < credit
    await tx.query('UPDATE replay SET cursor = :cursor, queued = queued + :n, credit_at = :creditAt, state = :state, ended_at = :endedAt WHERE id = :id', {
      id,
      cursor: page.at(-1)?.id ?? job.cursor,
      n: page.length,
      creditAt: pace === 0 ? now : Math.min(now, Math.max(countedAt + Math.round((credit / pace) * 1000), now - 1000)),
      state: over ? 'done' : 'running',
      endedAt: over ? now : null,
    })
    return over ? undefined : pace === 0 ? 0 : Math.ceil(1000 / pace)
  }
}

const FROM = 'FROM delivery d JOIN event e ON e.seq = d.event JOIN endpoint p ON p.lane = d.lane'

async function conditions(tx: Tx, { dlq, tenant, endpoint, type, since, until, reason, ids }: ReplayFilter): Promise<{ where: string; params: Record<string, string | number> }> {
  const terms = [dlq ? "d.state = 'dead'" : "d.state IN ('dead', 'delivered')", "p.state <> 'removed'"]
  const params: Record<string, string | number> = {}
  const add = (term: string, name: string, value: string | number) => {
    terms.push(term)
    params[name] = value
  }
  if (endpoint !== undefined) {
    const [row] = await tx.query<{ lane: number }>('SELECT lane FROM endpoint WHERE id = :endpoint', { endpoint })
    if (!row) throw new ResilError('NO_SUCH_ENDPOINT', `there is no endpoint "${visible(endpoint)}"`, 'resil webhook endpoint list shows them')
    add('d.lane = :lane', 'lane', row.lane)
  }
  if (tenant !== undefined) add('e.tenant = :tenant', 'tenant', tenant)
  if (type?.endsWith('.*')) add('substr(e.type, 1, length(:family)) = :family', 'family', type.slice(0, -1))
  else if (type !== undefined && type !== '*') add('e.type = :type', 'type', type)
  if (since !== undefined) add('e.created_at >= :since', 'since', since)
  if (until !== undefined) add('e.created_at <= :until', 'until', until)
  if (reason !== undefined) add('substr(d.reason, 1, length(:reason)) = :reason', 'reason', reason)
  if (ids !== undefined) add('e.id IN (SELECT value FROM json_each(:ids))', 'ids', JSON.stringify(ids))
  return { where: terms.join(' AND '), params }
}

async function shown(tx: Tx, id: string): Promise<Replay> {
  const [row] = await tx.query<Replay>('SELECT * FROM replay WHERE id = :id', { id })
  if (row) return row
  const ids = await tx.query<{ id: string }>('SELECT id FROM replay ORDER BY created_at DESC LIMIT 100')
  throw new ResilError('NO_SUCH_REPLAY', `there is no replay "${visible(id)}"`, ids.length === 0 ? 'resil webhook replay --dlq makes one' : suggestion(id, ids.map((each) => each.id)))
}
