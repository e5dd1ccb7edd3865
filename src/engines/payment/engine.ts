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
import { setMaxListeners } from 'node:events'
import type { Clock } from '../../clock.ts'
import { within } from '../../clock.ts'
import type { Log } from '../../events.ts'
import type { HttpRequest, HttpResponse, Network, Outcome } from '../../network.ts'
import { json, parseJson, problem } from '../../network.ts'
import type { Random } from '../../random.ts'
import type { Engine, Outside } from '../engine.ts'
import { backoff } from '../policies/backoff.ts'
import { Deadline, readTimeoutMs } from '../policies/deadline.ts'
import type { SqlValue, Store, Tx } from '../store/store.ts'
import { isStoreTrouble, outsideTransactions } from '../store/store.ts'
import type { Meaning } from './bank.ts'
import { chargeRequest, decisive, lookupRequest, meaningOfCharge, meaningOfRecord, post, recordsFound, voidRequest } from './bank.ts'
import { readBankEvent } from './bank-events.ts'
import { Hops } from './hops.ts'
import type { Asked, Payment } from './http.ts'
import { answerOf, cancelAnswer, finalAnswer, fingerprintOf, keyInUse, keyReused, orderTaken, readKey, readPayment, resultExpired, scopeOf, statusOf, unavailable } from './http.ts'
import { append } from './ledger.ts'
import { FINAL, UNFINISHED } from './machine.ts'
import { Metrics } from './metrics.ts'
import { migrations } from './migrations.ts'
import { Nodes } from './nodes.ts'
import type { Duty } from './outbox.ts'
import { Outbox } from './outbox.ts'
import { Reaper } from './reaper.ts'
import { endAttempt, Fenced, keepEvidence, move } from './records.ts'
import type { Refund } from './refunds.ts'
import { Refunds } from './refunds.ts'
import type { PaymentSettings } from './settings.ts'
import { DEFAULTS, refuseDangerous } from './settings.ts'

/** Rows that one sweep takes up at most; the next sweep takes the rest. */
const SWEEP_ROWS = 200
/** Most a client may be told to wait, ms. */
const LONGEST_RETRY_MS = 3_600_000

/** The payer, or somebody for him, wants it undone: a success may not be written down as one. */
class Cancelled extends Error {
  override name = 'Cancelled'
}

type Claim = { kind: 'new'; payment: Payment } | { kind: 'same' | 'reused' | 'taken'; payment: Payment }

/** What fraud says; `silent` when it did not. */
type Screening = 'allow' | 'deny' | 'silent'

/** How long may still be spent on the bank, and whether anybody still waits. */
interface Patience {
  left(): number
  gone: AbortSignal | undefined
  /** Who goes first when places are short. */
  priority: 'live' | 'recovery' | 'queued'
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
  readonly #metrics: Metrics
  readonly #hops: Hops
  readonly #nodes: Nodes
  readonly #outbox: Outbox
  readonly #refunds: Refunds
  readonly #reaper: Reaper
  /** Payments that this life of the node is driving, until they come to rest. */
  readonly #running = new Map<string, Promise<Payment>>()
  /** Those of them that nobody waits for: charged later, with consent. */
  readonly #queued = new Set<string>()
  /** Payments of this life that an error of the store left where they were: the next sweep takes them up again. */
  readonly #dropped = new Set<string>()
  #stopping: AbortSignal = new AbortController().signal

  constructor(outside: Outside, settings: Partial<PaymentSettings> = {}) {
    this.clock = outside.clock
    this.random = outside.random.fork(`payment/${outside.node}/${outside.incarnation}`)
    this.network = outsideTransactions(outside.network, outside.store)
    this.store = outside.store
    this.settings = { ...DEFAULTS, ...settings }
    this.#metrics = new Metrics(outside.clock)
    this.log = this.#metrics.tee(outside.log)
    this.#node = outside.node
    this.#life = outside.incarnation
    const inside = { clock: this.clock, random: this.random, network: this.network, store: this.store, log: this.log, settings: this.settings }
    this.#hops = new Hops(inside)
    this.#nodes = new Nodes(this.clock, this.settings.leaseMs, outside.node, outside.incarnation)
    this.#outbox = new Outbox({ ...inside, hops: this.#hops, captured: (tx, payment, duty, charge) => this.#captured(tx, payment, duty, charge) })
    this.#refunds = new Refunds({ ...inside, hops: this.#hops, outbox: this.#outbox, node: outside.node, life: outside.incarnation })
    this.#reaper = new Reaper(inside)
  }

