/**
 * The payment engine: fraud, bank, notify; never a double charge, never a lost one.
 *
 *   C1 claim     the key and the order are ours, durable             ── then fraud is asked
 *   C2 intent    the charge request and the bank key are durable     ── then the bank is asked
 *   C3 outcome   state, ledger, outbox and stored answer, together   ── then the client is answered
 *
 * Every remote call stands between two transactions. Each write carries the old state and the epoch it believes in; no row back means that
 * somebody else moved first: this life of the payment is over, and the store says what is true (a zombie's late answer is kept as evidence).
 *
 * An unknown outcome is resolved by look-up; not found counts only after the settle time; then the same bank key is sent again while the bank
 * still knows it; after that the door is closed by a void. Time alone decides nothing.
 */
import type { Clock } from '../../clock.ts'
import { within } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Log } from '../../events.ts'
import type { HttpRequest, HttpResponse, Network, Outcome } from '../../network.ts'
import { json, parseJson, problem } from '../../network.ts'
import type { Random } from '../../random.ts'
import type { Engine, Outside } from '../engine.ts'
import type { Backoff } from '../policies/backoff.ts'
import { backoff } from '../policies/backoff.ts'
import { Deadline } from '../policies/deadline.ts'
import type { SqlParams, SqlValue, Store, Tx } from '../store/store.ts'
import { isStoreTrouble, outsideTransactions } from '../store/store.ts'
import type { Meaning } from './bank.ts'
import { chargeRequest, chargesFound, lookupRequest, meaningOfCharge, meaningOfRecord, post, voidRequest } from './bank.ts'
import type { Asked, Payment } from './http.ts'
import { answerOf, finalAnswer, fingerprintOf, keyInUse, keyReused, orderTaken, readKey, readPayment, resultExpired, scopeOf, statusOf, unavailable } from './http.ts'
import { append } from './ledger.ts'
import type { State } from './machine.ts'
import { FINAL, MOVES, UNFINISHED } from './machine.ts'
import { migrations } from './migrations.ts'

const HOUR_MS = 3_600_000

export interface PaymentSettings {
  /** The client is answered within this, ms. */
  deadlineMs: number
  /** Kept back from the deadline for the answer's way to the client, on a busy machine too. */
  reserveMs: number
  /** Kept back from the hops as well, to write down what they said. */
  commitMs: number
  /** Most that fraud may take; its p99 is 200 ms. */
  fraudTimeoutMs: number
  /** When fraud does not answer: payments below this (minor units) go on and are reviewed afterwards, others are not attempted. */
  fraudOpenBelow: number
  /** The bank is not asked when less is left: about its p95, so that we do not manufacture unknown outcomes. */
  minStartMs: number
  /** After a charge request, how long "not found" proves nothing: the bank's longest processing and its look-up's lag. */
  settleMs: number
  /** How long the bank remembers a key; asking again later would charge again. */
  bankKeyLifetimeMs: number
  /** How long after the first charge request the same key may be sent again; well below the key's lifetime. */
  resendHorizonMs: number
  lookupTimeoutMs: number
  /** Between look-ups. */
  lookupBackoff: Backoff
  /** An unknown outcome older than this calls an operator. */
  alarmAfterMs: number
  /** How long a node is left alone with a payment that it does not move. */
  leaseMs: number
  /** How long the answer is replayed to its key. The key itself is kept for ever. */
  answerLifetimeMs: number
  notifyTimeoutMs: number
  notifyBackoff: Backoff
  /** Notifications under way at once. */
  notifyParallel: number
  /** How often the store is searched for abandoned payments and due notifications. */
  sweepMs: number
  /** Payments under way at once; more are shed with 503. */
  mostRunning: number
}

