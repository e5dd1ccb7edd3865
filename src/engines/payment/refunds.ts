/**
 * Money that goes back, by the same protocol as money that comes: the request and its bank key are durable before the bank is asked, an unknown outcome is
 * looked up, waited out, and asked again under the same key. What is promised back never exceeds what was charged, however many ask at once.
 *
 *   sent ──▶ succeeded | refused | review
 *    └──▶ unknown ──look-up / resend──▶ succeeded | refused | review
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import { within } from '../../clock.ts'
import type { Log } from '../../events.ts'
import type { HttpRequest, HttpResponse, Outcome } from '../../network.ts'
import { parseJson, problem } from '../../network.ts'
import type { Random } from '../../random.ts'
import { backoff } from '../policies/backoff.ts'
import { Deadline, readTimeoutMs } from '../policies/deadline.ts'
import type { Row, SqlValue, Store, Tx } from '../store/store.ts'
import { isStoreTrouble } from '../store/store.ts'
import { meaningOfRefusal, recordsFound, refundLookupRequest, refundRequest } from './bank.ts'
import type { Hops } from './hops.ts'
import type { Payment } from './http.ts'
import { keyReused, readKey, readRefund, refundAnswer, scopeOf, unavailable } from './http.ts'
import { append } from './ledger.ts'
import type { Outbox } from './outbox.ts'
import { Fenced, keepEvidence } from './records.ts'
import type { PaymentSettings } from './settings.ts'

export type RefundState = 'sent' | 'unknown' | 'succeeded' | 'refused' | 'review'

/** A row of `refunds`. */
export interface Refund extends Row {
  id: string
  payment: string
  scope: string
  key: string
  fingerprint: string
  /** Minor units. */
  amount: number
  state: RefundState
  epoch: number
  owner_node: string
  owner_life: number
  bank_key: string
  attempts: number
  doubts: number
  first_sent_at: number
  sent_at: number
  refund: string | null
  reason: string | null
  answer_status: number | null
  answer_body: string | null
  finished_at: number | null
  created_at: number
  updated_at: number
}

export interface RefundsSetup {
  clock: Clock
  random: Random
  store: Store
  log: Log
  settings: PaymentSettings
  hops: Hops
  outbox: Outbox
  node: string
  life: number
}

/** What the bank's answer, or a look-up, says of a refund. */
type Meaning = { kind: 'succeeded'; refund: string } | { kind: 'refused' | 'unknown' | 'review'; why: string }

type Claim = { kind: 'new' | 'same' | 'reused'; refund: Refund; payment: Payment } | { kind: 'no-payment' } | { kind: 'too-much'; left: number } | { kind: 'not-charged'; payment: Payment }

export class Refunds {
  readonly #setup: RefundsSetup
  readonly #running = new Map<string, Promise<Refund>>()
  /** Refunds of this life that an error of the store left where they were. */
  readonly #dropped = new Set<string>()
  stopping: AbortSignal = new AbortController().signal

  constructor(setup: RefundsSetup) {
    this.#setup = setup
  }

