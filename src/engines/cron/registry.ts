/** What an operator does to schedules: each is one transaction on the store, beside whatever nodes run on it. */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import { suggestion } from '../../nearest.ts'
import type { Random } from '../../random.ts'
import { visible } from '../../visible.ts'
import type { Store, Tx } from '../store/store.ts'
import type { DueRow } from './book.ts'
import { Book, WITH_DEFINITION } from './book.ts'
import type { NodeRow, Tick } from './ledger.ts'
import { definitionOf, record } from './ledger.ts'
import type { Spec } from './spec.ts'
import { completeSpec, crontabOf, tickKey } from './spec.ts'

export interface Listed extends DueRow {
  parsed: Spec
  /** The newest tick that was recorded, if any. */
  last: Tick | undefined
  running: number
  queued: number
}

/** Longest stretch of a backfill, slots. */
const BACKFILL_MAX = 1_000_000

export class Registry {
  readonly #store: Store
  readonly #clock: Clock
  readonly #random: Random
  readonly #book = new Book()

  constructor(store: Store, clock: Clock, random: Random) {
    this.#store = store
    this.#clock = clock
    this.#random = random
  }

  /**
   * Makes a schedule, or gives it a new generation: what was due before keeps the old one. One that says the same already is left alone. Answers its
   * generation, from 1.
   * Throws BAD_SCHEDULE, BAD_ZONE, BAD_NAME.
   */
  async put(name: string, given: Partial<Spec> & Pick<Spec, 'expr' | 'job'>, minBuild = 0): Promise<number> {
    const spec = completeSpec(name, given)
    const now = this.#clock.now()
    return this.#store.transaction('put', async (tx) => {
      const before = await this.#accounted(tx, name, now)
      if (before?.spec === JSON.stringify(spec) && before.min_build === minBuild) return before.generation
      // Behind those of a schedule that had the name before: its ticks keep theirs.
      const [{ known }] = (await tx.query<{ known: number | null }>('SELECT MAX(generation) AS known FROM definition WHERE schedule = :name', { name })) as [{ known: number | null }]
      const generation = (known ?? 0) + 1
      await tx.query('INSERT INTO definition (schedule, generation, spec, min_build, created_at) VALUES (:name, :generation, :spec, :minBuild, :now)', { name, generation, spec: JSON.stringify(spec), minBuild, now })
      // An interval goes on from where it began.
      const createdAt = before?.created_at ?? now
      const nextAt = crontabOf(name, spec, createdAt).next(now)
      await tx.query(
        `INSERT INTO schedule (name, generation, paused, cursor_at, next_at, created_at, updated_at) VALUES (:name, :generation, 0, :now, :next, :now, :now)
         ON CONFLICT (name) DO UPDATE SET generation = :generation, cursor_at = :now, next_at = :next, updated_at = :now`,
        { name, generation, now, next: nextAt },
      )
      return generation
    })
  }

  /** Takes a schedule away; its ledger stays. What waits is cancelled, what runs goes on. Throws NO_SUCH_SCHEDULE. */
  remove(name: string): Promise<void> {
    const now = this.#clock.now()
    return this.#store.transaction('remove', async (tx) => {
      await this.#known(tx, name)
      await tx.query("UPDATE tick SET state = 'cancelled', reason = 'the schedule was removed', ended_at = :now WHERE schedule = :name AND state = 'queued'", { name, now })
      await tx.query('UPDATE backfill SET done = 1 WHERE schedule = :name', { name })
      await tx.query('DELETE FROM definition WHERE schedule = :name AND NOT EXISTS (SELECT 1 FROM tick t WHERE t.schedule = definition.schedule AND t.generation = definition.generation)', { name })
      await tx.query('DELETE FROM schedule WHERE name = :name', { name })
    })
  }

  /** While paused, each slot is recorded as skipped. What was due before is not touched. Throws NO_SUCH_SCHEDULE. */
  setPaused(name: string, paused: boolean): Promise<void> {
    const now = this.#clock.now()
    return this.#store.transaction('pause', async (tx) => {
      await this.#known(tx, name)
      await this.#accounted(tx, name, now)
      await tx.query('UPDATE schedule SET paused = :paused, updated_at = :now WHERE name = :name', { name, paused: paused ? 1 : 0, now })
    })
  }

  /** A run now, beside the slots. Answers its key. Throws NO_SUCH_SCHEDULE. */
  trigger(name: string): Promise<string> {
    const now = this.#clock.now()
    return this.#store.transaction('trigger', async (tx) => {
      const row = await this.#known(tx, name)
      const { spec, minBuild } = await definitionOf(tx, name, row.generation)
      for (let seq = 0; ; seq++) {
        const tick = { schedule: name, slot_at: now, kind: 'manual' as const, seq }
        const overlap = spec.overlap === 'allow' ? 'allow' : 'queue_all'
        if (await record(tx, { ...tick, generation: row.generation, epoch: 0, state: 'queued', reason: 'asked for', overlap, minBuild, runAt: now, now })) return tickKey(tick)
      }
    })
  }

  /** Runs the slots of a stretch of the past, both ends included, beside those in the ledger. Throws NO_SUCH_SCHEDULE, BAD_RANGE. */
  backfill(name: string, fromAt: number, toAt: number, perSecond: number): Promise<string> {
    const now = this.#clock.now()
    const id = this.#random.id('bf')
    if (!(fromAt <= toAt) || toAt > now) throw new ResilError('BAD_RANGE', `from ${iso(fromAt)} to ${iso(toAt)} is no stretch of the past`, 'give --from and --to, the later one not in the future')
    return this.#store.transaction('backfill:ask', async (tx) => {
      const row = await this.#known(tx, name)
      const crontab = crontabOf(name, (await definitionOf(tx, name, row.generation)).spec, row.created_at)
      let slots = 0
      for (let at = crontab.next(fromAt - 1); at !== null && at <= toAt && slots <= BACKFILL_MAX; at = crontab.next(at)) slots++
      if (slots === 0 || slots > BACKFILL_MAX) throw new ResilError('BAD_RANGE', `${name} has ${slots === 0 ? 'no slot' : `more than ${BACKFILL_MAX} slots`} between ${iso(fromAt)} and ${iso(toAt)}`, 'choose another stretch')
      await tx.query('INSERT INTO backfill (id, schedule, from_at, to_at, cursor_at, per_second, done, created_at) VALUES (:id, :name, :from, :to, :cursor, :perSecond, 0, :now)', { id, name, from: fromAt, to: toAt, cursor: fromAt - 1, perSecond, now })
      return id
    })
  }

  /** The node claims nothing more, gives up the lead, and ends when its runs have. Throws NO_SUCH_NODE. */
  drain(node: string): Promise<void> {
    return this.#store.transaction('drain', async (tx) => {
      const found = await tx.query('UPDATE node SET draining = 1 WHERE name = :node AND ended = 0 RETURNING name', { node })
      if (found.length > 0) return
      const names = await tx.query<{ name: string }>('SELECT name FROM node WHERE ended = 0 ORDER BY name')
      throw new ResilError('NO_SUCH_NODE', `no node ${visible(node)} is running`, names.length === 0 ? 'none is running' : suggestion(node, names.map(({ name }) => name)))
    })
  }

  async list(): Promise<Listed[]> {
    return this.#store.transaction('list', async (tx) => {
      const rows = await tx.query<DueRow>(`${WITH_DEFINITION} ORDER BY s.name`)
      const listed: Listed[] = []
      for (const row of rows) {
        const [last] = await tx.query<Tick>('SELECT * FROM tick WHERE schedule = :name ORDER BY slot_at DESC, seq DESC LIMIT 1', { name: row.name })
        const [counts] = await tx.query<{ running: number; queued: number }>(
          "SELECT (SELECT COUNT(*) FROM tick WHERE state = 'running' AND schedule = :name) AS running, (SELECT COUNT(*) FROM tick WHERE state = 'queued' AND schedule = :name) AS queued",
          { name: row.name },
        )
        listed.push({ ...row, parsed: JSON.parse(row.spec) as Spec, last, ...counts! })
      }
      return listed
    })
  }

  /** One schedule. Throws NO_SUCH_SCHEDULE. */
  async show(name: string): Promise<Listed> {
    await this.#store.transaction('known', (tx) => this.#known(tx, name))
    return (await this.list()).find((each) => each.name === name)!
  }

  /** The newest rows of the ledger, newest first. */
  history(limit: number, name?: string): Promise<Tick[]> {
    return this.#store.transaction('history', async (tx) => {
      if (name !== undefined && (await tx.query('SELECT 1 FROM tick WHERE schedule = :name LIMIT 1', { name })).length === 0) await this.#known(tx, name)
      return tx.query<Tick>(`SELECT * FROM tick ${name === undefined ? '' : 'WHERE schedule = :name'} ORDER BY slot_at DESC, schedule, seq DESC LIMIT :limit`, name === undefined ? { limit } : { name, limit })
    })
  }

  nodes(): Promise<NodeRow[]> {
    return this.#store.transaction('nodes', (tx) => tx.query<NodeRow>('SELECT * FROM node ORDER BY name'))
  }

  lease(): Promise<{ epoch: number; holder: string; acquired_at: number; ttl_ms: number } | undefined> {
    return this.#store.transaction('lease', async (tx) => (await tx.query<{ epoch: number; holder: string; acquired_at: number; ttl_ms: number }>('SELECT epoch, holder, acquired_at, ttl_ms FROM lease'))[0])
  }

  /** The schedule, after all that was due by now has come into the ledger as it was until now. */
  async #accounted(tx: Tx, name: string, now: number): Promise<DueRow | undefined> {
    const [row] = await tx.query<DueRow>(`${WITH_DEFINITION} WHERE s.name = :name`, { name })
    if (row) await this.#book.account(tx, row, 0, now)
    return row
  }

  async #known(tx: Tx, name: string): Promise<DueRow> {
    const [row] = await tx.query<DueRow>(`${WITH_DEFINITION} WHERE s.name = :name`, { name })
    if (row) return row
    const names = await tx.query<{ name: string }>('SELECT name FROM schedule ORDER BY name LIMIT 1000')
    throw new ResilError('NO_SUCH_SCHEDULE', `there is no schedule "${visible(name)}"`, names.length === 0 ? 'resil cron add makes one' : suggestion(name, names.map((each) => each.name)))
  }
}

const iso = (at: number) => new Date(at).toISOString()
