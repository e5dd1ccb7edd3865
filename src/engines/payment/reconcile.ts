/**
 * The last line: the bank's own listing beside what this store believes. It finds what no answer, no look-up and no event told: charges of payments that a
 * restored backup has forgotten, charges that nobody here asked for, payments that are charged here and not there.
 *
 * It moves no payment: what it finds is kept beside the payments as evidence, once however often it is found, and what contradicts an answer that a client
 * was given is written down among the operators' deeds, where the service counts it.
 */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Log } from '../../events.ts'
import type { Network } from '../../network.ts'
import { parseJson } from '../../network.ts'
import type { Store } from '../store/store.ts'
import { decisive, listingRequest, lookupRequest, meaningOfRecord, recordsFound } from './bank.ts'
import type { Payment } from './http.ts'
import { keepEvidence } from './records.ts'

/** Charges in one page of the bank's listing, and how long one page may take. */
const PAGE = 100
const PAGE_MS = 10_000
/** Tries of one page. */
const TRIES = 5
/** Payments of ours in one look. */
const ROWS = 500
/** Differences after which it stops looking: the listing is of another bank, or of another shop. */
const MOST_DIFFERENCES = 10_000
/** Payments that seem to be missing there are looked up one by one, so many of them; the rest is told as it seems. */
const MOST_LOOKUPS = 200

export type Difference =
  /** The bank has a charge whose reference is no payment of this store. */
  | { kind: 'orphan'; charge: string; reference: string; amount: number; currency: string }
  /** The bank has charged, and the payment says that it was not. */
  | { kind: 'charged-here-not'; charge: string; reference: string; state: string }
  /** The payment is in doubt, and the bank knows. */
  | { kind: 'in-doubt'; charge: string; reference: string; state: string }
  /** The bank has another amount or currency. */
  | { kind: 'amount'; charge: string; reference: string; why: string }
  /** The payment says that it was charged, and the bank does not have it. */
  | { kind: 'missing-there'; reference: string; charge: string | null }
  /** One payment with two charges that stand. */
  | { kind: 'twice'; charge: string; reference: string }

/** Differences that make an answer untrue which a client was given. */
const CONTRADICTS: ReadonlySet<Difference['kind']> = new Set(['charged-here-not', 'missing-there', 'twice', 'amount'])

/** What its evidence begins with, and what the audit says whose subject was told something that is not true. */
export const RECONCILED = 'reconciled: '
export const CONTRADICTED = 'contradicted'

export interface Reconciled {
  /** Charges of the bank that were compared, and payments of ours. */
  charges: number
  payments: number
  differences: Difference[]
  /** Whether it stopped at MOST_DIFFERENCES. */
  more: boolean
}

export interface Reconciliation {
  clock: Clock
  network: Network
  store: Store
  /** Is told `payment.contradicted` for each payment whose client was told what is not true. */
  log?: Log
  /** The service that lists, e.g. `bank`. */
  acquirer: string
  /** Charges made in [since, until), ms since 1970 by the bank's clock. End it a minute ago: what is younger may be under way. */
  since: number
  until: number
  /** Ends it between two pages of the listing. */
  signal?: AbortSignal
}

/**
 * Compares, and writes what it found beside the payments as evidence. Its memory grows with the charges of the time that it looks at, some 150 bytes each.
 * Throws BANK_UNREACHABLE when a page cannot be had, RUN_CUT_SHORT when the signal aborts.
 */