  handle = async (request: HttpRequest, gone?: AbortSignal): Promise<HttpResponse> => {
    const { pathname, searchParams } = new URL(request.path, 'http://engine')
    const route = `${request.method} ${pathname}`
    if (route === 'POST /v1/payments') return this.#pay(request, pathname, gone)
    if (route === 'GET /v1/payments') return this.#list(request, searchParams)
    if (route === 'POST /v1/bank-events') return this.#bankEvent(request)
    if (route === 'GET /healthz') return json(200, { ok: true, running: this.#running.size })
    if (route === 'GET /metrics') return this.#scrape()
    const [, id, verb] = /^\/v1\/payments\/([A-Za-z0-9_]{1,64})(?:\/(refunds|cancel))?$/.exec(pathname) ?? []
    if (id !== undefined && verb === undefined && request.method === 'GET') return this.#status(request, id)
    if (id !== undefined && verb === 'cancel' && request.method === 'POST') return this.#cancel(request, id)
    if (id !== undefined && verb === 'refunds' && request.method === 'POST') return this.#refunds.ask(request, pathname, id)
    const refund = /^\/v1\/refunds\/([A-Za-z0-9_]{1,64})$/.exec(pathname)?.[1]
    if (refund !== undefined && request.method === 'GET') return this.#refunds.status(request, refund)
    if (id !== undefined || refund !== undefined || PATHS.has(pathname)) return problem(405, 'method-not-allowed', 'The method is not allowed here')
    return problem(404, 'not-found', 'There is nothing here', { detail: 'POST /v1/payments, GET /v1/payments/{id}, GET /v1/payments?order=, POST /v1/payments/{id}/refunds, POST /v1/payments/{id}/cancel, GET /v1/refunds/{id}, GET /healthz, GET /metrics' })
  }

  /** Recovers, notifies and tidies up until the signal aborts and what was begun has ended. Throws what `refuseDangerous` refuses. */
  async start(signal: AbortSignal): Promise<void> {
    refuseDangerous(this.settings)
    setMaxListeners(0, signal) // each payment that waits listens to it, and `mostRunning` bounds them
    this.#stopping = signal
    this.#outbox.stopping = signal
    this.#refunds.stopping = signal
    const reaped = this.#reaper.run(signal)
    while (!signal.aborted) {
      await this.#sweep()
      await this.clock.sleep(this.settings.sweepMs, signal)
    }
    await Promise.allSettled([...this.#running.values(), this.#outbox.rest(), this.#refunds.rest(), reaped])
    await this.#hops.save()
  }

  // ── the client ────────────────────────────────────────────────────────────────────────────────────────────────

  async #pay(request: HttpRequest, pathname: string, gone: AbortSignal | undefined): Promise<HttpResponse> {
    const deadline = new Deadline(this.clock, readTimeoutMs(request.headers, { maxMs: this.settings.deadlineMs }) ?? this.settings.deadlineMs)
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
      return this.#answer(await this.#untilRest(payment, this.drive(payment, deadline, gone), deadline), deadline, false)
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

  /** Whatever the bank has done or will do with it shall be undone. A payment that is charged already is refunded instead. */
  async #cancel(request: HttpRequest, id: string): Promise<HttpResponse> {
    const now = this.clock.now()
    const cancelled = await this.store.transaction('cancel', async (tx) => {
      const [payment] = await tx.query<Payment>('SELECT * FROM payments WHERE id = :id AND scope = :scope', { id, scope: scopeOf(request) })
      if (!payment) return undefined
      if (payment.state === 'queued' || payment.state === 'released') return this.#ending(tx, payment, { kind: 'voided' }, now)
      if (!UNFINISHED.includes(payment.state)) return payment
      const [marked] = await tx.query<Payment>('UPDATE payments SET cancelled_at = coalesce(cancelled_at, :now), updated_at = :now WHERE id = :id RETURNING *', { id, now })
      return marked
    })
    if (!cancelled) return problem(404, 'no-such-payment', 'There is no such payment')
    this.log.emit('payment.cancelled', { payment: id, state: cancelled.state })
    return cancelAnswer(cancelled)
  }

  async #scrape(): Promise<HttpResponse> {
    const [row] = await this.store.transaction('gauges', (tx) =>
      tx.query<{ unknown: number; oldest: number | null; owed: number; queued: number }>(
        `SELECT (SELECT COUNT(*) FROM payments WHERE state = 'unknown') AS unknown, (SELECT MIN(first_sent_at) FROM payments WHERE state = 'unknown') AS oldest,
                (SELECT COUNT(*) FROM outbox WHERE state = 'ready') AS owed, (SELECT COUNT(*) FROM payments WHERE state = 'queued') AS queued`,
      ),
    )
    const body = this.#metrics.text({ ...row!, running: this.#running.size }, this.#hops.gauges())
    return { status: 200, headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }, body }
  }

  // ── C1 ────────────────────────────────────────────────────────────────────────────────────────────────────────

  protected fingerprint(route: string, asked: Asked): string {
    return fingerprintOf(route, asked)
  }

  /** Makes the key and the order ours in one statement, or says whose they are. A released payment is taken up again by its own key. */
  protected claim(scope: string, key: string, fingerprint: string, asked: Asked): Promise<Claim> {
    const id = this.random.id('pay')
    const now = this.clock.now()
    const queueUntil = asked.charge_later ? now + this.settings.queueMs : null
    return this.store.transaction('claim', async (tx): Promise<Claim> => {
      const [made] = await tx.query<Payment>(
        `INSERT INTO payments (id, scope, key, fingerprint, order_ref, amount, currency, card, description, state, epoch, owner_node, owner_life, bank_key, attempts, two_step, queue_until, email, created_at, updated_at)
         SELECT :id, :scope, :key, :fingerprint, :order, :amount, :currency, :card, :description, 'claimed', 1, :node, :life, :bankKey, 0, :twoStep, :queueUntil, :email, :now, :now
         WHERE NOT EXISTS (SELECT 1 FROM orders WHERE scope = :scope AND order_ref = :order)
         ON CONFLICT DO NOTHING
         RETURNING *`,
        {
          id, scope, key, fingerprint, order: asked.order, amount: asked.amount, currency: asked.currency, card: asked.card, description: asked.description ?? '', bankKey: this.random.id('bk'),
          twoStep: this.settings.parallel ? 1 : 0, queueUntil, email: asked.charge_later?.email ?? null, now, node: this.#node, life: this.#life,
        },
      )
      if (made) return { kind: 'new', payment: made }

      const [known] = await tx.query<Payment>('SELECT * FROM payments WHERE scope = :scope AND key = :key', { scope, key })
      if (known && known.fingerprint !== fingerprint) return { kind: 'reused', payment: known }
      if (known && known.state !== 'released') return { kind: 'same', payment: known }

      const [live] = await tx.query<Payment>("SELECT * FROM payments WHERE scope = :scope AND order_ref = :order AND state NOT IN ('declined', 'released', 'voided')", { scope, order: asked.order })
      if (live) return { kind: 'taken', payment: live }
      const [paid] = await tx.query<Payment>("SELECT payment AS id, 'succeeded' AS state, order_ref, amount, currency, charge FROM orders WHERE scope = :scope AND order_ref = :order", { scope, order: asked.order })
      if (paid) return { kind: 'taken', payment: paid }
      if (!known) throw new Error('a payment could be neither made nor found')
      // Nothing came of it so far: the clocks of the bank's key begin anew.
      return { kind: 'new', payment: await move(tx, known, 'claimed', { node: this.#node, life: this.#life, epoch: known.epoch + 1, card: asked.card, reason: null, first_sent_at: null, queue_until: queueUntil }, now) }
    })
  }

  // ── driving one payment to rest ───────────────────────────────────────────────────────────────────────────────

  /** Steps the payment until it rests, once per payment and life. The promise answers what the store says at the end. */
  protected drive(payment: Payment, deadline: Deadline, gone?: AbortSignal): Promise<Payment> {
    const work = this.#steps(payment, deadline, gone)
      .catch(async (error: unknown) => {
        if (!(error instanceof Fenced) && !isStoreTrouble(error)) throw error
        if (isStoreTrouble(error)) {
          this.log.emit('payment.alarmed', { payment: payment.id, why: `${error.code}: ${error.message}` })
          this.#dropped.add(payment.id)
        }
        return (await this.#load(payment.id)) ?? payment
      })
      .finally(() => {
        this.#running.delete(payment.id)
        this.#queued.delete(payment.id)
      })
    this.#running.set(payment.id, work)
    work.catch((error: unknown) => this.log.emit('payment.alarmed', { payment: payment.id, why: String(error) }))
    return work
  }

  async #steps(payment: Payment, deadline: Deadline, gone: AbortSignal | undefined): Promise<Payment> {
    const { reserveMs, commitMs } = this.settings
    const patience: Patience = { left: () => deadline.leftMs - reserveMs - commitMs, gone, priority: this.#queued.has(payment.id) ? 'queued' : 'live' }
    let current = payment
    if (current.state === 'claimed') current = await this.#charge(current, patience)
    for (let attempt = 1; (current.state === 'sent' || current.state === 'unknown') && !this.#stopping.aborted; attempt++) {
      current = await this.resolve(current, attempt)
    }
    return current
  }

  async #charge(payment: Payment, patience: Patience): Promise<Payment> {
    if (patience.left() < this.settings.minStartMs) return this.#giveWay(payment, this.#tooLate(patience))
    if (payment.two_step === 1) return this.#acquire(payment, patience)
    const screening = await this.#screen(payment, patience.left())
    if (screening === 'deny') return this.finish(payment, { kind: 'declined', reason: 'fraud' })
    if (screening === 'silent' && payment.amount >= this.settings.fraudOpenBelow) return this.#giveWay(payment, 'fraud did not answer')
    return this.#acquire(payment, patience)
  }

  /** Fraud's word: a read that may be asked again, within its own time-out. */
  async #screen(payment: Payment, leftMs: number): Promise<Screening> {
    const body = { amount: payment.amount, currency: payment.currency, reference: payment.id, card: payment.card }
    const timeoutMs = Math.max(1, Math.min(this.#hops.fraudTimeoutMs, leftMs))
    const assessed = await this.#hops.call({ payment: payment.id, hop: 'fraud', service: 'fraud', attempt: 1, scope: payment.scope, priority: 'live' }, post('/v1/assessments', payment.id, timeoutMs, body), timeoutMs)
    const decision = assessed.kind === 'ok' && assessed.value.status === 200 ? (parseJson(assessed.value.body) as { decision?: unknown } | null | undefined)?.decision : undefined
    return decision === 'deny' || decision === 'allow' ? decision : 'silent'
  }

  #tooLate(patience: Patience): string {
    return `not attempted: ${Math.round(Math.max(0, patience.left()))} ms left, the bank needs ${this.settings.minStartMs} ms`
  }

  /** Asks the banks in their order, each until it may have done something; when none did, the payment gives way. */
  async #acquire(payment: Payment, patience: Patience): Promise<Payment> {
    const { acquirers, tries, retryBackoff, minStartMs } = this.settings
    let current = payment
    let why = 'no bank'
    let retryMs = 0
    for (const acquirer of acquirers) {
      const budgeted = this.#hops.budgeted(acquirer)
      try {
        for (let attempt = 1; ; attempt++) {
          if (patience.left() < minStartMs) return this.#giveWay(current, attempt === 1 && why === 'no bank' ? this.#tooLate(patience) : why, retryMs)
          if (patience.gone?.aborted) return this.#giveWay(current, 'the client left before the bank was asked')
          const pass = await this.#hops.enter({ payment: current.id, hop: 'bank', service: acquirer, attempt, scope: current.scope, priority: patience.priority }, patience.left() - minStartMs)
          if ('refused' in pass) {
            why = `not attempted: ${pass.refused}`
            retryMs = pass.retryMs
            break
          }
          if (patience.left() < minStartMs) {
            pass.leave()
            return this.#giveWay(current, this.#tooLate(patience))
          }
          let meaning: Meaning
          let screening: Promise<Screening> | undefined
          try {
            if (attempt === 1) current = await this.intend(current, Math.max(1, patience.left()), acquirer)
            if (current.two_step === 1) screening = this.#screen(current, patience.left())
            const timeoutMs = Math.max(1, patience.left())
            meaning = this.meaning(current, await pass.call(chargeRequest(current, current.bank_key, timeoutMs, current.two_step === 0), timeoutMs, current.bank_key))
          } finally {
            pass.leave()
          }
          if (meaning.kind === 'authorised') return this.#decide(current, meaning.charge, await (screening ?? this.#screen(current, patience.left())))
          if (meaning.kind !== 'not_applied' || meaning.ours || current.doubts > 0) return this.conclude(current, meaning)
          // Definitely not applied: it may be tried again, here while the budget lasts, then elsewhere.
          why = meaning.why
          retryMs = meaning.retryMs ?? 0
          const waitMs = Math.max(retryMs, backoff(attempt, retryBackoff, this.random))
          if (attempt >= tries || patience.left() - waitMs < minStartMs || !budgeted.retry()) break
          this.log.emit('hop.retried', { payment: current.id, hop: 'bank', attempt: attempt + 1, waitMs: Math.round(waitMs), why })
          await this.clock.sleep(waitMs, this.#stopping)
          if (this.#stopping.aborted) break
        }
      } finally {
        budgeted.end()
      }
    }
    return this.#giveWay(current, why, retryMs)
  }

  /** The money is held: fraud's word decides what becomes of it. */
  #decide(payment: Payment, charge: string, screening: Screening): Promise<Payment> {
    const allowed = screening === 'allow' || (screening === 'silent' && payment.amount < this.settings.fraudOpenBelow)
    if (allowed) return this.finish(payment, { kind: 'authorised', charge })
    return this.finish(payment, { kind: 'declined', reason: screening === 'deny' ? 'fraud' : 'fraud did not answer' }, true)
  }

  /** C2: from here on somebody will find out what the bank did, whatever becomes of us. Another bank is asked under another key. */
  protected intend(payment: Payment, timeoutMs: number, acquirer = payment.acquirer): Promise<Payment> {
    const now = this.clock.now()
    return this.store.transaction('intent', async (tx) => {
      if (payment.state === 'sent') await endAttempt(tx, payment, 'not_applied', now)
      const elsewhere: Record<string, SqlValue> = payment.attempts > 0 && acquirer !== payment.acquirer ? { bank_key: this.random.id('bk'), first_sent_at: now } : { first_sent_at: payment.first_sent_at ?? now }
      const sent = await move(tx, payment, 'sent', { attempts: payment.attempts + 1, ...elsewhere, sent_at: now, acquirer }, now)
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
    return meaningOfCharge(payment, outcome, this.settings.providerCodes)
  }

  /** What an answer to a charge request does to the payment. */
  protected async conclude(payment: Payment, meaning: Meaning): Promise<Payment> {
    if (meaning.kind === 'succeeded' || meaning.kind === 'declined') return this.finish(payment, meaning)
    if (meaning.kind === 'authorised') return this.#decide(payment, meaning.charge, await this.#screen(payment, this.settings.fraudTimeoutMs))
    if (meaning.kind === 'review') return this.#review(payment, meaning.why)
    if (meaning.kind === 'voided') return this.#doubt(payment, 'the bank says that the payment was voided')
    if (meaning.kind === 'not_applied') {
      if (meaning.ours) this.log.emit('payment.alarmed', { payment: payment.id, why: meaning.why })
      // Where another request under the same key was ever in doubt, it may still be under way: a refusal of this one proves nothing.
      if (payment.doubts === 0) return this.#giveWay(payment, meaning.why, meaning.retryMs)
    }
    if (meaning.kind === 'unknown' && meaning.strange) this.log.emit('payment.alarmed', { payment: payment.id, why: meaning.why })
    return this.#doubt(payment, meaning.why)
  }

  /** C3: state, stored answer, ledger and outbox stand or fall together. `giveBack`: an authorisation has to be voided. */
  protected async finish(payment: Payment, meaning: Extract<Meaning, { kind: 'succeeded' | 'authorised' | 'declined' | 'voided' }>, giveBack = false): Promise<Payment> {
    const now = this.clock.now()
    const what = 'charge' in meaning ? meaning.charge : 'reason' in meaning ? meaning.reason : meaning.kind
    const duties: Duty[] = []
    try {
      const done = await this.#write('outcome', payment, what, async (tx) => {
        const moved = await this.#ending(tx, payment, meaning, now, duties)
        if (giveBack) duties.push(await this.#outbox.owe(tx, moved, 'void', now))
        return moved
      })
      for (const duty of duties) this.#outbox.send(duty)
      return done
    } catch (error) {
      if (!(error instanceof Cancelled)) throw error
      return this.#doubt(payment, 'it was cancelled while the bank was asked')
    }
  }

  async #ending(tx: Tx, payment: Payment, meaning: Extract<Meaning, { kind: 'succeeded' | 'authorised' | 'declined' | 'voided' }>, now: number, duties: Duty[] = []): Promise<Payment> {
    const charge = 'charge' in meaning ? meaning.charge : null
    const reason = meaning.kind === 'declined' ? meaning.reason : meaning.kind === 'voided' ? 'given up and voided' : null
    const answer = finalAnswer({ ...payment, charge, reason, state: meaning.kind })
    const moved = await move(tx, payment, meaning.kind, { charge, reason, card: null, answer_status: answer.status, answer_body: answer.body, finished_at: now }, now)
    if (charge !== null && moved.cancelled_at !== null) throw new Cancelled()
    await endAttempt(tx, payment, meaning.kind, now)
    if (meaning.kind === 'authorised') duties.push(await this.#outbox.owe(tx, moved, 'capture', now))
    if (meaning.kind === 'succeeded') duties.push(await this.#book(tx, moved, now))
    return moved
  }

  /** The money has moved: two entries that sum to zero, and a word to the customer. */
  async #book(tx: Tx, payment: Payment, now: number): Promise<Duty> {
    await append(tx, [
      { payment: payment.id, account: `customer:${payment.order_ref}`, amount: -payment.amount, currency: payment.currency },
      { payment: payment.id, account: 'merchant', amount: payment.amount, currency: payment.currency },
    ], now)
    return this.#outbox.owe(tx, payment, 'notification', now)
  }

  /** The capture is done: what a charge in one step does in C3. */
  async #captured(tx: Tx, payment: Payment, duty: Duty, charge: string): Promise<Duty> {
    const now = this.clock.now()
    const moved = await move(tx, payment, 'succeeded', { charge }, now)
    this.log.emit('payment.moved', { payment: moved.id, from: payment.state, to: moved.state, epoch: moved.epoch, why: `captured by ${duty.id}` })
    return this.#book(tx, moved, now)
  }

  /** Nothing was charged and nothing will be: until the same key asks again, or, with the payer's consent, until the bank can be asked. */
  #giveWay(payment: Payment, why: string, retryMs = 0): Promise<Payment> {
    const now = this.clock.now()
    const waits = payment.queue_until !== null && now < payment.queue_until && payment.cancelled_at === null
    const wait = Math.max(retryMs, this.settings.queueEveryMs) * (1 + this.random.next())
    return this.#write(waits ? 'queue' : 'release', payment, why, async (tx) => {
      const moved = waits
        ? await move(tx, payment, 'queued', { reason: why, due_at: Math.ceil(now + wait) }, now)
        : await move(tx, payment, 'released', { reason: why, card: null, retry_ms: Math.ceil(Math.min(retryMs, LONGEST_RETRY_MS)) }, now)
      await endAttempt(tx, payment, 'not_applied', now, why)
      if (!waits && payment.queue_until !== null) await this.#outbox.owe(tx, moved, 'notification', now, 'payment.not_charged')
      return moved
    })
  }

  #review(payment: Payment, why: string): Promise<Payment> {
    const now = this.clock.now()
    this.log.emit('payment.alarmed', { payment: payment.id, why })
    return this.#write('review', payment, why, async (tx) => {
      const moved = await move(tx, payment, 'review', { reason: why, card: null }, now)
      await endAttempt(tx, payment, 'review', now, why)
      return moved
    })
  }

  /** The outcome is unknown, and that is written down: it may have happened. */
  async #doubt(payment: Payment, why: string): Promise<Payment> {
    const now = this.clock.now()
    return this.#write('doubt', payment, why, async (tx) => {
      const moved = await move(tx, payment, 'unknown', { reason: why, doubts: payment.doubts + 1 }, now)
      await endAttempt(tx, payment, 'unknown', now, why)
      return moved
    })
  }

  // ── unknown ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** One step out of the unknown: look up, and if nothing is found, wait, send the same key again, or close the door. `attempt` counts the steps of this life. */
  protected async resolve(payment: Payment, attempt: number): Promise<Payment> {
    if (payment.state === 'sent') return this.#doubt(payment, 'taken over')
    const { lookupTimeoutMs, lookupBackoff, settleMs, resendHorizonMs, alarmAfterMs, bankLookup } = this.settings
    const sentAt = payment.sent_at ?? payment.created_at
    const firstSentAt = payment.first_sent_at ?? sentAt
    const [fresh] = attempt === 1 ? [payment] : await this.store.transaction('look', (tx) => tx.query<Payment>("SELECT * FROM payments WHERE id = :id AND epoch = :epoch AND state = 'unknown'", { id: payment.id, epoch: payment.epoch }))
    if (!fresh) throw new Fenced() // the bank's own event, or an operator, was faster
    if (fresh.cancelled_at !== null) return this.#close(fresh, attempt)
    if (!bankLookup) return this.#review(fresh, `${fresh.reason ?? 'unknown'}, and this bank cannot be asked what became of it`)

    const outcome = await this.#hops.call({ payment: fresh.id, hop: 'lookup', service: fresh.acquirer, attempt, scope: fresh.scope, priority: 'recovery' }, lookupRequest(fresh.id, lookupTimeoutMs), lookupTimeoutMs, fresh.bank_key)
    const found = recordsFound(outcome)
    const record = decisive(found)
    if (record !== undefined) {
      const meaning = meaningOfRecord(fresh, record, this.settings.providerCodes)
      if (meaning.kind === 'succeeded' || meaning.kind === 'declined' || meaning.kind === 'voided') return this.finish(fresh, meaning)
      if (meaning.kind === 'authorised') return this.#decide(fresh, meaning.charge, await this.#screen(fresh, this.settings.fraudTimeoutMs))
      if (meaning.kind === 'review') return this.#review(fresh, meaning.why)
    }
    const now = this.clock.now()
    if (now - firstSentAt > alarmAfterMs && attempt % 10 === 1) this.log.emit('payment.alarmed', { payment: fresh.id, why: `unknown for ${Math.round((now - firstSentAt) / 1000)} s` })

    const answered = found !== undefined && record === undefined
    if (answered && now >= sentAt + settleMs) {
      if (now < firstSentAt + resendHorizonMs) return this.#resend(fresh, attempt)
      return this.#close(fresh, attempt)
    }
    const untilSettled = sentAt + settleMs - now
    const wait = backoff(attempt, lookupBackoff, this.random)
    return this.#wait(fresh, answered ? Math.max(1, Math.min(wait, untilSettled)) : wait, answered ? `not found; it proves nothing for another ${Math.round(untilSettled)} ms` : 'the look-up told nothing')
  }

  /** The same key once more: the bank does it once, whatever became of the first. */
  async #resend(payment: Payment, attempt: number): Promise<Payment> {
    const { deadlineMs, lookupBackoff } = this.settings
    const pass = await this.#hops.enter({ payment: payment.id, hop: 'bank', service: payment.acquirer, attempt: payment.attempts + 1, scope: payment.scope, priority: 'recovery' }, deadlineMs)
    if ('refused' in pass) return this.#wait(payment, Math.max(pass.retryMs, backoff(attempt, lookupBackoff, this.random)), `not sent again yet: ${pass.refused}`)
    const budgeted = this.#hops.budgeted(payment.acquirer)
    try {
      if (!budgeted.retry()) return this.#wait(payment, backoff(attempt, lookupBackoff, this.random), 'not sent again yet: too much is sent again already')
      const sent = await this.intend(payment, deadlineMs)
      const outcome = await pass.call(chargeRequest(sent, sent.bank_key, deadlineMs, sent.two_step === 0), deadlineMs, sent.bank_key)
      return await this.conclude(sent, this.meaning(sent, outcome))
    } finally {
      budgeted.end()
      pass.leave()
    }
  }

  /** Too late to send the key again: a void by reference gives back a charge that may exist and refuses one that may still come. */
  async #close(payment: Payment, attempt: number): Promise<Payment> {
    const { lookupTimeoutMs, lookupBackoff } = this.settings
    const outcome = await this.#hops.call({ payment: payment.id, hop: 'void', service: payment.acquirer, attempt, scope: payment.scope, priority: 'recovery' }, voidRequest(payment, payment.bank_key, lookupTimeoutMs), lookupTimeoutMs, payment.bank_key)
    if (outcome.kind === 'ok' && outcome.value.status === 200) return this.finish(payment, { kind: 'voided' })
    return this.#wait(payment, backoff(attempt, lookupBackoff, this.random), 'the void is not confirmed')
  }

  async #wait(payment: Payment, ms: number, why: string): Promise<Payment> {
    this.log.emit('payment.waiting', { payment: payment.id, ms: Math.round(ms), why })
    await this.clock.sleep(ms, this.#stopping)
    return payment
  }

  // ── what the bank says by itself ──────────────────────────────────────────────────────────────────────────────

  /** Taken once each, in any order: what it says moves a payment that is in doubt, and undoes a charge that should not be. */
  async #bankEvent(request: HttpRequest): Promise<HttpResponse> {
    const event = readBankEvent(request, this.settings.bankEventSecret, this.clock.now())
    if ('response' in event) return event.response
    const { id, record, reference } = event
    const now = this.clock.now()
    const duties: Duty[] = []
    try {
      const moved = await this.store.transaction('bank-event', async (tx) => {
        const fresh = await tx.query('INSERT INTO bank_events (id, at) VALUES (:id, :now) ON CONFLICT DO NOTHING RETURNING id', { id, now })
        if (fresh.length === 0) return undefined
        const [payment] = await tx.query<Payment>('SELECT * FROM payments WHERE id = :reference', { reference })
        if (!payment) return undefined
        const meaning = meaningOfRecord(payment, record, this.settings.providerCodes)
        if (payment.state === 'sent' || payment.state === 'unknown') {
          if (payment.cancelled_at !== null || (meaning.kind !== 'succeeded' && meaning.kind !== 'declined')) return undefined
          return { from: payment, to: await this.#ending(tx, payment, meaning, now, duties) }
        }
        const resting = payment.state === 'released' || payment.state === 'declined' || payment.state === 'voided' || payment.state === 'queued'
        if (resting && (meaning.kind === 'succeeded' || meaning.kind === 'authorised')) {
          await keepEvidence(tx, payment.id, payment.epoch, `the bank says that it has ${meaning.charge}, and the payment is ${payment.state}: voided`, now)
          duties.push(await this.#outbox.owe(tx, payment, 'void', now))
          return { from: payment, to: payment }
        }
        return undefined
      })
      if (moved && moved.from !== moved.to) this.log.emit('payment.moved', { payment: moved.to.id, from: moved.from.state, to: moved.to.state, epoch: moved.to.epoch, why: `the bank's event ${id}` })
      else if (moved) this.log.emit('payment.alarmed', { payment: moved.to.id, why: `the bank charged a payment that is ${moved.to.state}: it is voided` })
      for (const duty of duties) this.#outbox.send(duty)
      return json(200, { received: id })
    } catch (error) {
      if (error instanceof Fenced) return json(200, { received: id })
      if (!isStoreTrouble(error)) throw error
      return unavailable('The event could not be recorded: send it again.', 'unknown')
    }
  }

  // ── abandoned payments and what is owed ───────────────────────────────────────────────────────────────────────

  /** Takes over what a dead life or another node left, and what the outbox still owes. Errors of the store wait for the next sweep. */
  async #sweep(): Promise<void> {
    const now = this.clock.now()
    const { queueParallel } = this.settings
    try {
      const { abandoned, dropped, queued, refunds, owed, breakers } = await this.store.transaction('sweep', async (tx) => {
        const dead = await this.#nodes.beat(tx)
        const params = { node: this.#node, life: this.#life, ...Object.fromEntries(dead.map((name, n) => [`dead${n}`, name])) }
        // This node's from an earlier life at once, those of nodes that are silent.
        const orphaned = `((owner_node = :node AND owner_life <> :life)${dead.length > 0 ? ` OR owner_node IN (${dead.map((_, n) => `:dead${n}`).join(', ')})` : ''})`
        const left = [...this.#dropped].filter((id) => !this.#running.has(id)).slice(0, SWEEP_ROWS)
        return {
          abandoned: await tx.query<Payment>(`SELECT * FROM payments WHERE state IN ('claimed', 'sent', 'unknown') AND ${orphaned} LIMIT ${SWEEP_ROWS}`, params),
          dropped: left.length === 0 ? [] : await tx.query<Payment>(`SELECT * FROM payments WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('claimed', 'sent', 'unknown')`, { ids: JSON.stringify(left) }),
          queued: queueParallel > this.#queued.size ? await tx.query<Payment>("SELECT * FROM payments WHERE state = 'queued' AND due_at <= :now ORDER BY due_at LIMIT :limit", { now, limit: queueParallel - this.#queued.size }) : [],
          refunds: await tx.query<Refund>(`SELECT * FROM refunds WHERE state IN ('sent', 'unknown') AND ${orphaned} LIMIT ${SWEEP_ROWS}`, params),
          owed: await this.#outbox.due(tx, now, SWEEP_ROWS),
          breakers: await this.#hops.tend(tx),
        }
      })
      this.#dropped.clear()
      this.#hops.heed(breakers)
      for (const payment of [...abandoned, ...dropped]) {
        if (this.#running.has(payment.id)) continue
        const mine = await this.#takeOver(payment)
        if (mine) void this.drive(mine, new Deadline(this.clock, this.settings.deadlineMs))
      }
      for (const payment of queued) await this.#again(payment)
      for (const refund of refunds) await this.#refunds.takeOver(refund)
      for (const duty of owed) this.#outbox.send(duty)
    } catch (error) {
      if (!isStoreTrouble(error)) throw error
      this.log.emit('payment.alarmed', { payment: null, why: `${error.code}: ${error.message}` })
    }
  }

  #takeOver(payment: Payment): Promise<Payment | undefined> {
    const now = this.clock.now()
    return this.store.transaction('takeover', async (tx) => {
      const [mine] = await tx.query<Payment>(
        'UPDATE payments SET epoch = epoch + 1, owner_node = :node, owner_life = :life, updated_at = :now WHERE id = :id AND epoch = :epoch AND state = :state RETURNING *',
        { id: payment.id, epoch: payment.epoch, state: payment.state, node: this.#node, life: this.#life, now },
      )
      return mine
    })
  }

  /** A queued payment's next try, or its end when the payer's patience is over. */
  async #again(payment: Payment): Promise<void> {
    if (this.#running.has(payment.id)) return
    const now = this.clock.now()
    try {
      if (payment.queue_until !== null && now >= payment.queue_until) {
        await this.#giveWay(payment, payment.reason ?? 'the bank could not be asked in time')
        return
      }
      const mine = await this.store.transaction('again', (tx) => move(tx, payment, 'claimed', { node: this.#node, life: this.#life, epoch: payment.epoch + 1 }, now))
      this.#queued.add(mine.id)
      void this.drive(mine, new Deadline(this.clock, this.settings.deadlineMs))
    } catch (error) {
      if (!(error instanceof Fenced)) throw error // another node has it
    }
  }

  // ── the small print ───────────────────────────────────────────────────────────────────────────────────────────

  async #load(id: string): Promise<Payment | undefined> {
    const [payment] = await this.store.transaction('load', (tx) => tx.query<Payment>('SELECT * FROM payments WHERE id = :id', { id }))
    return payment
  }

  /** Runs a step that ends an exchange with the bank; when the payment is no longer ours, what we learnt is kept as evidence, unless it is what the store says. */
  async #write(name: string, payment: Payment, what: string, work: (tx: Tx) => Promise<Payment>): Promise<Payment> {
    try {
      const moved = await this.store.transaction(name, work)
      this.log.emit('payment.moved', { payment: payment.id, from: payment.state, to: moved.state, epoch: moved.epoch, why: what })
      return moved
    } catch (error) {
      if (!(error instanceof Fenced)) throw error
      const now = this.clock.now()
      const news = await this.store.transaction('evidence', async (tx) => {
        const [told] = await tx.query<Payment>('SELECT * FROM payments WHERE id = :id', { id: payment.id })
        if (told && told.epoch === payment.epoch && (told.charge === what || told.state === 'unknown')) return false // the bank's event said the same
        await keepEvidence(tx, payment.id, payment.epoch, what, now)
        return true
      })
      if (news) this.log.emit('payment.alarmed', { payment: payment.id, why: `epoch ${payment.epoch} came too late with: ${what}` })
      throw error
    }
  }
}

/** Paths that there are, whatever the method. */
const PATHS = new Set(['/v1/payments', '/v1/bank-events', '/healthz', '/metrics'])

/** Brings the store up to date and builds the engine on it. */
export async function createEngine(outside: Outside, settings?: Record<string, unknown>): Promise<Engine> {
  await outside.store.migrate(migrations)
  return new PaymentEngine(outside, settings)
}
