/** What a schedule says: when, what, and what becomes of it when things go wrong. */
import { ResilError } from '../../errors.ts'
import { suggestion } from '../../nearest.ts'
import { visible } from '../../visible.ts'
import type { Crontab } from './crontab.ts'
import { DAYS, GAPS, OVERLAPS, parseCrontab } from './crontab.ts'

export const MISFIRES = ['once', 'skip', 'all'] as const
/** What becomes of a tick whose turn comes while another run of the schedule is under way. */
export const OVERLAP_POLICIES = ['skip', 'queue_one', 'queue_all', 'cancel_other', 'allow'] as const

export type Job =
  /** A program with its arguments; no shell. */
  | { kind: 'command'; argv: readonly string[] }
  /** One request; `service` names a base URL that the node knows. */
  | { kind: 'http'; service: string; method: string; path: string; headers: Record<string, string>; body: string }
  /** A TypeScript or JavaScript module with steps. */
  | { kind: 'module'; file: string }

export interface Spec {
  /** See crontab.ts. */
  expr: string
  zone: string
  gap?: (typeof GAPS)[number]
  overlapTime?: (typeof OVERLAPS)[number]
  days?: (typeof DAYS)[number]
  job: Job
  overlap: (typeof OVERLAP_POLICIES)[number]
  /** Most ticks that wait under queue_all; the next ones are skipped. */
  queueMax: number
  /** What becomes of slots that were noticed more than `graceMs` late. */
  misfire: (typeof MISFIRES)[number]
  graceMs: number
  /** Slots that are later than this are never made up for. */
  windowMs: number
  /** Under `all`: the newest that are made up for, and how many a second begin. */
  catchUpMax: number
  catchUpPerSecond: number
  /** One attempt may take this long. */
  timeoutMs: number
  /** Attempts in all, from 1. */
  attempts: number
  retryBaseMs: number
  retryCapMs: number
}

export const DEFAULTS = {
  zone: 'UTC',
  overlap: 'skip',
  queueMax: 100,
  misfire: 'once',
  graceMs: 60_000,
  windowMs: 24 * 3_600_000,
  catchUpMax: 100,
  catchUpPerSecond: 10,
  timeoutMs: 3_600_000,
  attempts: 3,
  retryBaseMs: 1000,
  retryCapMs: 10 * 60_000,
} as const satisfies Partial<Spec>

/** Letters, digits and . _ - / : no name can be mistaken for a flag, a path above, or a command to a terminal. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$/

const YEAR_MS = 366 * 86_400_000

const BOUNDS: Partial<Record<keyof Spec, readonly [least: number, most: number]>> = {
  queueMax: [1, 100_000],
  graceMs: [0, YEAR_MS],
  windowMs: [0, YEAR_MS],
  catchUpMax: [1, 1000],
  catchUpPerSecond: [0.01, 1000],
  timeoutMs: [100, 7 * 86_400_000],
  attempts: [1, 1000],
  retryBaseMs: [0, 3_600_000],
  retryCapMs: [0, 86_400_000],
}

/** Throws BAD_NAME. */
export function checkName(name: string): string {
  if (NAME.test(name)) return name
  throw new ResilError('BAD_NAME', `"${visible(name.slice(0, 60))}" is no name for a schedule`, 'use letters, digits, dot, dash, underscore and slash, at most 100, a letter or digit first')
}

/** What was left out gets its default. Throws BAD_SCHEDULE, BAD_ZONE, BAD_NAME. */
export function completeSpec(name: string, given: Partial<Spec> & Pick<Spec, 'expr' | 'job'>): Spec {
  checkName(name)
  // In one order of fields, so that two that say the same are the same text in the store.
  const spec = Object.fromEntries(Object.entries({ ...DEFAULTS, ...given }).sort(([a], [b]) => (a < b ? -1 : 1))) as unknown as Spec
  for (const [key, [least, most]] of Object.entries(BOUNDS) as [keyof Spec, readonly [number, number]][]) {
    const value = spec[key] as number
    if (!(value >= least && value <= most)) throw new ResilError('BAD_SCHEDULE', `${name}: ${key} is ${value}`, `it is between ${least} and ${most}`)
  }
  oneOf(name, 'overlap', spec.overlap, OVERLAP_POLICIES)
  oneOf(name, 'misfire', spec.misfire, MISFIRES)
  if (spec.gap !== undefined) oneOf(name, 'gap', spec.gap, GAPS)
  if (spec.overlapTime !== undefined) oneOf(name, 'overlapTime', spec.overlapTime, OVERLAPS)
  if (spec.days !== undefined) oneOf(name, 'days', spec.days, DAYS)
  crontabOf(name, spec, 0)
  return spec
}

function oneOf(name: string, key: string, value: string, known: readonly string[]): void {
  if (!known.includes(value)) throw new ResilError('BAD_SCHEDULE', `${name}: ${key} is "${visible(value)}"`, suggestion(value, known))
}

/** Intervals are counted from `anchorMs`, when the schedule was made. */
export function crontabOf(name: string, { expr, zone, gap, overlapTime, days }: Spec, anchorMs: number): Crontab {
  return parseCrontab(expr, { zone, gap, overlap: overlapTime, days, name, anchorMs })
}

/** Names one tick for ever, everywhere: what a receiver keeps to know a second effect from a first. */
export function tickKey({ schedule, slot_at, kind, seq }: { schedule: string; slot_at: number; kind: string; seq: number }): string {
  const at = new Date(slot_at).toISOString().replace('.000Z', 'Z')
  return kind === 'cron' ? `${schedule}@${at}` : `${schedule}@${at}!${kind}${seq > 0 ? `.${seq}` : ''}`
}