  /** POST /v1/payments/{id}/refunds */
  async ask(request: HttpRequest, pathname: string, id: string): Promise<HttpResponse> {
    const { clock, settings } = this.#setup
    const deadline = new Deadline(clock, readTimeoutMs(request.headers, { maxMs: settings.deadlineMs }) ?? settings.deadlineMs)
    const key = readKey(request)
    if (typeof key !== 'string') return key
    const asked = readRefund(request)
    if ('status' in asked) return asked
    const scope = scopeOf(request)
    let claim: Claim
    try {
      claim = await this.#claim(scope, key, createHash('sha256').update(JSON.stringify([pathname, asked.amount ?? null])).digest('hex'), id, asked.amount)
    } catch (error) {
      if (!isStoreTrouble(error)) throw error
      return unavailable('The refund could not be recorded; the bank was not asked.', error.code === 'COMMIT_UNKNOWN' ? 'unknown' : 'none')
    }
    switch (claim.kind) {
      case 'no-payment':
        return problem(404, 'no-such-payment', 'There is no such payment')
      case 'not-charged':
        return problem(409, 'not-charged', 'The payment has no charge that could be given back', { payment_id: id, state: claim.payment.state })
      case 'too-much':
        return problem(422, 'refund-too-large', 'More than was charged cannot be given back', { payment_id: id, left: claim.left })
      case 'reused':
        return keyReused()
      case 'same': {
        const rested = this.#running.get(claim.refund.id)
        return refundAnswer(rested ? await this.#untilRest(claim.refund, rested, deadline) : claim.refund, claim.payment, true)
      }
      case 'new':
        return refundAnswer(await this.#untilRest(claim.refund, this.#drive(claim.refund, claim.payment), deadline), claim.payment, false)
    }
  }

  /** GET /v1/refunds/{id} */
  async status(request: HttpRequest, id: string): Promise<HttpResponse> {
    const found = await this.#setup.store.transaction('load', async (tx) => {
      const [refund] = await tx.query<Refund>('SELECT * FROM refunds WHERE id = :id AND scope = :scope', { id, scope: scopeOf(request) })
      const [payment] = refund ? await tx.query<Payment>('SELECT * FROM payments WHERE id = :id', { id: refund.payment }) : []
      return refund && payment ? { refund, payment } : undefined
    })
    return found ? refundAnswer(found.refund, found.payment, false) : problem(404, 'no-such-refund', 'There is no such refund')
  }

