/**
 * What is owed to others, written with the fact that owes it and done at least once, with the same id each time:
 *
 *   notification  a word to the customer          until it is taken
 *   capture       the money that is held moves    until the bank says so, or says that it holds nothing any more: then a void
 *   void          a charge or a hold is undone    until the bank confirms it
 *
 * None of them changes how a payment is answered: a customer who could not be told has paid all the same.
 */
import type { Clock } from '../../clock.ts'
import type { Log } from '../../events.ts'
import type { HttpResponse, Outcome } from '../../network.ts'
import { parseJson } from '../../network.ts'
import type { Random } from '../../random.ts'
import { backoff } from '../policies/backoff.ts'
import type { Store, Tx } from '../store/store.ts'
import { captureRequest, decisive, lookupRequest, meaningOfRecord, meaningOfRefusal, post, recordsFound, voidRequest } from './bank.ts'
import type { Hops } from './hops.ts'
import type { Payment } from './http.ts'
import { finalAnswer } from './http.ts'
import { Fenced, keepEvidence, move } from './records.ts'
import type { PaymentSettings } from './settings.ts'

/** A row of `outbox`. */
export interface Duty {
  id: string
  payment: string
  kind: 'notification' | 'capture' | 'void'
  /** Whom it is owed to. */
  service: string
  /** JSON. */
  body: string
  attempts: number
}

export interface OutboxSetup {
  clock: Clock
  random: Random
  store: Store
  log: Log
  settings: PaymentSettings
  hops: Hops
  /** What the books say once a capture is done; inside the transaction that ends the duty. Answers the word that is owed for it. */
  captured(tx: Tx, payment: Payment, duty: Duty, charge: string): Promise<Duty>
}

/** What came of one try. */
type Tried = { done: true; charge?: string } | { done: false; why: string; instead?: 'void' }

export class Outbox {
  readonly #setup: OutboxSetup
  /** Duties under way, by id. */
  readonly #running = new Map<string, Promise<void>>()
  stopping: AbortSignal = new AbortController().signal

  constructor(setup: OutboxSetup) {
    this.#setup = setup
  }

