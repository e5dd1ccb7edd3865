/** What an operator reads in a payment store: the payments, all that is known of one of them in order of time, the ledger. Reads only; never a card number. */
import { ResilError } from '../../errors.ts'
import { parseJson } from '../../network.ts'
import type { Row, Store, Tx } from '../store/store.ts'
import type { State } from './machine.ts'
import { FINAL } from './machine.ts'
import { migrations } from './migrations.ts'
import type { Audit } from './operator.ts'
import type { Difference } from './reconcile.ts'
import { CONTRADICTED, differenceInWords, RECONCILED } from './reconcile.ts'

export interface Summary {
  id: string
  state: State
  /** Minor units. */
  amount: number
  currency: string
  order: string
  key: string
  /** Charge requests begun. */
  attempts: number
  charge: string | null
  reason: string | null
  /** ms since 1970, as the next three. */
  createdAt: number
  updatedAt: number
  epoch: number
  /** The node that is to move it. */
  node: string
}

/** One thing that happened, and its details. */
export interface Fact {
  /** ms since 1970. */
  at: number
  fact:
    | 'payment.claimed' | 'payment.cancelled' | 'payment.finished' | 'payment.rested'
    | 'bank.asked' | 'bank.answered'
    | 'refund.asked' | 'refund.rested'
    | 'ledger.appended'
    | `${'notification' | 'capture' | 'void'}.${'due' | 'done'}`
    | 'evidence.kept' | 'operator.acted' | 'reconciliation.differed'
  [detail: string]: string | number | null
}

export interface Dossier {
  payment: Summary
  facts: Fact[]
}

const SUMMARY = `SELECT id, state, amount, currency, order_ref AS "order", key, attempts, charge, reason, created_at AS createdAt, updated_at AS updatedAt, epoch, owner_node AS node, finished_at AS finishedAt, answer_status AS answerStatus, cancelled_at AS cancelledAt, queue_until AS queueUntil, two_step AS twoStep
                 FROM payments`

interface PaymentRow extends Summary {
  finishedAt: number | null
  answerStatus: number | null
  cancelledAt: number | null
  queueUntil: number | null
  /** 1: the money was held first, and captured afterwards. */
  twoStep: number
}

interface AttemptRow {
  n: number
  epoch: number
  bankKey: string
  sentAt: number
  timeoutMs: number
  outcome: string | null
  detail: string | null
  endedAt: number | null
}

/** Throws STORE_EMPTY for a store that no payment engine has begun, STORE_OLDER and STORE_NEWER for one of another version. */
export async function requirePayments(store: Store): Promise<void> {
  const version = await store.transaction('version', async (tx) => {
    const [row] = await tx.query<{ version: number }>('SELECT user_version AS version FROM pragma_user_version')
    const [table] = await tx.query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'payments'")
    return table ? row!.version : 0
  })
  if (version === 0) throw new ResilError('STORE_EMPTY', 'the database holds no payments', 'name the one that resil pay serve was started with, as in --db payments.db')
  if (version < migrations.length) throw new ResilError('STORE_OLDER', `the database is of version ${version}; this program knows ${migrations.length}`, 'start resil pay serve of this program on it: that brings it up to date')
  if (version > migrations.length) throw new ResilError('STORE_NEWER', `the database is of version ${version}; this program knows ${migrations.length}`, 'use the program that wrote it, or a newer one')
}

/** The newest first, `limit` at most; those in any of `states`, or all when there are none. `more` says that there are others. */
export async function listPayments(store: Store, states: readonly State[], limit: number): Promise<{ payments: Summary[]; more: boolean }> {
  const names = states.map((_, n) => `:state${n}`)
  const where = names.length > 0 ? `WHERE state IN (${names.join(', ')})` : ''
  const rows = await store.transaction('list', (tx) =>
    tx.query<PaymentRow>(`${SUMMARY} ${where} ORDER BY created_at DESC, id DESC LIMIT :limit`, { limit: limit + 1, ...Object.fromEntries(states.map((state, n) => [`state${n}`, state])) }),
  )
  return { payments: rows.slice(0, limit).map(summaryOf), more: rows.length > limit }
}

/** All that is known of one payment at one moment, or undefined when there is none of this id. */
export function openDossier(store: Store, id: string): Promise<Dossier | undefined> {
  return store.transaction('dossier', async (tx) => {
    const [payment] = await tx.query<PaymentRow>(`${SUMMARY} WHERE id = :id`, { id })
    if (!payment) return undefined
    const facts = [
      ...claimed(payment), ...(await attemptFacts(tx, id)), ...(await ledgerFacts(tx, id)), ...rested(payment), ...(await refundFacts(tx, id)),
      ...(await outboxFacts(tx, id)), ...(await evidenceFacts(tx, id)), ...(await deedFacts(tx, id)),
    ]
    return { payment: summaryOf(payment), facts: facts.toSorted((a, b) => a.at - b.at) }
  })
}

/** Ids of payments that may be meant by a word that is no payment's id: the order's, the key's, or those that begin with it; `limit` at most. */
export async function paymentsNear(store: Store, word: string, limit: number): Promise<string[]> {
  const rows = await store.transaction('near', (tx) =>
    tx.query<{ id: string }>('SELECT id FROM payments WHERE order_ref = :word OR key = :word OR substr(id, 1, length(:word)) = :word ORDER BY created_at DESC LIMIT :limit', { word, limit }),
  )
  return rows.map(({ id }) => id)
}