  /** What a dead life or another node left. */
  async takeOver(refund: Refund): Promise<void> {
    if (this.#running.has(refund.id)) return
    const { store, clock, node, life } = this.#setup
    const taken = await store.transaction('takeover', async (tx) => {
      const [mine] = await tx.query<Refund>(
        'UPDATE refunds SET epoch = epoch + 1, owner_node = :node, owner_life = :life, updated_at = :now WHERE id = :id AND epoch = :epoch AND state = :state RETURNING *',
        { id: refund.id, epoch: refund.epoch, state: refund.state, node, life, now: clock.now() },
      )
      const [payment] = mine ? await tx.query<Payment>('SELECT * FROM payments WHERE id = :id', { id: mine.payment }) : []
      return mine && payment ? { mine, payment } : undefined
    })
    if (taken) void this.#drive(taken.mine, taken.payment, true)
  }

  /** Those, once each: whoever asks takes them up again. */
  dropped(): string[] {
    const ids = [...this.#dropped]
    this.#dropped.clear()
    return ids
  }

  async rest(): Promise<void> {
    await Promise.allSettled(this.#running.values())
  }

  async #untilRest(refund: Refund, rest: Promise<Refund>, deadline: Deadline): Promise<Refund> {
    const rested = await within(this.#setup.clock, Math.max(0, deadline.leftMs - this.#setup.settings.reserveMs), rest.catch(() => undefined))
    return rested ?? { ...refund, state: 'unknown' }
  }

  /** C1 and C2 in one: a refund asks nobody before the bank. The sum of what was given and what may yet be given bounds it. */
  #claim(scope: string, key: string, fingerprint: string, id: string, amount: number | undefined): Promise<Claim> {
    const { store, clock, random, node, life } = this.#setup
    const now = clock.now()
    return store.transaction('refund', async (tx): Promise<Claim> => {
      const [payment] = await tx.query<Payment>('SELECT * FROM payments WHERE id = :id AND scope = :scope', { id, scope })
      if (!payment) return { kind: 'no-payment' }
      const [known] = await tx.query<Refund>('SELECT * FROM refunds WHERE scope = :scope AND key = :key', { scope, key })
      if (known) return { kind: known.fingerprint === fingerprint ? 'same' : 'reused', refund: known, payment }
      if (payment.state !== 'succeeded') return { kind: 'not-charged', payment }
      const [{ promised }] = (await tx.query<{ promised: number }>("SELECT coalesce(SUM(amount), 0) AS promised FROM refunds WHERE payment = :id AND state <> 'refused'", { id })) as [{ promised: number }]
      const left = payment.amount - promised
      const wanted = amount ?? left
      if (wanted > left || wanted < 1) return { kind: 'too-much', left }
      const [refund] = await tx.query<Refund>(
        `INSERT INTO refunds (id, payment, scope, key, fingerprint, amount, state, epoch, owner_node, owner_life, bank_key, attempts, doubts, first_sent_at, sent_at, created_at, updated_at)
         VALUES (:refund, :payment, :scope, :key, :fingerprint, :amount, 'sent', 1, :node, :life, :bankKey, 1, 0, :now, :now, :now, :now)
         RETURNING *`,
        { refund: random.id('ref'), payment: id, scope, key, fingerprint, amount: wanted, node, life, bankKey: random.id('bk'), now },
      )
      return { kind: 'new', refund: refund!, payment }
    })
  }

  #drive(refund: Refund, payment: Payment, inDoubt = false): Promise<Refund> {
    const { log } = this.#setup
    const work = this.#steps(refund, payment, inDoubt)
      .catch(async (error: unknown) => {
        if (!(error instanceof Fenced) && !isStoreTrouble(error)) throw error
        if (isStoreTrouble(error)) this.#dropped.add(refund.id)
        log.emit('payment.alarmed', { payment: payment.id, why: `its refund: ${error instanceof Fenced ? 'another node has it' : error.message}` })
        return refund
      })
      .finally(() => this.#running.delete(refund.id))
    this.#running.set(refund.id, work)
    work.catch((error: unknown) => log.emit('payment.alarmed', { payment: payment.id, why: String(error) }))
    return work
  }

  async #steps(refund: Refund, payment: Payment, inDoubt: boolean): Promise<Refund> {
    this.#setup.log.emit('refund.claimed', { payment: payment.id, refund: refund.id, amount: refund.amount, epoch: refund.epoch })
    let current = inDoubt ? refund : await this.#ask(refund, payment)
    for (let attempt = 1; (current.state === 'sent' || current.state === 'unknown') && !this.stopping.aborted; attempt++) current = await this.#resolve(current, payment, attempt)
    return current
  }

  /** The bank is asked, under the refund's own key; it waits for a place when there is none, for nobody's money hangs on its speed. */
  async #ask(refund: Refund, payment: Payment): Promise<Refund> {
    const { hops, settings, clock } = this.#setup
    for (let attempt = 1; !this.stopping.aborted; attempt++) {
      const pass = await hops.enter({ payment: payment.id, hop: 'refund', service: payment.acquirer, attempt: refund.attempts, scope: refund.scope, priority: 'recovery' }, settings.deadlineMs)
      if ('refused' in pass) {
        await clock.sleep(Math.max(pass.retryMs, backoff(attempt, settings.lookupBackoff, this.#setup.random)), this.stopping)
        continue
      }
      try {
        return await this.#conclude(refund, payment, meaningOf(refund, payment, await pass.call(refundRequest(payment.charge!, refund.amount, refund.bank_key, settings.deadlineMs), settings.deadlineMs, refund.bank_key)))
      } finally {
        pass.leave()
      }
    }
    return refund
  }

  async #resolve(refund: Refund, payment: Payment, attempt: number): Promise<Refund> {
    const { hops, settings, clock, random } = this.#setup
    const { lookupTimeoutMs, settleMs, resendHorizonMs, lookupBackoff, bankLookup } = settings
    if (!bankLookup) return this.#conclude(refund, payment, { kind: 'review', why: 'this bank cannot be asked what became of it' })
    const outcome = await hops.call({ payment: payment.id, hop: 'lookup', service: payment.acquirer, attempt, scope: refund.scope, priority: 'recovery' }, refundLookupRequest(refund.bank_key, lookupTimeoutMs), lookupTimeoutMs, refund.bank_key)
    const found = recordsFound(outcome, 'refunds')
    if (found && found.length > 0) return this.#conclude(refund, payment, meaningOfRecord(refund, payment, found[0]))
    const now = clock.now()
    if (found && now >= refund.sent_at + settleMs) {
      if (now >= refund.first_sent_at + resendHorizonMs) return this.#conclude(refund, payment, { kind: 'review', why: 'not found, and too old to be asked again under the same key' })
      return this.#ask(await this.#update('refund-intent', refund, { state: 'sent', attempts: refund.attempts + 1, sent_at: now }), payment)
    }
    const wait = backoff(attempt, lookupBackoff, random)
    await clock.sleep(found ? Math.max(1, Math.min(wait, refund.sent_at + settleMs - now)) : wait, this.stopping)
    return refund
  }

  async #conclude(refund: Refund, payment: Payment, meaning: Meaning): Promise<Refund> {
    const { clock, log, outbox } = this.#setup
    const now = clock.now()
    if (meaning.kind === 'unknown' || (meaning.kind === 'refused' && refund.doubts > 0)) return this.#update('refund-doubt', refund, { state: 'unknown', reason: meaning.why, doubts: refund.doubts + 1 })
    if (meaning.kind === 'review') log.emit('payment.alarmed', { payment: payment.id, why: `its refund ${refund.id}: ${meaning.why}` })
    const ended: Refund = { ...refund, state: meaning.kind, refund: meaning.kind === 'succeeded' ? meaning.refund : null, reason: 'why' in meaning ? meaning.why : null }
    const answer = refundAnswer(ended, payment, false)
    return this.#update('refund-outcome', refund, { state: ended.state, refund: ended.refund, reason: ended.reason, finished_at: now, answer_status: answer.status, answer_body: answer.body }, async (tx) => {
      if (meaning.kind !== 'succeeded') return
      await append(tx, [
        { payment: payment.id, account: 'merchant', amount: -refund.amount, currency: payment.currency },
        { payment: payment.id, account: `customer:${payment.order_ref}`, amount: refund.amount, currency: payment.currency },
      ], now)
      await outbox.owe(tx, payment, 'notification', now, 'payment.refunded')
    })
  }

  /** Guarded by the state and the epoch that the caller believes in; what came too late is kept as evidence. */
  async #update(name: string, refund: Refund, fields: Record<string, SqlValue>, more: (tx: Tx) => Promise<void> = () => Promise.resolve()): Promise<Refund> {
    const { store, clock, log } = this.#setup
    const now = clock.now()
    const set = Object.keys(fields).map((column) => `${column} = :${column}`).join(', ')
    const moved = await store.transaction(name, async (tx) => {
      const [row] = await tx.query<Refund>(`UPDATE refunds SET ${set}, updated_at = :now WHERE id = :id AND epoch = :wasEpoch AND state = :wasState RETURNING *`, { ...fields, id: refund.id, wasEpoch: refund.epoch, wasState: refund.state, now })
      if (row) await more(tx)
      else await keepEvidence(tx, refund.payment, refund.epoch, `refund ${refund.id}: ${String(fields['state'])}`, now)
      return row
    })
    if (!moved) throw new Fenced()
    log.emit('refund.moved', { payment: refund.payment, refund: refund.id, from: refund.state, to: moved.state, amount: refund.amount, why: String(fields['reason'] ?? fields['refund'] ?? '') })
    return moved
  }
}