  /** Writes a duty down (`type`: what a word to the customer is about), in the transaction of the fact; give it to `send` once that has committed. */
  async owe(tx: Tx, payment: Payment, kind: Duty['kind'], now: number, type = 'payment.succeeded'): Promise<Duty> {
    const id = this.#setup.random.id(kind === 'notification' ? 'evt' : kind === 'capture' ? 'cap' : 'void')
    const body = JSON.stringify({ id, type, payment: payment.id, order: payment.order_ref, amount: payment.amount, currency: payment.currency, ...(payment.email === null ? {} : { email: payment.email }) })
    const duty: Duty = { id, payment: payment.id, kind, service: kind === 'notification' ? 'notification' : payment.acquirer, body, attempts: 0 }
    await tx.query(
      `INSERT INTO outbox (id, payment, kind, service, body, state, attempts, due_at, lease_until)
       VALUES (:id, :payment, :kind, :service, :body, 'ready', 0, :now, :lease)`,
      { id, payment: duty.payment, kind, service: duty.service, body, now, lease: now + this.#setup.settings.leaseMs },
    )
    return duty
  }

  due(tx: Tx, now: number, limit: number): Promise<Duty[]> {
    return tx.query<Duty>("SELECT id, payment, kind, service, body, attempts FROM outbox WHERE state = 'ready' AND due_at <= :now AND lease_until <= :now ORDER BY due_at LIMIT :limit", { now, limit })
  }

  /** Tries one duty in the background, unless enough are under way: then the sweep finds it. */
  send(duty: Duty): void {
    if (this.#running.size >= this.#setup.settings.notifyParallel || this.#running.has(duty.id) || this.stopping.aborted) return
    const work = this.#try(duty)
      .catch((error: unknown) => this.#setup.log.emit('payment.alarmed', { payment: duty.payment, why: `its ${duty.kind}: ${String(error)}` }))
      .finally(() => this.#running.delete(duty.id))
    this.#running.set(duty.id, work)
  }

  async rest(): Promise<void> {
    await Promise.allSettled(this.#running.values())
  }

  async #try(duty: Duty): Promise<void> {
    const { store, clock, random, log, settings } = this.#setup
    const attempt = duty.attempts + 1
    const tried = duty.kind === 'notification' ? await this.#notify(duty, attempt) : duty.kind === 'void' ? await this.#void(duty, attempt) : await this.#capture(duty, attempt)
    const now = clock.now()
    const due = tried.done ? now : Math.ceil(now + backoff(attempt, settings.notifyBackoff, random))
    const next = await store.transaction(duty.kind === 'notification' ? 'notified' : 'performed', async (tx) => {
      const [row] = await tx.query<Duty>("UPDATE outbox SET state = :state, attempts = :attempt, due_at = :due, lease_until = :due WHERE id = :id AND state = 'ready' RETURNING id", { id: duty.id, state: tried.done || tried.instead ? 'sent' : 'ready', attempt, due })
      if (!row || duty.kind === 'notification') return undefined
      const [payment] = await tx.query<Payment>('SELECT * FROM payments WHERE id = :id', { id: duty.payment })
      if (!payment) return undefined
      if (!tried.done) return tried.instead ? this.owe(tx, payment, 'void', now) : undefined
      await keepEvidence(tx, payment.id, payment.epoch, duty.kind === 'void' ? 'the bank confirmed the void' : `the bank captured ${tried.charge}`, now)
      if (payment.state !== 'authorised') return undefined
      if (tried.charge !== undefined) return this.#setup.captured(tx, payment, duty, tried.charge)
      const reason = 'the bank held the money no longer'
      const answer = finalAnswer({ ...payment, reason, state: 'voided' })
      await move(tx, payment, 'voided', { reason, answer_status: answer.status, answer_body: answer.body, finished_at: now }, now)
      return undefined
    }).catch((error: unknown) => {
      if (error instanceof Fenced) return undefined // another node did the same
      throw error
    })
    if (!tried.done && tried.instead) log.emit('payment.alarmed', { payment: duty.payment, why: `its capture: ${tried.why}; the hold is given back` })
    if (next) this.send(next)
  }

  async #notify(duty: Duty, attempt: number): Promise<Tried> {
    const { hops, settings } = this.#setup
    const request = post('/v1/notifications', duty.id, settings.notifyTimeoutMs, parseJson(duty.body))
    const outcome = await hops.call({ payment: duty.payment, hop: 'notify', service: duty.service, attempt, scope: '', priority: 'recovery' }, request, settings.notifyTimeoutMs)
    return accepted(outcome) ? { done: true } : { done: false, why: 'not taken' }
  }

  async #void(duty: Duty, attempt: number): Promise<Tried> {
    const { hops, settings } = this.#setup
    const request = voidRequest({ id: duty.payment }, duty.id, settings.lookupTimeoutMs)
    const outcome = await hops.call({ payment: duty.payment, hop: 'void', service: duty.service, attempt, scope: '', priority: 'recovery' }, request, settings.lookupTimeoutMs)
    return accepted(outcome) ? { done: true } : { done: false, why: 'the void is not confirmed' }
  }

  /** By the same key each time; from the second try on the bank is asked first what it did. */
  async #capture(duty: Duty, attempt: number): Promise<Tried> {
    const { hops, settings, store } = this.#setup
    const [payment] = await store.transaction('load', (tx) => tx.query<Payment>('SELECT * FROM payments WHERE id = :id', { id: duty.payment }))
    if (!payment || payment.charge === null || payment.state !== 'authorised') return { done: true }
    const about = { payment: payment.id, service: duty.service, attempt, scope: payment.scope, priority: 'recovery' } as const
    if (attempt > 1) {
      const record = decisive(recordsFound(await hops.call({ ...about, hop: 'lookup' }, lookupRequest(payment.id, settings.lookupTimeoutMs), settings.lookupTimeoutMs, payment.bank_key)))
      const meaning = record === undefined ? undefined : meaningOfRecord(payment, record, settings.providerCodes)
      if (meaning?.kind === 'succeeded') return { done: true, charge: meaning.charge }
      if (meaning?.kind === 'voided' || meaning?.kind === 'declined') return { done: false, why: `the bank says ${meaning.kind}`, instead: 'void' }
      if (meaning?.kind !== 'authorised') return { done: false, why: 'the look-up told nothing' }
    }
    const outcome = await hops.call({ ...about, hop: 'capture' }, captureRequest(payment.charge, payment.amount, payment.bank_key, settings.deadlineMs), settings.deadlineMs, payment.bank_key)
    const refused = meaningOfRefusal(outcome)
    if (refused?.kind === 'declined' || (refused?.kind === 'not_applied' && refused.ours)) return { done: false, why: refused.kind === 'declined' ? refused.reason : refused.why, instead: 'void' }
    const meaning = refused ?? meaningOfRecord(payment, parseJson((outcome as { value: HttpResponse }).value.body), settings.providerCodes)
    return meaning.kind === 'succeeded' ? { done: true, charge: meaning.charge } : { done: false, why: 'the capture is in doubt' }
  }
}

function accepted(outcome: Outcome<HttpResponse>): boolean {
  return outcome.kind === 'ok' && outcome.value.status >= 200 && outcome.value.status < 300
}