export const DEFAULTS: PaymentSettings = {
  deadlineMs: 5000,
  reserveMs: 500,
  commitMs: 100,
  fraudTimeoutMs: 500,
  fraudOpenBelow: 50_000,
  minStartMs: 1000,
  settleMs: 12_000,
  bankKeyLifetimeMs: 24 * HOUR_MS,
  resendHorizonMs: 12 * HOUR_MS,
  lookupTimeoutMs: 2500,
  lookupBackoff: { baseMs: 200, capMs: 30_000 },
  alarmAfterMs: 60_000,
  leaseMs: 15_000,
  answerLifetimeMs: 24 * HOUR_MS,
  notifyTimeoutMs: 1000,
  notifyBackoff: { baseMs: 1000, capMs: HOUR_MS },
  notifyParallel: 64,
  sweepMs: 1000,
  mostRunning: 2000,
}

/** Rows that one sweep takes up at most; the next sweep takes the rest. */
const SWEEP_ROWS = 200

/** Thrown when an UPDATE guarded by state and epoch found no row: somebody else moved this payment. */
class Fenced extends Error {
  override name = 'Fenced'
}

type Claim = { kind: 'new'; payment: Payment } | { kind: 'same' | 'reused' | 'taken'; payment: Payment }

interface OutboxRow {
  id: string
  payment: string
  body: string
  attempts: number
}

export class PaymentEngine implements Engine {
  protected readonly clock: Clock
  protected readonly random: Random
  protected readonly network: Network
  protected readonly store: Store
  protected readonly log: Log
  protected readonly settings: PaymentSettings
  readonly #node: string
  readonly #life: number
  /** Payments that this life of the node is driving, until they come to rest. */
  readonly #running = new Map<string, Promise<Payment>>()
  /** Notifications under way. */
  readonly #notifying = new Set<Promise<void>>()
  #stopping = new AbortController().signal

  constructor(outside: Outside, settings: Partial<PaymentSettings> = {}) {
    this.clock = outside.clock
    this.random = outside.random.fork(`payment/${outside.node}/${outside.incarnation}`)
    this.network = outsideTransactions(outside.network, outside.store)
    this.store = outside.store
    this.log = outside.log
    this.settings = { ...DEFAULTS, ...settings }
    this.#node = outside.node
    this.#life = outside.incarnation
  }

