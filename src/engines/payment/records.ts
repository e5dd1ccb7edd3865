/** The one way to change a row of a payment or a refund, and what is kept of answers that came too late. */
import type { SqlParams, SqlValue, Tx } from '../store/store.ts'
import type { Payment } from './http.ts'
import type { State } from './machine.ts'
import { MOVES } from './machine.ts'

/** Thrown when an UPDATE guarded by state and epoch found no row: somebody else moved it. */
export class Fenced extends Error {
  override name = 'Fenced'
}

/** Columns whose parameter has another name. */
const COLUMNS: Record<string, string> = { node: 'owner_node', life: 'owner_life' }

/** Guarded by the state and the epoch that the caller believes in. Throws Fenced when they are no longer so. */
export async function move(tx: Tx, payment: Payment, to: State, fields: Record<string, SqlValue>, now: number): Promise<Payment> {
  if (!MOVES[payment.state].includes(to)) throw new Error(`a payment cannot move from ${payment.state} to ${to}`)
  const params: SqlParams = { id: payment.id, wasEpoch: payment.epoch, wasState: payment.state, to, now }
  let set = ''
  for (const [column, value] of Object.entries(fields)) {
    set += `, ${COLUMNS[column] ?? column} = :${column}`
    params[column] = value
  }
  const [moved] = await tx.query<Payment>(`UPDATE payments SET state = :to, updated_at = :now${set} WHERE id = :id AND epoch = :wasEpoch AND state = :wasState RETURNING *`, params)
  if (!moved) throw new Fenced()
  return moved
}

/** Closes the record of the last charge request. */
export async function endAttempt(tx: Tx, payment: Payment, outcome: string, now: number, detail = ''): Promise<void> {
  if (payment.attempts === 0) return
  await tx.query('UPDATE attempts SET outcome = :outcome, detail = :detail, ended_at = :now WHERE payment = :id AND n = :n AND ended_at IS NULL', { outcome, detail, now, id: payment.id, n: payment.attempts })
}

/** What was learnt too late to change anything. */
export async function keepEvidence(tx: Tx, payment: string, epoch: number, what: string, now: number): Promise<void> {
  await tx.query('INSERT INTO evidence (payment, at, epoch, what) VALUES (:payment, :at, :epoch, :what)', { payment, at: now, epoch, what })
}
