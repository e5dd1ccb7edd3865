/**
 * The last line: the bank's own listing beside what this store believes. It finds what no answer, no look-up and no event told: charges of payments that a
 * restored backup has forgotten, charges that nobody here asked for, payments that are charged here and not there.
 */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Network } from '../../network.ts'
import { parseJson } from '../../network.ts'
import type { Store } from '../store/store.ts'
import { listingRequest, meaningOfRecord } from './bank.ts'
import type { Payment } from './http.ts'
import { keepEvidence } from './records.ts'

/** Charges in one page of the bank's listing, and how long one page may take. */
const PAGE = 100
const PAGE_MS = 10_000
/** Tries of one page. */
const TRIES = 5
/** Payments of ours in one look. */
const ROWS = 500

export type Difference =
  /** The bank has a charge whose reference is no payment of this store. */
  | { kind: 'orphan'; charge: string; reference: string; amount: number; currency: string }
  /** The bank has charged, and the payment says that it was not. */
  | { kind: 'charged-here-not'; charge: string; reference: string; state: string }
  /** The payment is in doubt, and the bank knows. */
  | { kind: 'in-doubt'; charge: string; reference: string; state: string }
  /** The bank has another amount or currency. */
  | { kind: 'amount'; charge: string; reference: string; why: string }
  /** The payment says that it was charged, and the bank's listing does not have it. */
  | { kind: 'missing-there'; reference: string; charge: string | null }
  /** One payment with two charges that stand. */
  | { kind: 'twice'; charge: string; reference: string }

export interface Reconciled {
  /** Charges of the bank that were compared, and payments of ours. */
  charges: number
  payments: number
  differences: Difference[]
}

export interface Reconciliation {
  clock: Clock
  network: Network
  store: Store
  /** The service that lists, e.g. `bank`. */
  acquirer: string
  /** Charges made in [since, until), ms since 1970 by the bank's clock. */
  since: number
  until: number
}

/** Compares, and writes what it found beside the payments as evidence. Throws BANK_UNREACHABLE when a page cannot be had. */
export async function reconcile({ clock, network, store, acquirer, since, until }: Reconciliation): Promise<Reconciled> {
  const differences: Difference[] = []
  const standing = new Map<string, string>()
  let charges = 0
  for (let after: string | undefined; ; ) {
    const page = await pageOf(clock, network, acquirer, since, until, after)
    const references = [...new Set(page.charges.map(({ reference }) => String(reference)))]
    const payments = await store.transaction('reconcile', (tx) =>
      tx.query<Payment>(
        `SELECT id, state, amount, currency, charge, acquirer FROM payments WHERE id IN (SELECT value FROM json_each(:ids))
         UNION ALL SELECT payment, 'succeeded', amount, currency, charge, '' FROM orders WHERE payment IN (SELECT value FROM json_each(:ids))`,
        { ids: JSON.stringify(references) },
      ),
    )
    const byId = new Map(payments.map((payment) => [payment.id, payment]))
    for (const record of page.charges) {
      charges++
      const reference = String(record.reference)
      const charge = String(record.id)
      const payment = byId.get(reference)
      const stands = record.status === 'succeeded' && Number(record.refunded ?? 0) < Number(record.amount)
      if (stands && standing.has(reference)) differences.push({ kind: 'twice', charge, reference })
      if (stands) standing.set(reference, charge)
      if (!payment) {
        if (stands) differences.push({ kind: 'orphan', charge, reference, amount: Number(record.amount), currency: String(record.currency) })
        continue
      }
      const meaning = meaningOfRecord({ id: payment.id, amount: payment.amount, currency: payment.currency, card: null }, record)
      if (meaning.kind === 'review') differences.push({ kind: 'amount', charge, reference, why: meaning.why })
      else if (stands && (payment.state === 'sent' || payment.state === 'unknown' || payment.state === 'review')) differences.push({ kind: 'in-doubt', charge, reference, state: payment.state })
      else if (stands && payment.state !== 'succeeded' && payment.state !== 'authorised') differences.push({ kind: 'charged-here-not', charge, reference, state: payment.state })
    }
    after = page.charges.at(-1)?.id
    if (!page.more || after === undefined) break
  }

  let payments = 0
  for (let cursor = ''; ; ) {
    const rows = await store.transaction('reconcile', (tx) =>
      tx.query<Payment>("SELECT id, charge FROM payments WHERE id > :cursor AND state = 'succeeded' AND acquirer = :acquirer AND finished_at >= :since AND finished_at < :until ORDER BY id LIMIT :rows", { cursor, acquirer, since, until, rows: ROWS }),
    )
    payments += rows.length
    for (const { id, charge } of rows) if (!standing.has(id) && !(await refunded(store, id))) differences.push({ kind: 'missing-there', reference: id, charge })
    if (rows.length < ROWS) break
    cursor = rows.at(-1)!.id
  }
  if (differences.length > 0) {
    await store.transaction('reconciled', async (tx) => {
      for (const difference of differences) await keepEvidence(tx, difference.reference, 0, `reconciled: ${JSON.stringify(difference)}`, clock.now())
    })
  }
  return { charges, payments, differences }
}

interface ListedCharge {
  id: string
  status?: unknown
  amount?: unknown
  currency?: unknown
  reference?: unknown
  refunded?: unknown
}

async function pageOf(clock: Clock, network: Network, acquirer: string, since: number, until: number, after: string | undefined): Promise<{ charges: ListedCharge[]; more: boolean }> {
  for (let n = 1; ; n++) {
    const outcome = await network.call(acquirer, listingRequest(since, until, after, PAGE, PAGE_MS), { timeoutMs: PAGE_MS })
    const body = outcome.kind === 'ok' && outcome.value.status === 200 ? (parseJson(outcome.value.body) as { charges?: unknown; has_more?: unknown } | null | undefined) : undefined
    if (Array.isArray(body?.charges)) return { charges: (body.charges as ListedCharge[]).filter((charge) => typeof charge?.id === 'string'), more: body.has_more === true }
    if (n >= TRIES) throw new ResilError('BANK_UNREACHABLE', `${acquirer} does not list its charges: ${outcome.kind === 'ok' ? `it answered ${outcome.value.status}` : outcome.error.message}`, 'say with --bank where it is; nothing was changed')
    await clock.sleep(250 * 2 ** n)
  }
}

/** Whether all of it was given back: then its charge need not stand. */
async function refunded(store: Store, id: string): Promise<boolean> {
  const [row] = await store.transaction('reconcile', (tx) => tx.query<{ back: number; amount: number }>("SELECT (SELECT coalesce(SUM(amount), 0) FROM refunds WHERE payment = :id AND state = 'succeeded') AS back, amount FROM payments WHERE id = :id", { id }))
  return row !== undefined && row.back >= row.amount
}