  handle = async (request: HttpRequest): Promise<HttpResponse> => {
    const { pathname, searchParams } = new URL(request.path, 'http://engine')
    const route = `${request.method} ${pathname}`
    if (route === 'POST /v1/payments') return this.#pay(request, pathname)
    if (route === 'GET /v1/payments') return this.#list(request, searchParams)
    if (route === 'GET /healthz') return json(200, { ok: true, running: this.#running.size })
    const id = /^\/v1\/payments\/([A-Za-z0-9_]{1,64})$/.exec(pathname)?.[1]
    if (id !== undefined && request.method === 'GET') return this.#status(request, id)
    if (id !== undefined || pathname === '/v1/payments' || pathname === '/healthz') return problem(405, 'method-not-allowed', 'The method is not allowed here')
    return problem(404, 'not-found', 'There is nothing here', { detail: 'POST /v1/payments, GET /v1/payments/{id}, GET /v1/payments?order=, GET /healthz' })
  }

  /** Recovers and notifies until the signal aborts and what was begun has ended. Throws HORIZON_TOO_LONG for settings that could charge twice. */
  async start(signal: AbortSignal): Promise<void> {
    const { resendHorizonMs, bankKeyLifetimeMs } = this.settings
    if (resendHorizonMs > bankKeyLifetimeMs / 2) {
      throw new ResilError('HORIZON_TOO_LONG', `the resend horizon (${resendHorizonMs} ms) is more than half of the bank's key lifetime (${bankKeyLifetimeMs} ms)`, 'a resend after the bank forgot the key charges again: shorten the horizon')
    }
    this.#stopping = signal
    while (!signal.aborted) {
      await this.#sweep()
      await this.clock.sleep(this.settings.sweepMs, signal)
    }
    await Promise.allSettled([...this.#running.values(), ...this.#notifying])
  }

  // ── the client ────────────────────────────────────────────────────────────────────────────────────────────────

  async #pay(request: HttpRequest, pathname: string): Promise<HttpResponse> {
    const deadline = new Deadline(this.clock, this.settings.deadlineMs)
    const key = readKey(request)
    if (typeof key !== 'string') return key
    const asked = readPayment(request)
    if ('status' in asked) return asked
    if (this.#running.size >= this.settings.mostRunning) return unavailable('Too many payments are under way. You have not been charged by this request.', 'unknown')

    let claim: Claim
    try {
      claim = await this.claim(scopeOf(request), key, this.fingerprint(`POST ${pathname}`, asked), asked)
    } catch (error) {
      if (!isStoreTrouble(error)) throw error
      return unavailable('The payment could not be recorded; the bank was not asked.', error.code === 'COMMIT_UNKNOWN' ? 'unknown' : 'none')
    }
    const { payment } = claim
    if (claim.kind === 'reused') return keyReused()
    if (claim.kind === 'taken') return orderTaken(payment)
    if (claim.kind === 'new') {
      this.log.emit('payment.claimed', { payment: payment.id, key, order: payment.order_ref, amount: payment.amount, currency: payment.currency, deadlineMs: deadline.totalMs, epoch: payment.epoch })
      return this.#answer(await this.#untilRest(payment, this.drive(payment, deadline), deadline), deadline, false)
    }
    if (payment.finished_at !== null && this.clock.now() >= payment.finished_at + this.settings.answerLifetimeMs) return resultExpired(payment)
    const running = this.#running.get(payment.id)
    if (running) {
      this.log.emit('payment.joined', { payment: payment.id, key })
      return this.#answer(await this.#untilRest(payment, running, deadline), deadline, true)
    }
    const atWork = UNFINISHED.includes(payment.state) && payment.state !== 'unknown'
    return atWork ? keyInUse(payment) : this.#answer(payment, deadline, true)
  }

  /** The payment at rest, or as it stands when the deadline's reserve begins. */
  async #untilRest(payment: Payment, rest: Promise<Payment>, deadline: Deadline): Promise<Payment> {
    const rested = await within(this.clock, Math.max(0, deadline.leftMs - this.settings.reserveMs), rest.catch(() => undefined))
    return rested ?? { ...payment, state: 'unknown' }
  }

  #answer(payment: Payment, deadline: Deadline, joined: boolean): HttpResponse {
    const response = answerOf(payment, joined && FINAL.includes(payment.state))
    this.log.emit('payment.answered', { payment: payment.id, status: response.status, told: payment.state, spentMs: Math.round(deadline.spentMs), deadlineMs: deadline.totalMs })
    return response
  }

  async #status(request: HttpRequest, id: string): Promise<HttpResponse> {
    const payment = await this.#load(id)
    return payment && payment.scope === scopeOf(request) ? statusOf(payment) : problem(404, 'no-such-payment', 'There is no such payment')
  }

  async #list(request: HttpRequest, query: URLSearchParams): Promise<HttpResponse> {
    const order = query.get('order')
    if (order === null) return problem(400, 'order-missing', 'Say which order', { detail: 'GET /v1/payments?order=ID' })
    const payments = await this.store.transaction('list', (tx) => tx.query<Payment>('SELECT * FROM payments WHERE scope = :scope AND order_ref = :order ORDER BY created_at, id LIMIT 100', { scope: scopeOf(request), order }))
    return json(200, { payments: payments.map((payment) => parseJson(statusOf(payment).body)) })
  }

  // ── C1 ────────────────────────────────────────────────────────────────────────────────────────────────────────

  protected fingerprint(route: string, asked: Asked): string {
    return fingerprintOf(route, asked)
  }

