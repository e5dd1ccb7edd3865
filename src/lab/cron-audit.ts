/** Reads a scheduler's store for the invariants: traps that are set in it before it begins, and all its rows when all has come to rest. */
import type { EventLog } from '../events.ts'
import type { Spec } from '../engines/cron/spec.ts'
import { tickKey } from '../engines/cron/spec.ts'
import type { Tick } from '../engines/cron/ledger.ts'
import type { Store } from '../engines/store/store.ts'

/**
 * Set in the store itself, where the order of things is certain: what a run writes after it was another's, or after it had ended; a success that does not
 * last; two runs at once; and every reign.
 */
const TRAPS = [
  'CREATE TABLE IF NOT EXISTS trapped (trap TEXT NOT NULL, why TEXT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS reign (epoch INTEGER NOT NULL, holder TEXT NOT NULL)',
  `CREATE TRIGGER IF NOT EXISTS late_checkpoint AFTER INSERT ON checkpoint
     WHEN NOT EXISTS (SELECT 1 FROM tick t WHERE t.schedule = NEW.schedule AND t.slot_at = NEW.slot_at AND t.kind = NEW.kind AND t.seq = NEW.seq AND t.token = NEW.token AND t.state = 'running')
     BEGIN INSERT INTO trapped (trap, why) VALUES ('i8', 'step ' || NEW.ord || ' of ' || NEW.schedule || ' was committed by token ' || NEW.token || ', which was over'); END`,
  `CREATE TRIGGER IF NOT EXISTS late_end AFTER UPDATE OF state ON tick
     WHEN NEW.state IN ('succeeded', 'failed', 'dead') AND OLD.state <> 'running'
     BEGIN INSERT INTO trapped (trap, why) VALUES ('i8', NEW.schedule || ' ended as ' || NEW.state || ' though it was ' || OLD.state); END`,
  `CREATE TRIGGER IF NOT EXISTS twice AFTER UPDATE OF state ON tick
     WHEN OLD.state = 'succeeded'
     BEGIN INSERT INTO trapped (trap, why) VALUES ('i4', NEW.schedule || ' had succeeded and became ' || NEW.state); END`,
  `CREATE TRIGGER IF NOT EXISTS crowded AFTER UPDATE OF state ON tick
     WHEN NEW.state = 'running' AND NEW.overlap <> 'allow'
       AND EXISTS (SELECT 1 FROM tick r WHERE r.state = 'running' AND r.schedule = NEW.schedule AND r.overlap <> 'allow' AND r.rowid <> NEW.rowid)
     BEGIN INSERT INTO trapped (trap, why) VALUES ('i10', 'two runs of ' || NEW.schedule || ' at once'); END`,
  `CREATE TRIGGER IF NOT EXISTS first_reign AFTER INSERT ON lease
     BEGIN INSERT INTO reign (epoch, holder) VALUES (NEW.epoch, NEW.holder); END`,
  `CREATE TRIGGER IF NOT EXISTS next_reign AFTER UPDATE ON lease
     WHEN NEW.holder <> '' AND (NEW.holder <> OLD.holder OR NEW.epoch <> OLD.epoch)
     BEGIN INSERT INTO reign (epoch, holder) VALUES (NEW.epoch, NEW.holder); END`,
]

/** After the store has its tables, before a node lives. */
export async function setTraps(store: Store): Promise<void> {
  await store.transaction('traps', async (tx) => {
    for (const trap of TRAPS) await tx.query(trap)
  })
}

/** Says all that stands in the store, src `audit`; `ledger.observed` last. */
export async function observeLedger(log: EventLog, store: Store, ttlMs: number): Promise<void> {
  const said = log.from('audit')
  const rows = await store.transaction('audit', async (tx) => ({
    definitions: await tx.query<{ schedule: string; generation: number; spec: string; created_at: number }>('SELECT * FROM definition ORDER BY schedule, generation'),
    schedules: await tx.query<{ name: string; cursor_at: number; created_at: number }>('SELECT * FROM schedule ORDER BY name'),
    ticks: await tx.query<Tick>('SELECT * FROM tick ORDER BY rowid'),
    checkpoints: await tx.query<{ schedule: string; slot_at: number; kind: string; seq: number; ord: number; token: number }>('SELECT schedule, slot_at, kind, seq, ord, token FROM checkpoint ORDER BY schedule, slot_at, kind, seq, ord'),
    reigns: await tx.query<{ epoch: number; holder: string }>('SELECT epoch, holder FROM reign ORDER BY rowid'),
    trapped: await tx.query<{ trap: string; why: string }>('SELECT trap, why FROM trapped ORDER BY rowid'),
  }))
  rows.definitions.forEach(({ schedule, generation, spec, created_at }, n) => {
    const next = rows.definitions[n + 1]
    said.emit('definition.observed', { schedule, generation, spec: JSON.parse(spec) as Spec, createdAt: created_at, untilAt: next?.schedule === schedule ? next.created_at : null })
  })
  for (const { name, cursor_at, created_at } of rows.schedules) said.emit('schedule.observed', { schedule: name, cursorAt: cursor_at, createdAt: created_at })
  for (const tick of rows.ticks) {
    said.emit('tick.observed', {
      tick: tickKey(tick),
      schedule: tick.schedule,
      slot: tick.slot_at,
      until: tick.until_at,
      slots: tick.slots,
      kind: tick.kind,
      generation: tick.generation,
      epoch: tick.epoch,
      state: tick.state,
      reason: tick.reason,
      recordedAt: tick.recorded_at,
    })
  }
  for (const row of rows.checkpoints) said.emit('checkpoint.observed', { tick: tickKey(row), step: row.ord, token: row.token })
  for (const { epoch, holder } of rows.reigns) said.emit('reign.observed', { epoch, holder })
  for (const { trap, why } of rows.trapped) said.emit('trap.sprung', { trap, why })
  said.emit('ledger.observed', { ticks: rows.ticks.length, ttlMs })
}
