/** How due slots come into the ledger: the same step for the leader that fires them and for an operator's change, before which they are accounted for. */
import type { Tx } from '../store/store.ts'
import type { Crontab } from './crontab.ts'
import type { ScheduleRow } from './ledger.ts'
import { factsOf, record } from './ledger.ts'
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
  async account(tx: Tx, row: DueRow, epoch: number, now: number): Promise<object[]> {
    const { spec, crontab } = this.read(row)
    const { slots, cursorAt, nextAt } = dueSlots(crontab, spec, row.cursor_at, now, row.paused === 1)
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
