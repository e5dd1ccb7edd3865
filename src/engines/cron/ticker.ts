/**
 * What the leader does (or, without one, every node): it writes due slots into the ledger, makes up for stretches of the past, and takes the work of
 * nodes that have died. Each is one transaction that begins with a look at the epoch; the row of a slot is unique, and the cursor moves with it.
 */
import type { Clock } from '../../clock.ts'
import type { Log } from '../../events.ts'
import type { Store, Tx } from '../store/store.ts'
import { isStoreTrouble } from '../store/store.ts'
import type { DueRow } from './book.ts'
import { Book, WITH_DEFINITION } from './book.ts'
import type { Elector, Host } from './elector.ts'
import { Fenced } from './elector.ts'
import type { NodeRow, Tick, TickId } from './ledger.ts'
import { factsOf, idOf, record, THIS_TICK } from './ledger.ts'

export interface TickerSetup {
  clock: Clock
  store: Store
  log: Log
  host: Host | undefined
  /** Absent when there is no leader. */
  elector: Elector | undefined
  /** Longest sleep between two looks; schedules may change under it. */
  pollMs: number
  /** A node that has not changed its row for so long is dead. */
  workerLeaseMs: number
  /** Attempts of one tick that may end with their worker. */
  deathsMax: number
  clockJump: 'hold' | 'follow'
  /** Ended ticks that are older go, but for the newest of each schedule. */
  keepMs: number
  keepTicks: number
  /** There is work: wakes the workers of this node. */
  wake(): void
}

/** Why a nap ends: a reason of its own spares the error that is made without one. */
const WOKEN = 'woken'
/** Schedules in one transaction, and how long it may hold the loop: the first look at a zone costs half a millisecond. */
const SCHEDULES_PER_TURN = 200
const TURN_MS = 25
/** Ticks of one backfill in one transaction. */
const BACKFILL_PER_TURN = 100
/** How often the ledger is searched for what is too old, definitions in one transaction of that, and rows that one takes away. */
const PRUNE_EVERY_MS = 10 * 60_000
const PRUNED_TOGETHER = 100
const PRUNED_ROWS = 1000
/** The wall clock may jump so far ahead of the monotonic one before nothing is fired any more. */
const LONGEST_JUMP_MS = 3 * 3_600_000

export class Ticker {
  readonly #setup: TickerSetup
  readonly #book = new Book()
  /** Beats of other nodes, and when each was first seen. */
  readonly #beats = new Map<string, { life: string; beat: number; at: number }>()
  #wall: number
  #mono: number
  /** Since when nothing is fired, because the clock jumped. */
  #holding = false
  #woken: () => void = () => {}
  /** Schedules up to this name have been looked through in this life; undefined once all have. */
  #recomputed: string | undefined = ''

  constructor(setup: TickerSetup) {
    this.#setup = setup
    this.#wall = setup.clock.now()
    this.#mono = setup.clock.monotonic()
  }

  /** Fires until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, pollMs } = this.#setup
    while (!signal.aborted) {
      const more = await this.#turn(async (epoch) => {
        this.#watchClock()
        if (this.#holding) return pollMs
        const due = await this.#fire(epoch)
        if (due === 0) return 0 // what is due now goes before what is of the past
        const filled = await this.#backfill(epoch)
        const recomputed = await this.#recompute(epoch)
        return filled || recomputed ? 0 : due
      })
      const nap = new AbortController()
      this.#woken = () => nap.abort(WOKEN)
      signal.addEventListener('abort', this.#woken, { once: true })
      await clock.sleep(Math.min(more ?? pollMs, pollMs), nap.signal)
      signal.removeEventListener('abort', this.#woken)
    }
  }

  /** Looks at once: this node has just been elected. */
  wake(): void {
    this.#woken()
  }