/** The bank's table for refunds: what cannot be read, or says another amount, is no success. */
function meaningOf(refund: Refund, payment: Payment, outcome: Outcome<HttpResponse>): Meaning {
  const refused = meaningOfRefusal(outcome)
  if (!refused) return meaningOfRecord(refund, payment, parseJson((outcome as { value: HttpResponse }).value.body))
  if (refused.kind === 'declined') return { kind: 'refused', why: refused.reason }
  const code = outcome.kind === 'ok' ? (parseJson(outcome.value.body) as { code?: unknown } | null | undefined)?.code : undefined
  if (code === 'not_refundable') return { kind: 'refused', why: code }
  if (refused.kind === 'unknown') return { kind: 'unknown', why: refused.why }
  // Never sent, or told to come again: it is asked again like a doubt, and costs one look-up. Only a refusal in words ends it.
  return refused.ours ? { kind: 'refused', why: refused.why } : { kind: 'unknown', why: refused.why }
}

function meaningOfRecord(refund: Refund, payment: Payment, record: unknown): Meaning {
  const { id, status, amount, charge } = (record ?? {}) as Record<string, unknown>
  if (status !== 'succeeded' || typeof id !== 'string') return { kind: 'unknown', why: 'the answer is not a refund' }
  if (amount !== refund.amount || charge !== payment.charge) return { kind: 'review', why: `asked for ${refund.amount} of ${payment.charge}, the bank says ${String(amount)} of ${String(charge)}` }
  return { kind: 'succeeded', refund: id }
}