export async function reconcile({ clock, network, store, log, acquirer, since, until, signal }: Reconciliation): Promise<Reconciled> {
  const differences: Difference[] = []
  const standing = new Map<string, string>()
  const full = () => differences.length >= MOST_DIFFERENCES
  let charges = 0
  for (let after: string | undefined; !full(); ) {
    const page = await pageOf(clock, network, acquirer, since, until, after, signal)
    const payments = await known(store, [...new Set(page.charges.map(referenceOf))])
    for (const record of page.charges) {
      charges++
      const reference = referenceOf(record)
      const charge = record.id
      const payment = payments.get(reference)
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
    const last = page.charges.at(-1)?.id
    if (!page.more || last === undefined) break
    if (last === after) throw new ResilError('BANK_UNREACHABLE', `${acquirer} gives the same page of its listing again and again`, 'it must list what is behind the charge that it is asked for with after=')
    after = last
  }

  let payments = 0
  let lookups = 0
  for (let cursor = ''; !full(); ) {
    const rows = await store.transaction('reconcile', (tx) =>
      tx.query<Payment>("SELECT id, charge, amount, currency FROM payments WHERE id > :cursor AND state = 'succeeded' AND acquirer = :acquirer AND finished_at >= :since AND finished_at < :until ORDER BY id LIMIT :rows", { cursor, acquirer, since, until, rows: ROWS }),
    )
    payments += rows.length
    for (const payment of rows) {
      if (standing.has(payment.id) || (await refunded(store, payment.id))) continue
      // The clocks of the two may differ, and it may stand in the listing just outside of what was asked for: its own reference knows.
      if (lookups++ < MOST_LOOKUPS && (await standsAtBank(network, acquirer, payment))) continue
      differences.push({ kind: 'missing-there', reference: payment.id, charge: payment.charge })
    }
    if (rows.length < ROWS) break
    cursor = rows.at(-1)!.id
  }

  const more = full()
  const found = differences.slice(0, MOST_DIFFERENCES)
  await remember(store, found, clock.now())
  for (const difference of found) {
    if (CONTRADICTS.has(difference.kind)) log?.emit('payment.contradicted', { payment: difference.reference, by: 'reconciliation', why: differenceInWords(difference).what })
  }
  return { charges, payments, differences: found, more }
}

/** What a difference is, and what to do about it. */
export function differenceInWords(difference: Difference): { what: string; act: string } {
  const { reference } = difference
  const charge = 'charge' in difference ? difference.charge : null
  switch (difference.kind) {
    case 'orphan':
      return { what: `the bank has ${charge} for ${reference}, which is no payment of this store`, act: 'a restored backup has forgotten it, or another shop uses this account: find the customer by the reference, then honour the charge or refund it at the bank' }
    case 'charged-here-not':
      return { what: `the bank charged ${reference} (${charge}), and the client was told that it is ${difference.state}`, act: 'refund it at the bank, or deliver and tell the customer' }
    case 'in-doubt':
      return difference.state === 'review'
        ? { what: `${reference} is in review, and the bank charged it (${charge})`, act: `look at what stands against it (resil pay status ${reference}); when it is right: resil pay resolve ${reference} --as charged --charge ${plain(difference.charge)} --by NAME --why TEXT` }
        : { what: `${reference} is ${difference.state}, and the bank charged it (${charge})`, act: 'the running service finds out by itself; if none runs, start it' }
    case 'amount':
      return { what: `${charge} is not what ${reference} asked for: ${difference.why}`, act: 'compare with the order, then refund the difference or the whole at the bank' }
    case 'missing-there':
      return { what: `${reference} says that it was charged${charge === null ? '' : ` (${charge})`}, and the bank has no charge that stands`, act: 'look whether it was refunded or voided at the bank by hand; do not deliver before that is clear' }
    case 'twice':
      return { what: `${reference} was charged twice: ${charge} is not the only one that stands`, act: 'refund one of them at the bank, at once, and tell the customer' }
  }
}

/** An id of the bank's, for a line that somebody will paste into a shell. */
const plain = (id: string) => (/^[\w.:-]{1,255}$/.test(id) ? id : 'ID')

/** What it is for, as the bank was told; of bounded length, because anybody may have told it. */
const referenceOf = (charge: ListedCharge) => String(charge.reference).slice(0, 255)

interface ListedCharge {
  id: string
  status?: unknown
  amount?: unknown
  currency?: unknown
  reference?: unknown
  refunded?: unknown
}

async function pageOf(clock: Clock, network: Network, acquirer: string, since: number, until: number, after: string | undefined, signal: AbortSignal | undefined): Promise<{ charges: ListedCharge[]; more: boolean }> {
  for (let n = 1; ; n++) {
    if (signal?.aborted) throw new ResilError('RUN_CUT_SHORT', 'the comparison was cut short; nothing was changed', 'run it again')
    const outcome = await network.call(acquirer, listingRequest(since, until, after, PAGE, PAGE_MS), { timeoutMs: PAGE_MS })
    const body = outcome.kind === 'ok' && outcome.value.status === 200 ? (parseJson(outcome.value.body) as { charges?: unknown; has_more?: unknown } | null | undefined) : undefined
    if (Array.isArray(body?.charges)) return { charges: (body.charges as ListedCharge[]).filter((charge) => typeof charge?.id === 'string'), more: body.has_more === true }
    if (n >= TRIES) throw new ResilError('BANK_UNREACHABLE', `${acquirer} does not list its charges: ${outcome.kind === 'ok' ? `it answered ${outcome.value.status}` : outcome.error.message}`, 'say with --bank where it is; nothing was changed')
    await clock.sleep(250 * 2 ** n, signal)
  }
}

/** Those of the references that are payments of ours, or orders whose payments were forgotten in time. */
async function known(store: Store, references: readonly string[]): Promise<Map<string, Payment>> {
  const payments = await store.transaction('reconcile', (tx) =>
    tx.query<Payment>(
      `SELECT payment AS id, 'succeeded' AS state, amount, currency, charge, '' AS acquirer FROM orders WHERE payment IN (SELECT value FROM json_each(:ids))
       UNION ALL SELECT id, state, amount, currency, charge, acquirer FROM payments WHERE id IN (SELECT value FROM json_each(:ids))`,
      { ids: JSON.stringify(references) },
    ),
  )
  return new Map(payments.map((payment) => [payment.id, payment]))
}

async function standsAtBank(network: Network, acquirer: string, payment: Payment): Promise<boolean> {
  const record = decisive(recordsFound(await network.call(acquirer, lookupRequest(payment.id, PAGE_MS), { timeoutMs: PAGE_MS })))
  const { refunded: back, amount } = (record ?? {}) as ListedCharge
  return record !== undefined && meaningOfRecord(payment, record).kind === 'succeeded' && Number(back ?? 0) < Number(amount)
}

/** Whether all of it was given back: then its charge need not stand. */
async function refunded(store: Store, id: string): Promise<boolean> {
  const [row] = await store.transaction('reconcile', (tx) => tx.query<{ back: number; amount: number }>("SELECT (SELECT coalesce(SUM(amount), 0) FROM refunds WHERE payment = :id AND state = 'succeeded') AS back, amount FROM payments WHERE id = :id", { id }))
  return row !== undefined && row.back >= row.amount
}

/** Each once, however often it is found; so many in one transaction, because a service may be waiting to write. */
async function remember(store: Store, differences: readonly Difference[], now: number): Promise<void> {
  const texts = differences.map((difference) => `${RECONCILED}${JSON.stringify(difference)}`)
  const kept = await store.transaction('reconcile', (tx) => tx.query<{ what: string }>('SELECT what FROM evidence WHERE what IN (SELECT value FROM json_each(:texts))', { texts: JSON.stringify(texts) }))
  const known = new Set(kept.map(({ what }) => what))
  const fresh = differences.filter((_, n) => !known.has(texts[n]!))
  for (let n = 0; n < fresh.length; n += ROWS) {
    await store.transaction('reconciled', async (tx) => {
      for (const difference of fresh.slice(n, n + ROWS)) {
        const { kind, reference } = difference
        await keepEvidence(tx, reference, 0, `${RECONCILED}${JSON.stringify(difference)}`, now)
        if (CONTRADICTS.has(kind)) await tx.query("INSERT INTO audits (at, who, what, subject, why) VALUES (:now, 'reconciliation', :what, :reference, :why)", { now, what: CONTRADICTED, reference, why: differenceInWords(difference).what })
      }
    })
  }
}
