/** Rows of the store, and the steps on them that more than one room takes. */
import type { Tx } from '../store/store.ts'
import type { Spec } from './spec.ts'
import { tickKey } from './spec.ts'

export type TickState = 'queued' | 'running' | 'succeeded' | 'failed' | 'dead' | 'cancelled' | 'skipped_overlap' | 'skipped_late' | 'skipped_paused' | 'coalesced'

export interface TickId {
  schedule: string
  slot_at: number
  kind: 'cron' | 'manual' | 'backfill'
  seq: number
}

export interface Tick extends TickId {
  until_at: number
  slots: number
  generation: number
  epoch: number
  state: TickState
  reason: string
  overlap: Spec['overlap']
  min_build: number
  run_at: number
  attempts: number
  deaths: number
  token: number
  node: string | null
  life: string | null
  progress: number | null
  cancelling: number
  recorded_at: number
  started_at: number | null
  ended_at: number | null
  output: string | null
}

export interface ScheduleRow {
  name: string
  generation: number
  paused: number
  cursor_at: number
  next_at: number | null
  created_at: number
  updated_at: number
}

export interface NodeRow {
  name: string
  life: string
  beat: number
  pid: number | null
  born: string | null
  host: string | null
  build: number
  slots: number
  draining: number
  ended: number
  started_at: number
  seen_at: number
}

export const THIS_TICK = 'schedule = :schedule AND slot_at = :slot AND kind = :kind AND seq = :seq'

export const idOf = ({ schedule, slot_at, kind, seq }: TickId) => ({ schedule, slot: slot_at, kind, seq })

/** For events: what every line about a tick says. */
export const factsOf = (tick: TickId) => ({ tick: tickKey(tick), schedule: tick.schedule, slot: tick.slot_at, kind: tick.kind })

export interface NewTick extends TickId {
  untilAt?: number
  slots?: number
  generation: number
  epoch: number
  state: TickState
  reason: string
  overlap: Spec['overlap']
  minBuild: number
  runAt: number
  now: number
}

/** Records a slot, once: false when it is in the ledger already. */
export async function record(tx: Tx, tick: NewTick): Promise<boolean> {
  const ended = tick.state === 'queued' ? null : tick.now
  const rows = await tx.query(
    `INSERT INTO tick (schedule, slot_at, kind, seq, until_at, slots, generation, epoch, state, reason, overlap, min_build, run_at, attempts, deaths, token, cancelling, recorded_at, ended_at)
     VALUES (:schedule, :slot, :kind, :seq, :until, :slots, :generation, :epoch, :state, :reason, :overlap, :minBuild, :runAt, 0, 0, 0, 0, :now, :ended)
     ON CONFLICT DO NOTHING RETURNING seq`,
    {
      ...idOf(tick),
      until: tick.untilAt ?? tick.slot_at,
      slots: tick.slots ?? 1,
      generation: tick.generation,
      epoch: tick.epoch,
      state: tick.state,
      reason: tick.reason,
      overlap: tick.overlap,
      minBuild: tick.minBuild,
      runAt: Math.floor(tick.runAt),
      now: tick.now,
      ended,
    },
  )
  return rows.length === 1
}

export interface Definition {
  spec: Spec
  minBuild: number
}

export async function definitionOf(tx: Tx, schedule: string, generation: number): Promise<Definition> {
  const [row] = await tx.query<{ spec: string; min_build: number }>('SELECT spec, min_build FROM definition WHERE schedule = :schedule AND generation = :generation', { schedule, generation })
  return { spec: JSON.parse(row!.spec) as Spec, minBuild: row!.min_build }
}
