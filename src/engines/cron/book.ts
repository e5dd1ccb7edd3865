/** How due slots come into the ledger: the same step for the leader that fires them and for an operator's change, before which they are accounted for. */
import type { Tx } from '../store/store.ts'
import type { Crontab } from './crontab.ts'
import type { ScheduleRow } from './ledger.ts'
import { factsOf, record } from './ledger.ts'
import type { Due } from './slots.ts'
import { dueSlots } from './slots.ts'
import type { Spec } from './spec.ts'
import { crontabOf } from './spec.ts'

export interface DueRow extends ScheduleRow {
  /** JSON. */
  spec: string
  min_build: number
}

/** A schedule with its present definition. */
export const WITH_DEFINITION = 'SELECT s.*, d.spec, d.min_build FROM schedule s JOIN definition d ON d.schedule = s.name AND d.generation = s.generation'

/** Definitions that are kept parsed. */
const KEPT = 20_000

interface Read {
  spec: Spec
  crontab: Crontab
}

export class Book {
  readonly #read = new Map<string, Read>()

  /** Every due slot of one schedule gets its row, and the cursor moves behind them. */
  account(tx: Tx, row: DueRow, epoch: number, now: number): Promise<object[]> {
    const { spec, crontab } = this.read(row)
    return this.#accountFor(tx, row, spec, dueSlots(crontab, spec, row.cursor_at, now, row.paused === 1), epoch, now)
  }

  /**
   * The same for many schedules, until `enough`; answers how many of them, and the events of what was recorded. A schedule that is on time, with one
   * slot that needs no look at others, is recorded with its like in two statements: a hundred thousand at once are nearly all of that kind.
   */
  async accountAll(tx: Tx, rows: readonly DueRow[], epoch: number, now: number, enough: () => boolean): Promise<{ done: number; recorded: object[] }> {
    const recorded: object[] = []
    const plain = { skip: new Map<string, DueRow>(), allow: new Map<string, DueRow>() }
    const nexts = { skip: {} as Record<string, number | null>, allow: {} as Record<string, number | null> }
    let done = 0
    for (const row of rows) {
      if (enough()) break
      done++
      const { spec, crontab } = this.read(row)
      const { overlap } = spec
      const due = dueSlots(crontab, spec, row.cursor_at, now, row.paused === 1)
      const [slot] = due.slots
      if ((overlap === 'skip' || overlap === 'allow') && slot && due.slots.length === 1 && slot.state === 'queued' && slot.reason === '' && slot.slotAt === row.next_at && slot.runAt === slot.slotAt) {
        plain[overlap].set(row.name, row)
        nexts[overlap][row.name] = due.nextAt
      } else recorded.push(...(await this.#accountFor(tx, row, spec, due, epoch, now)))
    }
    for (const overlap of ['skip', 'allow'] as const) {
      if (plain[overlap].size === 0) continue
      const next = JSON.stringify(nexts[overlap])
      // SQLite: CROSS JOIN keeps the order, so that each name is looked up once.
      const made = await tx.query<{ schedule: string }>(
        `INSERT INTO tick (schedule, slot_at, kind, seq, until_at, slots, generation, epoch, state, reason, overlap, min_build, run_at, attempts, deaths, token, cancelling, recorded_at, ended_at)
         SELECT s.name, s.next_at, 'cron', 0, s.next_at, 1, s.generation, :epoch, 'queued', '', :overlap, d.min_build, s.next_at, 0, 0, 0, 0, :now, NULL
         FROM json_each(:next) n CROSS JOIN schedule s ON s.name = n.key CROSS JOIN definition d ON d.schedule = s.name AND d.generation = s.generation
         WHERE true
         ON CONFLICT DO NOTHING RETURNING schedule`,
        { next, epoch, overlap, now },
      )
      await tx.query('UPDATE schedule SET cursor_at = schedule.next_at, next_at = n.value FROM json_each(:next) n WHERE schedule.name = n.key', { next })
      for (const { schedule } of made) {
        const slotAt = plain[overlap].get(schedule)!.next_at!
        recorded.push({ ...factsOf({ schedule, slot_at: slotAt, kind: 'cron', seq: 0 }), until: slotAt, slots: 1, state: 'queued', reason: '', epoch, lateMs: now - slotAt })
      }
    }
    return { done, recorded }
  }

  async #accountFor(tx: Tx, row: DueRow, spec: Spec, { slots, cursorAt, nextAt }: Due, epoch: number, now: number): Promise<object[]> {
    const recorded: object[] = []
    for (const slot of slots) {
      const madeUp = slot.state === 'queued' && slot.reason !== '' && spec.misfire === 'all'
      // What is made up for goes in order: none is skipped because the one before it still runs.
      const overlap = madeUp && spec.overlap === 'skip' ? 'queue_all' : spec.overlap
      const crowd = slot.state === 'queued' && !madeUp && spec.overlap !== 'skip' && spec.overlap !== 'allow' ? await this.#crowd(tx, row.name, spec) : undefined
      const state = crowd?.state ?? slot.state
      const reason = crowd?.reason ?? slot.reason
      const tick = { schedule: row.name, slot_at: slot.slotAt, kind: 'cron' as const, seq: 0, untilAt: slot.untilAt, slots: slot.slots, generation: row.generation, epoch, state, reason, overlap, minBuild: row.min_build, runAt: slot.runAt, now }
      if (await record(tx, tick)) recorded.push({ ...factsOf(tick), until: slot.untilAt, slots: slot.slots, state, reason, epoch, lateMs: now - slot.slotAt })
    }
    await tx.query('UPDATE schedule SET cursor_at = :cursor, next_at = :next WHERE name = :name', { name: row.name, cursor: cursorAt, next: nextAt })
    return recorded
  }

  /** What becomes of a new tick because of those that wait or run already; undefined: it waits for its turn. */
  async #crowd(tx: Tx, schedule: string, spec: Spec): Promise<{ state: 'skipped_overlap' | 'coalesced'; reason: string } | undefined> {
    if (spec.overlap === 'queue_one' || spec.overlap === 'queue_all') {
      const [{ n }] = (await tx.query<{ n: number }>("SELECT COUNT(*) AS n FROM tick WHERE state = 'queued' AND schedule = :schedule", { schedule })) as [{ n: number }]
      if (spec.overlap === 'queue_one' && n >= 1) return { state: 'coalesced', reason: 'one is queued already' }
      if (spec.overlap === 'queue_all' && n >= spec.queueMax) return { state: 'skipped_overlap', reason: `${spec.queueMax} are queued already` }
    }
    if (spec.overlap === 'cancel_other') await tx.query("UPDATE tick SET cancelling = 1 WHERE state = 'running' AND schedule = :schedule", { schedule })
    return undefined
  }

  /** What a schedule says; kept parsed, for most schedules share their text with others. */
  read(row: Pick<DueRow, 'name' | 'spec' | 'created_at'>): Read {
    const shared = this.#read.get(row.spec)
    if (shared) return shared
    const own = `${row.name} ${row.created_at} ${row.spec}`
    const known = this.#read.get(own)
    if (known) return known
    const spec = JSON.parse(row.spec) as Spec
    const read = { spec, crontab: crontabOf(row.name, spec, row.created_at) }
    if (this.#read.size >= KEPT) this.#read.clear()
    // H is hashed from the name, and an interval is counted from when the schedule was made.
    this.#read.set(/H|@every/.test(spec.expr) ? own : row.spec, read)
    return read
  }
}