  /** Takes the work of dead nodes until the signal aborts. */
  async reap(signal: AbortSignal, everyMs: number): Promise<void> {
    let prunedAt = Number.NEGATIVE_INFINITY
    while (!signal.aborted) {
      await this.#turn((epoch) => this.#reap(epoch))
      if (this.#setup.clock.monotonic() - prunedAt >= PRUNE_EVERY_MS && (await this.#turn((epoch) => this.#prune(epoch, signal)))) prunedAt = this.#setup.clock.monotonic()
      await this.#setup.clock.sleep(everyMs, signal)
    }
  }

  /** Takes old rows out of the ledger, schedule by schedule, so many at a time. Answers true when it came to the end. */
  async #prune(epoch: number, signal: AbortSignal): Promise<boolean> {
    const { clock, keepMs, keepTicks } = this.#setup
    let after: string | undefined = ''
    while (after !== undefined && !signal.aborted) {
      const from: string = after
      after = await this.step('prune', epoch, async (tx) => {
        const names = await tx.query<{ schedule: string }>('SELECT DISTINCT schedule FROM definition WHERE schedule > :from ORDER BY schedule LIMIT :limit', { from, limit: PRUNED_TOGETHER })
        let before = from
        for (const { schedule } of names) {
          const [newest] = await tx.query<{ slot_at: number }>('SELECT slot_at FROM tick WHERE schedule = :schedule ORDER BY slot_at DESC LIMIT 1 OFFSET :keep', { schedule, keep: keepTicks - 1 })
          if (newest) {
            const gone = await tx.query<TickId>(
              `DELETE FROM tick WHERE (schedule, slot_at, kind, seq) IN
                 (SELECT schedule, slot_at, kind, seq FROM tick WHERE schedule = :schedule AND slot_at < :newest AND ended_at < :ended ORDER BY slot_at LIMIT :rows)
               RETURNING schedule, slot_at, kind, seq`,
              { schedule, newest: newest.slot_at, ended: clock.now() - keepMs, rows: PRUNED_ROWS },
            )
            for (const tick of gone) await tx.query(`DELETE FROM checkpoint WHERE ${THIS_TICK}`, idOf(tick))
            if (gone.length === PRUNED_ROWS) return before // there is more of this one
          }
          before = schedule
        }
        return names.length === PRUNED_TOGETHER ? before : undefined
      })
    }
    return !signal.aborted
  }