  /** Makes the key and the order ours in one statement, or says whose they are. A released payment is taken up again by its own key. */
  protected claim(scope: string, key: string, fingerprint: string, asked: Asked): Promise<Claim> {
    const id = this.random.id('pay')
    const now = this.clock.now()
    return this.store.transaction('claim', async (tx): Promise<Claim> => {
      const [made] = await tx.query<Payment>(
        `INSERT INTO payments (id, scope, key, fingerprint, order_ref, amount, currency, card, description, state, epoch, owner_node, owner_life, lease_until, bank_key, attempts, created_at, updated_at)
         VALUES (:id, :scope, :key, :fingerprint, :order, :amount, :currency, :card, :description, 'claimed', 1, :node, :life, :lease, :bankKey, 0, :now, :now)
         ON CONFLICT DO NOTHING
         RETURNING *`,
        { id, scope, key, fingerprint, order: asked.order, amount: asked.amount, currency: asked.currency, card: asked.card, description: asked.description ?? '', bankKey: this.random.id('bk'), now, ...this.#mine(now) },
      )
      if (made) return { kind: 'new', payment: made }

      const [known] = await tx.query<Payment>('SELECT * FROM payments WHERE scope = :scope AND key = :key', { scope, key })
      if (known && known.fingerprint !== fingerprint) return { kind: 'reused', payment: known }
      if (known && known.state !== 'released') return { kind: 'same', payment: known }

      const [live] = await tx.query<Payment>("SELECT * FROM payments WHERE scope = :scope AND order_ref = :order AND state NOT IN ('declined', 'released', 'voided')", { scope, order: asked.order })
      if (live) return { kind: 'taken', payment: live }
      if (!known) throw new Error('a payment could be neither made nor found')
      return { kind: 'new', payment: await this.#move(tx, known, 'claimed', { ...this.#mine(now), epoch: known.epoch + 1, card: asked.card, reason: null }) }
    })
  }

  // ── driving one payment to rest ───────────────────────────────────────────────────────────────────────────────

  /** Steps the payment until it rests, once per payment and life. The promise answers what the store says at the end. */
  protected drive(payment: Payment, deadline: Deadline): Promise<Payment> {
    const work = this.#steps(payment, deadline)
      .catch(async (error: unknown) => {
        if (!(error instanceof Fenced) && !isStoreTrouble(error)) throw error
        if (isStoreTrouble(error)) this.log.emit('payment.alarmed', { payment: payment.id, why: `${error.code}: ${error.message}` })
        return (await this.#load(payment.id)) ?? payment
      })
      .finally(() => this.#running.delete(payment.id))
    this.#running.set(payment.id, work)
    work.catch((error: unknown) => this.log.emit('payment.alarmed', { payment: payment.id, why: String(error) }))
    return work
  }

  async #steps(payment: Payment, deadline: Deadline): Promise<Payment> {
    let current = payment
    if (current.state === 'claimed') current = await this.#charge(current, deadline)
    for (let attempt = 1; (current.state === 'sent' || current.state === 'unknown') && !this.#stopping.aborted; attempt++) {
      current = await this.resolve(current, attempt)
    }
    return current
  }

  async #charge(payment: Payment, deadline: Deadline): Promise<Payment> {
    const { reserveMs, commitMs, minStartMs, fraudTimeoutMs, fraudOpenBelow } = this.settings
    const left = () => deadline.leftMs - reserveMs - commitMs

    const body = { amount: payment.amount, currency: payment.currency, reference: payment.id, card: payment.card }
    const timeoutMs = Math.max(1, Math.min(fraudTimeoutMs, left()))
    const assessed = await this.#hop(payment, 'fraud', 1, post('/v1/assessments', payment.id, timeoutMs, body), timeoutMs)
    const decision = assessed.kind === 'ok' && assessed.value.status === 200 ? (parseJson(assessed.value.body) as { decision?: unknown } | null | undefined)?.decision : undefined
    if (decision === 'deny') return this.finish(payment, { kind: 'declined', reason: 'fraud' })
    if (decision !== 'allow' && payment.amount >= fraudOpenBelow) return this.#release(payment, 'fraud did not answer')
    if (left() < minStartMs) return this.#release(payment, `not attempted: ${Math.round(Math.max(0, left()))} ms left, the bank needs ${minStartMs} ms`)

    return this.#ask(payment, left)
  }

  /** C2, the bank, C3. `left` says how long the bank may take. */
  async #ask(payment: Payment, left: () => number): Promise<Payment> {
    const bankMs = Math.max(1, left())
    const sent = await this.intend(payment, bankMs)
    const timeoutMs = Math.max(1, left())
    const outcome = await this.#hop(sent, 'bank', sent.attempts, chargeRequest(sent, sent.bank_key, timeoutMs), timeoutMs, sent.bank_key)
    return this.conclude(sent, this.meaning(sent, outcome))
  }

  /** C2: from here on somebody will find out what the bank did, whatever becomes of us. */
  protected intend(payment: Payment, timeoutMs: number): Promise<Payment> {
    const now = this.clock.now()
    return this.store.transaction('intent', async (tx) => {
      const sent = await this.#move(tx, payment, 'sent', { attempts: payment.attempts + 1, first_sent_at: payment.first_sent_at ?? now, sent_at: now, lease_until: now + this.settings.leaseMs })
      await tx.query('INSERT INTO attempts (payment, n, epoch, bank_key, sent_at, timeout_ms) VALUES (:payment, :n, :epoch, :bankKey, :now, :timeoutMs)', {
        payment: sent.id,
        n: sent.attempts,
        epoch: sent.epoch,
        bankKey: sent.bank_key,
        now,
        timeoutMs: Math.floor(timeoutMs),
      })
      return sent
    })
  }

  protected meaning(payment: Payment, outcome: Outcome<HttpResponse>): Meaning {
    return meaningOfCharge(payment, outcome)
  }

  /** What an answer to a charge request does to the payment. */
  protected async conclude(payment: Payment, meaning: Meaning): Promise<Payment> {
    if (meaning.kind === 'succeeded' || meaning.kind === 'declined') return this.finish(payment, meaning)
    if (meaning.kind === 'review') return this.#review(payment, meaning.why)
    if (meaning.kind === 'voided') return this.#doubt(payment, 'the bank says that the payment was voided')
    if (meaning.kind === 'not_applied') {
      if (meaning.ours) this.log.emit('payment.alarmed', { payment: payment.id, why: meaning.why })
      // Of several requests under one key, an earlier one may still be under way: only the first refusal proves that nothing happened.
      if (payment.attempts === 1) return this.#release(payment, meaning.why)
    }
    if (meaning.kind === 'unknown' && meaning.strange) this.log.emit('payment.alarmed', { payment: payment.id, why: meaning.why })
    return this.#doubt(payment, meaning.why)
  }

  /** C3: state, stored answer, ledger and outbox stand or fall together. */
  protected async finish(payment: Payment, meaning: Extract<Meaning, { kind: 'succeeded' | 'declined' | 'voided' }>): Promise<Payment> {
    const now = this.clock.now()
    const charge = meaning.kind === 'succeeded' ? meaning.charge : null
    const reason = meaning.kind === 'declined' ? meaning.reason : meaning.kind === 'voided' ? 'given up and voided' : null
    const answer = finalAnswer({ ...payment, charge, reason, state: meaning.kind })
    const receipt = { id: this.random.id('evt'), payment: payment.id, order: payment.order_ref, amount: payment.amount, currency: payment.currency }
    const done = await this.#write('outcome', payment, charge ?? reason ?? meaning.kind, async (tx) => {
      const moved = await this.#move(tx, payment, meaning.kind, { charge, reason, card: null, answer_status: answer.status, answer_body: answer.body, finished_at: now })
      await this.#endAttempt(tx, payment, meaning.kind, now)
      if (meaning.kind === 'succeeded') {
        await append(tx, [
          { payment: payment.id, account: `customer:${payment.order_ref}`, amount: -payment.amount, currency: payment.currency },
          { payment: payment.id, account: 'merchant', amount: payment.amount, currency: payment.currency },
        ], now)
        await tx.query("INSERT INTO outbox (id, payment, body, state, attempts, due_at, lease_until) VALUES (:id, :payment, :body, 'ready', 0, :now, :lease)", {
          id: receipt.id,
          payment: payment.id,
          body: JSON.stringify(receipt),
          now,
          lease: now + this.settings.leaseMs,
        })
      }
      return moved
    })
    if (meaning.kind === 'succeeded') this.#notify({ id: receipt.id, payment: payment.id, body: JSON.stringify(receipt), attempts: 0 })
    return done
  }

  /** Nothing was charged and nothing will be, until the same key asks again. */
  #release(payment: Payment, why: string): Promise<Payment> {
    const now = this.clock.now()
    return this.#write('release', payment, why, async (tx) => {
      const moved = await this.#move(tx, payment, 'released', { reason: why, card: null })
      await this.#endAttempt(tx, payment, 'not_applied', now, why)
      return moved
    })
  }

  #review(payment: Payment, why: string): Promise<Payment> {
    const now = this.clock.now()
    this.log.emit('payment.alarmed', { payment: payment.id, why })
    return this.#write('review', payment, why, async (tx) => {
      const moved = await this.#move(tx, payment, 'review', { reason: why, card: null })
      await this.#endAttempt(tx, payment, 'review', now, why)
      return moved
    })
  }

  /** The outcome is unknown, and that is written down: it may have happened. */
  async #doubt(payment: Payment, why: string): Promise<Payment> {
    const now = this.clock.now()
    return this.#write('doubt', payment, why, async (tx) => {
      const moved = await this.#move(tx, payment, 'unknown', { reason: why, lease_until: now + this.settings.leaseMs })
      await this.#endAttempt(tx, payment, 'unknown', now, why)
      return moved
    })
  }

  // ── unknown ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** One step out of the unknown: look up, and if nothing is found, wait, send the same key again, or close the door. `attempt` counts the steps of this life. */
  protected async resolve(payment: Payment, attempt: number): Promise<Payment> {
    if (payment.state === 'sent') return this.#doubt(payment, 'taken over')
    const { lookupTimeoutMs, lookupBackoff, settleMs, resendHorizonMs, alarmAfterMs } = this.settings
    const sentAt = payment.sent_at ?? payment.created_at
    const firstSentAt = payment.first_sent_at ?? sentAt

    const outcome = await this.#hop(payment, 'lookup', attempt, lookupRequest(payment.bank_key, lookupTimeoutMs), lookupTimeoutMs, payment.bank_key)
    const found = chargesFound(outcome)
    const record = found?.[0]
    if (record !== undefined) {
      const meaning = meaningOfRecord(payment, record)
      if (meaning.kind === 'succeeded' || meaning.kind === 'declined' || meaning.kind === 'voided') return this.finish(payment, meaning)
      if (meaning.kind === 'review') return this.#review(payment, meaning.why)
    }
    const now = this.clock.now()
    if (now - firstSentAt > alarmAfterMs && attempt % 10 === 1) this.log.emit('payment.alarmed', { payment: payment.id, why: `unknown for ${Math.round((now - firstSentAt) / 1000)} s` })

    const answered = found !== undefined && record === undefined
    if (answered && now >= sentAt + settleMs) {
      if (now < firstSentAt + resendHorizonMs) return this.#resend(payment)
      return this.#close(payment, attempt)
    }
    const untilSettled = sentAt + settleMs - now
    const wait = backoff(attempt, lookupBackoff, this.random)
    return this.#wait(payment, answered ? Math.max(1, Math.min(wait, untilSettled)) : wait, answered ? `not found; it proves nothing for another ${Math.round(untilSettled)} ms` : 'the look-up told nothing')
  }

  #resend(payment: Payment): Promise<Payment> {
    const deadline = new Deadline(this.clock, this.settings.deadlineMs)
    return this.#ask(payment, () => deadline.leftMs)
  }

  /** Too late to send the key again: a void by reference gives back a charge that may exist and refuses one that may still come. */
  async #close(payment: Payment, attempt: number): Promise<Payment> {
    const { lookupTimeoutMs, lookupBackoff } = this.settings
    const outcome = await this.#hop(payment, 'void', attempt, voidRequest(payment, payment.bank_key, lookupTimeoutMs), lookupTimeoutMs, payment.bank_key)
    if (outcome.kind === 'ok' && outcome.value.status === 200) return this.finish(payment, { kind: 'voided' })
    return this.#wait(payment, backoff(attempt, lookupBackoff, this.random), 'the void is not confirmed')
  }

  async #wait(payment: Payment, ms: number, why: string): Promise<Payment> {
    this.log.emit('payment.waiting', { payment: payment.id, ms: Math.round(ms), why })
    const now = this.clock.now()
    if (payment.lease_until < now + ms + this.settings.leaseMs / 2) {
      const [mine] = await this.store.transaction('lease', (tx) =>
        tx.query<Payment>("UPDATE payments SET lease_until = :lease WHERE id = :id AND epoch = :epoch AND state = 'unknown' RETURNING *", { id: payment.id, epoch: payment.epoch, lease: Math.ceil(now + ms + this.settings.leaseMs) }),
      )
      if (!mine) throw new Fenced()
      await this.clock.sleep(ms, this.#stopping)
      return mine
    }
    await this.clock.sleep(ms, this.#stopping)
    return payment
  }

  // ── abandoned payments and due notifications ──────────────────────────────────────────────────────────────────

  /** Takes over what a dead life or another node left, and what the outbox still owes. Errors of the store wait for the next sweep. */
  async #sweep(): Promise<void> {
    const now = this.clock.now()
    try {
      const { abandoned, owed } = await this.store.transaction('sweep', async (tx) => ({
        // This node's from an earlier life at once; anybody's, and what an error made this life drop, once the lease has run out.
        abandoned: await tx.query<Payment>(
          `SELECT * FROM payments WHERE state IN ('claimed', 'sent', 'unknown') AND ((owner_node = :node AND owner_life <> :life) OR lease_until < :now) ORDER BY lease_until LIMIT ${SWEEP_ROWS}`,
          { node: this.#node, life: this.#life, now },
        ),
        owed: await tx.query<OutboxRow & { lease_until: number }>(`SELECT id, payment, body, attempts, lease_until FROM outbox WHERE state = 'ready' AND due_at <= :now AND lease_until <= :now ORDER BY due_at LIMIT ${SWEEP_ROWS}`, { now }),
      }))
      for (const payment of abandoned) {
        if (this.#running.has(payment.id)) continue
        const mine = await this.#takeOver(payment)
        if (mine) void this.drive(mine, new Deadline(this.clock, this.settings.deadlineMs))
      }
      for (const row of owed) this.#notify(row)
    } catch (error) {
      if (!isStoreTrouble(error)) throw error
      this.log.emit('payment.alarmed', { payment: null, why: `${error.code}: ${error.message}` })
    }
  }

  #takeOver(payment: Payment): Promise<Payment | undefined> {
    const now = this.clock.now()
    const { node, life, lease } = this.#mine(now)
    return this.store.transaction('takeover', async (tx) => {
      const [mine] = await tx.query<Payment>(
        'UPDATE payments SET epoch = epoch + 1, owner_node = :node, owner_life = :life, lease_until = :lease, updated_at = :now WHERE id = :id AND epoch = :epoch AND state = :state RETURNING *',
        { id: payment.id, epoch: payment.epoch, state: payment.state, node, life, lease, now },
      )
      return mine
    })
  }

  /** Sends one notification in the background, unless enough are under way: then the sweep finds it. */
  #notify(row: OutboxRow): void {
    if (this.#notifying.size >= this.settings.notifyParallel || this.#stopping.aborted) return
    const work: Promise<void> = this.#deliver(row)
      .catch((error: unknown) => this.log.emit('payment.alarmed', { payment: row.payment, why: `its notification: ${String(error)}` }))
      .finally(() => this.#notifying.delete(work))
    this.#notifying.add(work)
  }

  /** At least once, with the same id each time; the payment itself has no state for it. */
  async #deliver(row: OutboxRow): Promise<void> {
    const { notifyTimeoutMs, notifyBackoff } = this.settings
    const attempt = row.attempts + 1
    const request: HttpRequest = post('/v1/notifications', row.id, notifyTimeoutMs, parseJson(row.body))
    const outcome = await this.#hop({ id: row.payment }, 'notify', attempt, request, notifyTimeoutMs)
    const delivered = outcome.kind === 'ok' && outcome.value.status >= 200 && outcome.value.status < 300
    const now = this.clock.now()
    const due = delivered ? now : Math.ceil(now + backoff(attempt, notifyBackoff, this.random))
    await this.store.transaction('notified', (tx) =>
      tx.query("UPDATE outbox SET state = :state, attempts = :attempt, due_at = :due, lease_until = :due WHERE id = :id AND state = 'ready'", { id: row.id, state: delivered ? 'sent' : 'ready', attempt, due }),
    )
  }

  // ── the small print ───────────────────────────────────────────────────────────────────────────────────────────

  async #hop(payment: { id: string }, hop: string, attempt: number, request: HttpRequest, timeoutMs: number, bankKey?: string): Promise<Outcome<HttpResponse>> {
    const service = hop === 'fraud' ? 'fraud' : hop === 'notify' ? 'notification' : 'bank'
    this.log.emit('hop.started', { payment: payment.id, hop, attempt, timeoutMs: Math.floor(timeoutMs), bankKey: bankKey ?? null })
    const start = this.clock.monotonic()
    const outcome = await this.network.call(service, request, { timeoutMs })
    const detail = outcome.kind === 'ok' ? '' : outcome.error.code
    this.log.emit('hop.ended', { payment: payment.id, hop, attempt, outcome: outcome.kind, status: outcome.kind === 'ok' ? outcome.value.status : 0, detail, ms: Math.round((this.clock.monotonic() - start) * 10) / 10 })
    return outcome
  }

  #mine(now: number): { node: string; life: number; lease: number } {
    return { node: this.#node, life: this.#life, lease: now + this.settings.leaseMs }
  }

  async #load(id: string): Promise<Payment | undefined> {
    const [payment] = await this.store.transaction('load', (tx) => tx.query<Payment>('SELECT * FROM payments WHERE id = :id', { id }))
    return payment
  }

  /** Runs a step that ends an exchange with the bank; when the payment is no longer ours, what we learnt is kept as evidence. */
  async #write(name: string, payment: Payment, what: string, work: (tx: Tx) => Promise<Payment>): Promise<Payment> {
    try {
      const moved = await this.store.transaction(name, work)
      this.log.emit('payment.moved', { payment: payment.id, from: payment.state, to: moved.state, epoch: moved.epoch, why: what })
      return moved
    } catch (error) {
      if (!(error instanceof Fenced)) throw error
      await this.store.transaction('evidence', (tx) => tx.query('INSERT INTO evidence (payment, at, epoch, what) VALUES (:payment, :at, :epoch, :what)', { payment: payment.id, at: this.clock.now(), epoch: payment.epoch, what }))
      this.log.emit('payment.alarmed', { payment: payment.id, why: `epoch ${payment.epoch} came too late with: ${what}` })
      throw error
    }
  }

  /** The one way to change a state: guarded by the state and the epoch that the caller believes in. Throws Fenced when they are no longer so. */
  async #move(tx: Tx, payment: Payment, to: State, fields: Record<string, SqlValue>): Promise<Payment> {
    if (!MOVES[payment.state].includes(to)) throw new Error(`a payment cannot move from ${payment.state} to ${to}`)
    const params: SqlParams = { id: payment.id, wasEpoch: payment.epoch, wasState: payment.state, to, now: this.clock.now() }
    let set = ''
    for (const [column, value] of Object.entries(fields)) {
      set += `, ${COLUMNS[column] ?? column} = :${column}`
      params[column] = value
    }
    const [moved] = await tx.query<Payment>(`UPDATE payments SET state = :to, updated_at = :now${set} WHERE id = :id AND epoch = :wasEpoch AND state = :wasState RETURNING *`, params)
    if (!moved) throw new Fenced()
    return moved
  }

  async #endAttempt(tx: Tx, payment: Payment, outcome: string, now: number, detail = ''): Promise<void> {
    if (payment.attempts === 0) return
    await tx.query('UPDATE attempts SET outcome = :outcome, detail = :detail, ended_at = :now WHERE payment = :id AND n = :n AND ended_at IS NULL', { outcome, detail, now, id: payment.id, n: payment.attempts })
  }
}

/** Columns whose parameter has another name. */
const COLUMNS: Record<string, string> = { node: 'owner_node', life: 'owner_life', lease: 'lease_until' }

/** Brings the store up to date and builds the engine on it. */
export async function createEngine(outside: Outside, settings?: Record<string, unknown>): Promise<Engine> {
  await outside.store.migrate(migrations)
  return new PaymentEngine(outside, settings)
}
