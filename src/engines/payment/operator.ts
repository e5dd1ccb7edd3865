/** What operators do to a store, beside the engine that may be running on it: every deed is written down with who did it and why. */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import { parseJson } from '../../network.ts'
import type { Random } from '../../random.ts'
import type { BreakerSnapshot, BreakerState } from '../policies/breaker.ts'
import type { Store, Tx } from '../store/store.ts'
import type { Payment } from './http.ts'
import { finalAnswer } from './http.ts'
import { append } from './ledger.ts'
import { endAttempt, keepEvidence, move } from './records.ts'

export interface Deed {
  who: string
  why: string
}

/** A deed that was done. */
export interface Audit {
  /** ms since 1970. */
  at: number
  who: string
  what: string
  /** A payment's id, or a breaker's name. */
  subject: string
  why: string
}

/** States in which only a person, or the bank, can say what happened. */
const IN_DOUBT = ['unknown', 'review']

/**
 * Ends a payment that is in doubt as a person has found it to be. `charged` books it, owes the customer a word, and keeps the bank's id of the charge;
 * `not-charged` ends it without: whoever says so has looked at the bank. Throws NO_SUCH_PAYMENT, NOT_IN_DOUBT, CHARGE_MISSING.
 */
export async function resolvePayment(store: Store, clock: Clock, random: Random, id: string, as: { kind: 'charged'; charge: string } | { kind: 'not-charged' }, { who, why }: Deed): Promise<Payment> {
  const now = clock.now()
  return store.transaction('operator', async (tx) => {
    const [payment] = await tx.query<Payment>('SELECT * FROM payments WHERE id = :id', { id })
    if (!payment) throw new ResilError('NO_SUCH_PAYMENT', `there is no payment ${id}`, 'resil pay list shows those that there are')
    if (!IN_DOUBT.includes(payment.state)) throw new ResilError('NOT_IN_DOUBT', `${id} is ${payment.state}; nobody has to decide about it`, 'only payments in state unknown or review are resolved by hand')
    const to = as.kind === 'charged' ? 'succeeded' : 'voided'
    const charge = as.kind === 'charged' ? as.charge : null
    const answer = finalAnswer({ ...payment, charge, state: to })
    const moved = await move(tx, payment, to, { charge, reason: `operator ${who}: ${why}`, card: null, epoch: payment.epoch + 1, answer_status: answer.status, answer_body: answer.body, finished_at: now }, now)
    await endAttempt(tx, payment, to, now, `operator ${who}`)
    if (as.kind === 'charged') {
      await append(tx, [
        { payment: id, account: `customer:${payment.order_ref}`, amount: -payment.amount, currency: payment.currency },
        { payment: id, account: 'merchant', amount: payment.amount, currency: payment.currency },
      ], now)
      const word = random.id('evt')
      await tx.query("INSERT INTO outbox (id, payment, body, state, attempts, due_at, lease_until) VALUES (:word, :id, :body, 'ready', 0, :now, :now)", {
        word,
        id,
        body: JSON.stringify({ id: word, type: 'payment.succeeded', payment: id, order: payment.order_ref, amount: payment.amount, currency: payment.currency }),
        now,
      })
    }
    await keepEvidence(tx, id, moved.epoch, `operator ${who}: ${as.kind}${charge === null ? '' : ` by ${charge}`}: ${why}`, now)
    await audit(tx, now, who, `resolve as ${as.kind}`, id, why)
    return moved
  })
}

export type Forced = 'open' | 'closed' | 'disabled' | 'metrics_only'

/** A breaker as the store knows it: what the nodes last wrote of it, at most a sweep ago, and what an operator forced. */
export interface KnownBreaker {
  /** A service, or a service and a caller: `bank/3f2a...`. */
  name: string
  state: BreakerState
  /** ms since 1970; null for one that has never moved. */
  since: number | null
  /** When an open one lets a probe through, ms since 1970; null for any other. */
  untilAt: number | null
  forced: Forced | null
  /** The last deed about it, when there was one. */
  deed: Audit | null
}

interface BreakerRow {
  name: string
  snapshot: string | null
  forced: Forced | null
  updated_at: number
}

