/**
 * The same trouble under several policies. Each is a setting of the one engine: what differs is how it protects itself and the bank, and nothing else.
 * The names are those of the table that `resil pay --compare` draws.
 */
import type { PaymentSettings } from './settings.ts'

export interface Policy {
  name: string
  settings: Partial<PaymentSettings>
}

/** One column: a figure of the run's measuring event. */
export interface Column {
  field: string
  head: string
  /** A share of 1, or a plain number. */
  as: 'percent' | 'number'
}

export interface Comparison {
  /** The scenario that each policy goes through. */
  scenario: string
  /** The event that says what became of it. */
  measured: string
  policies: readonly Policy[]
  columns: readonly Column[]
}

/** No limit to payments under way: what is compared is what stands before the bank. */
const UNBOUNDED = 1_000_000
const PATIENT_MS = 30_000
/** Waits long, and asks anew at once. */
const NAIVE: Partial<PaymentSettings> = { guarded: false, tries: 3, deadlineMs: PATIENT_MS, fraudTimeoutMs: PATIENT_MS, fraudFloorMs: PATIENT_MS, lookupTimeoutMs: PATIENT_MS, notifyTimeoutMs: PATIENT_MS, settleMs: 0 }
const NO_BULKHEAD = { floor: UNBOUNDED, ceiling: UNBOUNDED, profile: [], queue: 0, waitMs: 0 }
/** Slowness opens no breaker. */
const NEVER_SLOW = { slowMs: 3_600_000, slowRate: 1 }

const counting = (windowCalls: number): Partial<PaymentSettings> => ({
  tries: 1,
  mostRunning: UNBOUNDED,
  bulkhead: NO_BULKHEAD,
  breaker: { ...NEVER_SLOW, windowMs: 0, windowCalls, minimumCalls: windowCalls, failureRate: 10 / windowCalls, openMs: 30_000, probes: 1, rampMs: 0 },
})

/** "Ten failures, thirty seconds, one probe": the breaker of the textbooks, where a success between two failures does not make the first forgotten. */
export const textbook: Policy = { name: 'and a breaker: 10 failures of 20 calls, 30 s, 1 probe', settings: counting(20) }

const STORM: readonly Policy[] = [
  { name: 'none: 30 s time-outs, asks again at once', settings: { ...NAIVE, mostRunning: UNBOUNDED } },
  { name: 'a deadline only', settings: { guarded: false, tries: 1, mostRunning: UNBOUNDED } },
  textbook,
  { name: 'and a breaker: 10 failures in a row, 30 s, 1 probe', settings: counting(10) },
  { name: 'and a breaker: 50 % of 100 calls, 5 s, 10 probes', settings: { tries: 1, mostRunning: UNBOUNDED, bulkhead: NO_BULKHEAD, breaker: { ...NEVER_SLOW, windowMs: 0, windowCalls: 100, minimumCalls: 20, failureRate: 0.5, openMs: 5000, probes: 10, rampMs: 0 } } },
  { name: 'resil: as many calls as the bank can take', settings: {} },
]

const STORM_COLUMNS: readonly Column[] = [
  { field: 'paid', head: 'paid < 5 s', as: 'percent' },
  { field: 'ofMost', head: 'of possible', as: 'percent' },
  { field: 'notCharged', head: 'told "not charged"', as: 'percent' },
  { field: 'pending', head: 'pending', as: 'percent' },
  { field: 'failed', head: 'no answer', as: 'percent' },
  { field: 'callsPerPayment', head: 'bank calls', as: 'number' },
  { field: 'paidAfter', head: 'paid afterwards', as: 'percent' },
]

const CASCADE: readonly Policy[] = [
  { name: 'none: 30 s time-outs, no bulkheads', settings: NAIVE },
  { name: 'resil', settings: {} },
]

const CASCADE_COLUMNS: readonly Column[] = [
  { field: 'paid', head: 'paid < 5 s', as: 'percent' },
  { field: 'notCharged', head: 'told "not charged"', as: 'percent' },
  { field: 'pending', head: 'pending', as: 'percent' },
  { field: 'failed', head: 'no answer', as: 'percent' },
  { field: 'heldAtMost', head: 'requests held', as: 'number' },
  { field: 'paidAfter', head: 'paid afterwards', as: 'percent' },
]

/** By the scenario that was asked for. */
export const comparisons: Readonly<Record<string, Comparison>> = {
  'black-friday': { scenario: 'B11', measured: 'storm.measured', policies: STORM, columns: STORM_COLUMNS },
  B11: { scenario: 'B11', measured: 'storm.measured', policies: STORM, columns: STORM_COLUMNS },
  cascade: { scenario: 'cascade', measured: 'cascade.measured', policies: CASCADE, columns: CASCADE_COLUMNS },
}

/** What one run of one policy came to. */
export interface Compared {
  policy: string
  figures: Readonly<Record<string, number>>
  /** Invariants that were violated. */
  broken: readonly string[]
}

/** The table, one line each; columns as wide as what is in them. */
export function tableOf({ columns }: Comparison, rows: readonly Compared[]): string[] {
  const cell = (row: Compared, { field, as }: Column) => {
    const value = row.figures[field]
    if (value === undefined) return '-'
    return as === 'percent' ? `${(100 * value).toFixed(1)} %` : Number.isInteger(value) ? String(value) : value.toFixed(2)
  }
  const lines = [
    ['policy', ...columns.map(({ head }) => head), 'broken'],
    ...rows.map((row) => [row.policy, ...columns.map((column) => cell(row, column)), row.broken.join(', ') || 'nothing']),
  ]
  const widths = lines[0]!.map((_, at) => Math.max(...lines.map((line) => line[at]!.length)))
  return lines.map((line) => line.map((text, at) => (at === 0 || at === line.length - 1 ? text.padEnd(widths[at]!) : text.padStart(widths[at]!))).join('   ').trimEnd())
}