  /** Does a step if this node may; undefined when it may not, or when the store could not. */
  async #turn<T>(work: (epoch: number) => Promise<T>): Promise<T | undefined> {
    const { elector } = this.#setup
    const epoch = elector ? elector.epoch : 0
    if (epoch === undefined) return undefined
    try {
      return await work(epoch)
    } catch (error) {
      if (error instanceof Fenced) {
        this.#setup.log.emit('leader.fenced', { epoch, why: error.message })
        return undefined
      }
      if (isStoreTrouble(error)) {
        this.#setup.log.emit('store.failed', { code: error.code })
        return undefined
      }
      throw error
    }
  }

  /** One step of the leader: nothing of it stands when it leads no more. */
  protected step<T>(name: string, epoch: number, work: (tx: Tx) => Promise<T>): Promise<T> {
    const { store, elector } = this.#setup
    return store.transaction(name, async (tx) => {
      if (elector) await elector.fence(tx, epoch)
      return work(tx)
    })
  }

  #watchClock(): void {
    const { clock, log, clockJump } = this.#setup
    const [wall, mono] = [clock.now(), clock.monotonic()]
    const jumpedMs = Math.round(wall - this.#wall - (mono - this.#mono))
    this.#wall = wall
    this.#mono = mono
    if (Math.abs(jumpedMs) < 1000) return
    const far = jumpedMs > LONGEST_JUMP_MS
    if (far && clockJump === 'hold') this.#holding = true
    else if (this.#holding && jumpedMs < -LONGEST_JUMP_MS) this.#holding = false // it was set back
    log.emit('clock.jumped', { jumpedMs, holding: this.#holding })
  }

  /** Records what is due. Answers ms until the next slot, 0 when there is more already. */
  async #fire(epoch: number): Promise<number> {
    const { clock, wake, log } = this.#setup
    const now = clock.now()
    const fired = await this.step('fire', epoch, async (tx) => {
      const rows = await tx.query<DueRow>(
        `${WITH_DEFINITION} WHERE s.next_at IS NOT NULL AND s.next_at <= :now ORDER BY s.next_at LIMIT :limit`,
        { now, limit: SCHEDULES_PER_TURN },
      )
      const since = clock.monotonic()
      const { done, recorded: ticks } = await this.#book.accountAll(tx, rows, epoch, now, () => clock.monotonic() - since >= TURN_MS)
      const [next] = await tx.query<{ at: number | null }>('SELECT MIN(next_at) AS at FROM schedule WHERE next_at IS NOT NULL')
      return { ticks, full: done < rows.length || rows.length === SCHEDULES_PER_TURN, nextAt: next?.at ?? null }
    })
    for (const tick of fired.ticks) log.emit('tick.recorded', tick)
    if (fired.ticks.length > 0) wake()
    if (fired.full) return 0
    return fired.nextAt === null ? Number.POSITIVE_INFINITY : Math.max(1, fired.nextAt - clock.now())
  }

  /**
   * Once in a life: the next slots that another program wrote may be of older rules of time zones than this one knows. Answers whether there is more.
   */
  async #recompute(epoch: number): Promise<boolean> {
    const after = this.#recomputed
    if (after === undefined) return false
    const changed = await this.step('recompute', epoch, async (tx) => {
      const rows = await tx.query<DueRow>(`${WITH_DEFINITION} WHERE s.name > :after ORDER BY s.name LIMIT :limit`, { after, limit: SCHEDULES_PER_TURN })
      const others: { schedule: string; from: number | null; to: number | null }[] = []
      const since = this.#setup.clock.monotonic()
      let last: string | undefined
      for (const row of rows) {
        if (last !== undefined && this.#setup.clock.monotonic() - since >= TURN_MS) break
        last = row.name
        const to = this.#book.read(row).crontab.next(row.cursor_at)
        if (to === row.next_at) continue
        await tx.query('UPDATE schedule SET next_at = :to WHERE name = :name', { name: row.name, to })
        others.push({ schedule: row.name, from: row.next_at, to })
      }
      return { others, last: last === rows.at(-1)?.name && rows.length < SCHEDULES_PER_TURN ? undefined : last }
    })
    this.#recomputed = changed.last
    for (const other of changed.others) this.#setup.log.emit('schedule.recomputed', other)
    return changed.last !== undefined || changed.others.length > 0
  }

  /** Makes ticks for a stretch of the past, a hundred at a time. Answers whether there is more. */
  async #backfill(epoch: number): Promise<boolean> {
    const { clock, wake } = this.#setup
    const now = clock.now()
    const more = await this.step('backfill', epoch, async (tx) => {
      const [job] = await tx.query<{ id: string; schedule: string; to_at: number; cursor_at: number; per_second: number; created_at: number }>('SELECT * FROM backfill WHERE done = 0 ORDER BY created_at, id LIMIT 1')
      if (!job) return undefined
      const [row] = await tx.query<DueRow>(`${WITH_DEFINITION} WHERE s.name = :name`, { name: job.schedule })
      const end = async () => void (await tx.query('UPDATE backfill SET done = 1 WHERE id = :id', { id: job.id }))
      if (!row) {
        await end()
        return true
      }
      const { spec, crontab } = this.#book.read(row)
      const [{ queued, last }] = (await tx.query<{ queued: number; last: number | null }>("SELECT COUNT(*) AS queued, MAX(CASE WHEN attempts = 0 THEN run_at END) AS last FROM tick WHERE schedule = :schedule AND kind = 'backfill' AND state = 'queued'", { schedule: row.name })) as [{ queued: number; last: number | null }]
      if (queued >= BACKFILL_PER_TURN) return undefined // those that wait go first
      // Behind those that wait already: a page that is filled up is no faster than a whole one.
      const from = Math.max(now, last ?? now)
      let cursor = job.cursor_at
      for (let n = 0; n < BACKFILL_PER_TURN - queued; n++) {
        const at = crontab.next(cursor)
        if (at === null || at > job.to_at) {
          await end()
          break
        }
        cursor = at
        const overlap = spec.overlap === 'allow' ? 'allow' : 'queue_all'
        await record(tx, { schedule: row.name, slot_at: at, kind: 'backfill', seq: 0, generation: row.generation, epoch, state: 'queued', reason: `backfill ${job.id}`, overlap, minBuild: row.min_build, runAt: from + Math.floor(((n + 1) * 1000) / job.per_second), now })
      }
      await tx.query('UPDATE backfill SET cursor_at = :cursor WHERE id = :id', { id: job.id, cursor })
      return true
    })
    if (more) wake()
    return more === true
  }

  /** What dead nodes were running waits for another worker. */
  async #reap(epoch: number): Promise<void> {
    const { clock, host, store, workerLeaseMs, deathsMax, log, wake } = this.#setup
    const nodes = await store.transaction('nodes', (tx) => tx.query<NodeRow>('SELECT * FROM node WHERE ended = 0'))
    for (const name of this.#beats.keys()) if (!nodes.some((node) => node.name === name)) this.#beats.delete(name)
    for (const node of nodes) {
      const seen = this.#beats.get(node.name)
      if (!seen || seen.life !== node.life || seen.beat !== node.beat) this.#beats.set(node.name, { life: node.life, beat: node.beat, at: clock.monotonic() })
      const silentMs = clock.monotonic() - this.#beats.get(node.name)!.at
      const gone = host !== undefined && node.pid !== null && node.host === host.self.host && !host.alive({ pid: node.pid, born: node.born ?? '', host: node.host })
      if (!gone && silentMs < workerLeaseMs) continue
      const why = gone ? 'its process has ended' : 'it was silent'
      const taken = await this.step('reap', epoch, async (tx) => {
        const marked = await tx.query('UPDATE node SET ended = 1 WHERE name = :name AND life = :life AND beat = :beat RETURNING name', { name: node.name, life: node.life, beat: node.beat })
        return marked.length === 0 ? undefined : this.#abandon(tx, deathsMax, 'node = :node AND life = :life', { node: node.name, life: node.life })
      })
      if (!taken) continue
      this.#beats.delete(node.name)
      log.emit('node.lost', { lost: node.name, why, runs: taken.length })
      for (const tick of taken) log.emit('attempt.abandoned', { ...factsOf(tick), state: tick.state, token: tick.token, deaths: tick.deaths })
      wake()
    }
    // A new life of a node never goes on with what the old one was running.
    const orphans = await this.step('reap:orphans', epoch, (tx) =>
      this.#abandon(tx, deathsMax, 'NOT EXISTS (SELECT 1 FROM node n WHERE n.name = tick.node AND n.life = tick.life AND n.ended = 0)', {}),
    )
    for (const tick of orphans) log.emit('attempt.abandoned', { ...factsOf(tick), state: tick.state, token: tick.token, deaths: tick.deaths })
    if (orphans.length > 0) wake()
  }

  #abandon(tx: Tx, most: number, whose: string, params: Record<string, string>): Promise<Tick[]> {
    return tx.query<Tick>(
      `UPDATE tick SET state = CASE WHEN deaths + 1 >= :most THEN 'dead' ELSE 'queued' END,
         reason = CASE WHEN deaths + 1 >= :most THEN 'its worker died each time' ELSE reason END,
         ended_at = CASE WHEN deaths + 1 >= :most THEN :now ELSE NULL END,
         deaths = deaths + 1, node = NULL, life = NULL, progress = NULL
       WHERE state = 'running' AND ${whose} RETURNING *`,
      { most, now: this.#setup.clock.now(), ...params },
    )
  }
}