/** The newest `limit` entries of the ledger, or of one payment's, in the order in which they were appended. */
export async function listEntries(store: Store, payment: string | undefined, limit: number): Promise<LedgerEntry[]> {
  const rows = await store.transaction('entries', (tx) =>
    tx.query<LedgerEntry>(`SELECT seq, payment, account, amount, currency, at, hash FROM ledger ${payment === undefined ? '' : 'WHERE payment = :payment'} ORDER BY seq DESC LIMIT :limit`, { limit, ...(payment === undefined ? {} : { payment }) }),
  )
  return rows.reverse()
}

/** An entry as it is kept. */
export interface LedgerEntry {
  seq: number
  payment: string
  account: string
  /** Signed minor units: what the account gains. */
  amount: number
  currency: string
  /** ms since 1970. */
  at: number
  hash: string
}

function summaryOf({ id, state, amount, currency, order, key, attempts, charge, reason, createdAt, updatedAt, epoch, node }: PaymentRow): Summary {
  return { id, state, amount, currency, order, key, attempts, charge, reason, createdAt, updatedAt, epoch, node }
}

function claimed({ createdAt, key, order, amount, currency, cancelledAt, queueUntil, twoStep }: PaymentRow): Fact[] {
  const asked: Fact = { at: createdAt, fact: 'payment.claimed', key, order, amount, currency, queueUntil, twoStep }
  return cancelledAt === null ? [asked] : [asked, { at: cancelledAt, fact: 'payment.cancelled' }]
}

async function attemptFacts(tx: Tx, id: string): Promise<Fact[]> {
  const attempts = await tx.query<AttemptRow>(
    'SELECT n, epoch, bank_key AS bankKey, sent_at AS sentAt, timeout_ms AS timeoutMs, outcome, detail, ended_at AS endedAt FROM attempts WHERE payment = :id ORDER BY n',
    { id },
  )
  return attempts.flatMap(({ n, epoch, bankKey, sentAt, timeoutMs, outcome, detail, endedAt }): Fact[] => {
    const asked: Fact = { at: sentAt, fact: 'bank.asked', attempt: n, epoch, bankKey, timeoutMs }
    return endedAt === null ? [asked] : [asked, { at: endedAt, fact: 'bank.answered', attempt: n, outcome, detail }]
  })
}

async function ledgerFacts(tx: Tx, id: string): Promise<Fact[]> {
  const entries = await tx.query<{ seq: number; account: string; amount: number; currency: string; at: number }>('SELECT seq, account, amount, currency, at FROM ledger WHERE payment = :id ORDER BY seq', { id })
  return entries.map(({ at, ...entry }) => ({ at, fact: 'ledger.appended', ...entry }))
}

function rested({ state, finishedAt, updatedAt, answerStatus, reason }: PaymentRow): Fact[] {
  if (FINAL.includes(state) && finishedAt !== null) return [{ at: finishedAt, fact: 'payment.finished', state, answerStatus, reason }]
  return state === 'released' || state === 'queued' || state === 'unknown' || state === 'review' ? [{ at: updatedAt, fact: 'payment.rested', state, reason }] : []
}

async function refundFacts(tx: Tx, id: string): Promise<Fact[]> {
  const refunds = await tx.query<{ id: string; key: string; amount: number; currency: string; state: string; attempts: number; refund: string | null; reason: string | null; createdAt: number; updatedAt: number }>(
    `SELECT refunds.id AS id, refunds.key AS key, refunds.amount AS amount, currency, refunds.state AS state, refunds.attempts AS attempts, refund, refunds.reason AS reason, refunds.created_at AS createdAt, refunds.updated_at AS updatedAt
     FROM refunds JOIN payments ON payments.id = refunds.payment WHERE refunds.payment = :id ORDER BY refunds.created_at`,
    { id },
  )
  return refunds.flatMap(({ id, key, amount, currency, state, attempts, refund, reason, createdAt, updatedAt }): Fact[] => [
    { at: createdAt, fact: 'refund.asked', id, key, amount, currency },
    ...(state === 'sent' ? [] : [{ at: updatedAt, fact: 'refund.rested', id, state, attempts, refund, reason } as const]),
  ])
}

/** The outbox keeps one time for each: when it was done, or when it is due. */
async function outboxFacts(tx: Tx, id: string): Promise<Fact[]> {
  const rows = await tx.query<{ id: string; kind: 'notification' | 'capture' | 'void'; service: string; state: string; attempts: number; at: number }>('SELECT id, kind, service, state, attempts, due_at AS at FROM outbox WHERE payment = :id ORDER BY due_at, id', { id })
  return rows.map(({ at, kind, state, ...row }) => ({ at, fact: `${kind}.${state === 'sent' ? 'done' : 'due'}`, ...row }))
}

/** What a deed or a reconciliation left as evidence is told by what it is. */
async function evidenceFacts(tx: Tx, id: string): Promise<Fact[]> {
  const rows = await tx.query<{ at: number; epoch: number; what: string }>('SELECT at, epoch, what FROM evidence WHERE payment = :id ORDER BY at', { id })
  return rows.flatMap(({ at, epoch, what }): Fact[] => {
    if (what.startsWith('operator ')) return []
    const difference = what.startsWith(RECONCILED) ? (parseJson(what.slice(RECONCILED.length)) as Difference | undefined) : undefined
    return difference ? [{ at, fact: 'reconciliation.differed', kind: difference.kind, ...differenceInWords(difference) }] : [{ at, fact: 'evidence.kept', epoch, what }]
  })
}

async function deedFacts(tx: Tx, id: string): Promise<Fact[]> {
  const deeds = await tx.query<Audit & Row>('SELECT at, who, what, why FROM audits WHERE subject = :id AND what <> :contradicted ORDER BY at', { id, contradicted: CONTRADICTED })
  return deeds.map(({ at, who, what, why }) => ({ at, fact: 'operator.acted', who, what, why }))
}