/** Services of `pay serve`: theirs are listed before they have ever moved. */
const SERVICES = ['bank', 'fraud', 'notification']
/** Breakers that are listed. */
const LISTED = 1000
/** What a forced breaker is, whatever the nodes wrote before. */
const STATE_OF: Record<Forced, BreakerState> = { open: 'forced-open', closed: 'closed', disabled: 'disabled', metrics_only: 'metrics-only' }

/** By name. */
export async function listBreakers(store: Store): Promise<KnownBreaker[]> {
  const { rows, deeds } = await store.transaction('breakers', async (tx) => ({
    rows: await tx.query<BreakerRow>('SELECT name, snapshot, forced, updated_at FROM breakers ORDER BY name LIMIT :most', { most: LISTED }),
    deeds: await tx.query<Audit>("SELECT at, who, what, subject, why FROM audits AS last WHERE what LIKE 'breaker %' AND at = (SELECT MAX(at) FROM audits WHERE subject = last.subject AND what LIKE 'breaker %') LIMIT :most", { most: LISTED }),
  }))
  const never: BreakerRow[] = SERVICES.filter((name) => !rows.some((row) => row.name === name)).map((name) => ({ name, snapshot: null, forced: null, updated_at: 0 }))
  return [...rows, ...never].map((row) => knownBreaker(row, deeds.find(({ subject }) => subject === row.name) ?? null)).toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function knownBreaker({ name, snapshot, forced }: BreakerRow, deed: Audit | null): KnownBreaker {
  if (forced !== null) return { name, state: STATE_OF[forced], since: deed?.at ?? null, untilAt: null, forced, deed }
  const { state = 'closed', changedAt, untilAt } = (parseJson(snapshot ?? '') ?? {}) as Partial<BreakerSnapshot>
  return { name, state, since: changedAt ?? null, untilAt: state === 'open' ? (untilAt ?? null) : null, forced, deed }
}

/**
 * Forces a breaker until it is released; null releases it, and closes it: with nothing remembered it judges by itself again. The nodes see it at their
 * next sweep. Throws NO_SUCH_BREAKER for a name that no service has.
 */
export async function forceBreaker(store: Store, clock: Clock, name: string, forced: Forced | null, { who, why }: Deed): Promise<void> {
  const now = clock.now()
  await store.transaction('operator', async (tx) => {
    const [row] = await tx.query<BreakerRow>('SELECT name, snapshot, forced, updated_at FROM breakers WHERE name = :name', { name })
    if (!row && !SERVICES.includes(name) && (await tx.query('SELECT 1 FROM payments WHERE acquirer = :name LIMIT 1', { name })).length === 0) {
      throw new ResilError('NO_SUCH_BREAKER', `there is no breaker ${name}`, 'resil pay breaker list shows those that there are')
    }
    // A closed one is told as news that is newer than what any node knows, so that those whom nobody had forced close too.
    const snapshot = forced === null ? JSON.stringify(closedAt(Math.max(now, changedAtOf(row) + 1), now)) : (row?.snapshot ?? null)
    await tx.query(
      'INSERT INTO breakers (name, snapshot, forced, updated_at) VALUES (:name, :snapshot, :forced, :now) ON CONFLICT (name) DO UPDATE SET snapshot = :snapshot, forced = :forced, updated_at = :now',
      { name, snapshot, forced, now },
    )
    await audit(tx, now, who, `breaker ${forced === null ? 'closed' : forced === 'open' ? 'forced open' : forced.replace('_', ' ')}`, name, why)
  })
}

const changedAtOf = (row: BreakerRow | undefined) => ((parseJson(row?.snapshot ?? '') ?? {}) as Partial<BreakerSnapshot>).changedAt ?? 0

const closedAt = (changedAt: number, at: number): BreakerSnapshot => ({ state: 'closed', changedAt, untilAt: 0, openings: 0, at, window: { calls: '' } })

async function audit(tx: Tx, at: number, who: string, what: string, subject: string, why: string): Promise<void> {
  await tx.query('INSERT INTO audits (at, who, what, subject, why) VALUES (:at, :who, :what, :subject, :why)', { at, who, what, subject, why })
}
