/**
 * The bank behind Stripe's face: PaymentIntents, charges and refunds for Stripe's own SDKs, over the same ledger, keys and lies as the bank's other face.
 *
 *   requires_payment_method ─▶ requires_confirmation ─▶ succeeded          an intent's status follows from its latest charge, which is the ledger's;
 *             ▲       declined ─────────┤      └─▶ requires_capture ─▶ succeeded     it keeps nothing of its own but what was asked for
 *             └─────────────────────────┘                 └─▶ canceled
 *
 * | route                                                       | what of it |
 * |-------------------------------------------------------------|------------|
 * | POST, GET /v1/payment_intents; GET .../{id}                 | create (with `confirm` too), list, retrieve |
 * | POST /v1/payment_intents/{id}/confirm, /capture, /cancel    | |
 * | GET /v1/charges (`payment_intent`), /v1/charges/{id}        | all of the ledger's, newest first |
 * | POST, GET /v1/refunds (`charge`, `payment_intent`); .../{id}| |
 * | POST /v1/payment_methods, GET .../{id}                      | `card[token]` only; `pm_card_visa` and its like are there from the start |
 *
 * Lists take `limit` and `starting_after`. Bodies are forms, errors Stripe's error objects, amounts minor units and times seconds. The reference by which the
 * bank knows a payment is `metadata[reference]`, or the intent's id. Parameters that change nothing here are ignored, as is Stripe-Version.
 * Source: docs.stripe.com/api, 2026. Not there: customers, `expand`, `ending_before`, `created` filters, three-d secure, raw card numbers (Stripe refuses
 * them too, unless asked).
 */
import type { Clock } from '../../clock.ts'
import type { Log } from '../../events.ts'
import { json } from '../../network.ts'
import type { HttpRequest, HttpResponse } from '../../network.ts'
import type { Random } from '../../random.ts'
import { answer, isAmountMinor, isCurrency, isText } from '../mock.ts'
import type { Asked, Lie, LieSchedule, Routes, Work } from '../mock.ts'
import type { KeyRecord, Keys } from './keys.ts'
import type { Charge, Happening, Ledger, Refund, Refusal } from './ledger.ts'
import { declines } from './ledger.ts'
import type { Message } from './webhooks.ts'

/** What was asked for; how it stands follows from its latest charge. */
interface Intent {
  id: string
  amount: number
  /** Upper case, as in the ledger. */
  currency: string
  capture: boolean
  paymentMethod: string | null
  metadata: Record<string, string>
  description: string | null
  latestCharge: string | null
  canceled: boolean
  reference: string
  /** ms since 1970. */
  at: number
}

export interface StripeSetup {
  clock: Clock
  ids: Random
  log: Log
  ledger: Ledger
  keys: Keys
  schedule: LieSchedule
  /** How a work goes as the lie has it; see the bank's. */
  spoilt: (lie: Lie | undefined, record: KeyRecord, apply: () => HttpResponse, late: () => void) => Work
  /** A look-up, with the lies about look-ups. */
  search: <T extends { at: number }>(by: 'id' | 'charge' | 'time', value: string, respond: (found: readonly T[]) => HttpResponse, find: () => readonly T[]) => Work
}

/** Stripe's own numbers of a page. */
const PAGE = { usual: 10, most: 100 }

/** Whether a request is for this face: it carries one of Stripe's secret keys, whichever. */
export function isStripes(request: HttpRequest): boolean {
  return /^Bearer (sk|rk)_/.test(request.headers['authorization'] ?? '')
}

export class StripeFace {
  readonly routes: Routes
  readonly #setup: StripeSetup
  readonly #intents = new Map<string, Intent>()
  readonly #byCharge = new Map<string, Intent>()
  /** Payment methods that were created, and the tokens behind them. */
  readonly #methods = new Map<string, { token: string; at: number }>()
  /** The intent whose charge is being made. */
  #confirming: Intent | undefined

  constructor(setup: StripeSetup) {
    this.#setup = setup
    const { ledger } = setup
    const intents = () => [...this.#intents.values()]
    this.routes = {
      '/v1/payment_intents': { POST: (asked) => this.#create(asked), GET: (asked) => this.#list(asked, intents, (intent) => this.#intent(intent)) },
      '/v1/payment_intents/*': { GET: (asked) => this.#retrieve(asked, 'payment_intent', (id) => this.#intents.get(id), (intent) => this.#intent(intent)) },
      '/v1/payment_intents/*/confirm': { POST: (asked) => this.#withIntent(asked, (intent) => this.#confirm(asked, intent)) },
      '/v1/payment_intents/*/capture': { POST: (asked) => this.#withIntent(asked, (intent) => this.#capture(asked, intent)) },
      '/v1/payment_intents/*/cancel': { POST: (asked) => this.#withIntent(asked, (intent) => this.#cancel(asked, intent)) },
      '/v1/charges': { GET: (asked) => this.#list(asked, () => this.#chargesFor(asked), (charge) => this.#charge(charge)) },
      '/v1/charges/*': { GET: (asked) => this.#retrieve(asked, 'charge', (id) => ledger.find(id), (charge) => this.#charge(charge)) },
      '/v1/refunds': { POST: (asked) => this.#refund(asked), GET: (asked) => this.#list(asked, () => this.#refundsFor(asked), (refund) => this.#refundObject(refund)) },
      '/v1/refunds/*': { GET: (asked) => this.#retrieve(asked, 'refund', (id) => ledger.findRefund(id), (refund) => this.#refundObject(refund)) },
      '/v1/payment_methods': { POST: (asked) => this.#createMethod(asked) },
      '/v1/payment_methods/*': { GET: (asked) => this.#retrieve(asked, 'payment_method', (id) => this.#method(id), (method) => methodObject(asked.last, method.at)) },
    }
  }

  /** What an answer looks like here: problems become error objects, and every answer names its request. */
  answer(request: HttpRequest, response: HttpResponse): HttpResponse {
    const key = request.headers['idempotency-key']
    const headers: Record<string, string> = { ...response.headers, 'request-id': this.#setup.ids.id('req'), ...(key !== undefined && { 'idempotency-key': key }) }
    if (headers['content-type'] !== 'application/problem+json') return { ...response, headers }
    const { title, code } = JSON.parse(response.body) as { title: string; code?: string }
    const type = code?.startsWith('idempotency') ? 'idempotency_error' : response.status < 500 ? 'invalid_request_error' : 'api_error'
    return { ...errorObject(response.status, { type, code: code === 'idempotency_error' ? undefined : code, message: title }), headers: { ...headers, 'content-type': 'application/json' } }
  }

  /** Told of everything that happens to the money, before anybody else: a charge that is made while an intent is paid is the intent's. */
  told(made: Charge | Refund): void {
    if (!this.#confirming || 'charge' in made) return
    this.#confirming.latestCharge = made.id
    this.#byCharge.set(made.id, this.#confirming)
  }

  /** The event that Stripe would send, or undefined when no intent of this face is behind it. */
  event(id: string, what: Happening, made: Charge | Refund): Message | undefined {
    const intent = this.#byCharge.get('charge' in made ? made.charge : made.id)
    if (!intent) return undefined
    const type = EVENT_TYPES[what]
    const object = 'charge' in made ? this.#charge(this.#setup.ledger.find(made.charge)!) : this.#intent(intent)
    const body = JSON.stringify({ id, object: 'event', type, created: seconds(this.#setup.clock.now()), livemode: false, pending_webhooks: 1, request: null, data: { object } })
    return { id, about: type, reference: intent.reference, body, signedIn: 'stripe-signature' }
  }

  #create(asked: Asked): Work {
    const form = new URLSearchParams(asked.body)
    const amount = Number(form.get('amount') ?? Number.NaN)
    if (!isAmountMinor(amount)) return invalid('amount', 'Invalid integer, or no amount at all.')
    const currency = form.get('currency')
    if (!isCurrency(currency)) return invalid('currency', 'Invalid currency: it has three letters.')
    const method = this.#methodIn(form)
    if (typeof method === 'object' && method !== null) return answer(method)
    return this.#once(asked, form, form.get('confirm') === 'true' && method !== null ? { token: this.#token(method), reference: form.get('metadata[reference]') ?? '' } : null, (key, record) => {
      const metadata = Object.fromEntries([...form].flatMap(([name, value]) => /^metadata\[(.+)\]$/.exec(name)?.slice(1, 2).map((field) => [field, value]) ?? []))
      const id = this.#setup.ids.id('pi')
      const intent: Intent = {
        id, amount, currency: currency.toUpperCase(), capture: form.get('capture_method') !== 'manual', paymentMethod: method, metadata, description: form.get('description'),
        latestCharge: null, canceled: false, reference: isText(metadata['reference']) ? metadata['reference'] : id, at: this.#setup.clock.now(),
      }
      this.#intents.set(id, intent)
      return form.get('confirm') === 'true' ? this.#pay(intent, key, record) : this.#stands(record, intent)
    })
  }

  #confirm(asked: Asked, intent: Intent): Work {
    const form = new URLSearchParams(asked.body)
    const method = this.#methodIn(form)
    if (typeof method === 'object' && method !== null) return answer(method)
    const paying = method ?? this.#methodOf(intent)
    const open = this.#status(intent).startsWith('requires_') && this.#status(intent) !== 'requires_capture'
    return this.#once(asked, form, open && paying !== null ? { token: this.#token(paying), reference: intent.reference } : null, (key, record) => {
      if (!['requires_payment_method', 'requires_confirmation'].includes(this.#status(intent))) return this.#unexpected(intent, 'confirm')
      intent.paymentMethod = paying
      return this.#pay(intent, key, record)
    })
  }

  #pay(intent: Intent, key: string | null, record: KeyRecord): HttpResponse {
    const { ledger, log } = this.#setup
    if (intent.paymentMethod === null) return errorObject(400, { type: 'invalid_request_error', code: 'payment_intent_unexpected_state', message: 'You cannot confirm this PaymentIntent because it\'s missing a payment method.', payment_intent: this.#intent(intent) })
    const { amount, currency, reference, capture } = intent
    log.emit('bank.received', { ask: 'charge', key, reference, amount, currency })
    this.#confirming = intent
    const made = ledger.charge({ amount, currency, reference, card: this.#token(intent.paymentMethod), capture }, key)
    this.#confirming = undefined
    if ('refused' in made) return this.#unexpected(intent, 'confirm')
    record.charges.push(made)
    if (made.status !== 'declined') return this.#stands(record, intent)
    return errorObject(402, { ...cardError(made), payment_intent: this.#intent(intent) })
  }

  #capture(asked: Asked, intent: Intent): Work {
    const { ledger, log, keys, schedule, spoilt } = this.#setup
    const form = new URLSearchParams(asked.body)
    const wanted = form.get('amount_to_capture')
    const amount = wanted === null ? undefined : Number(wanted)
    if (amount !== undefined && !isAmountMinor(amount)) return invalid('amount_to_capture', 'Invalid integer.')
    const key = keys.of(asked)
    if (key === undefined) return badKey()
    log.emit('bank.received', { ask: 'capture', key, reference: intent.reference, amount: amount ?? intent.amount, currency: intent.currency })
    return keys.once(key, parameters(asked, form), (record) => spoilt(this.#status(intent) === 'requires_capture' ? schedule.take('capture') : undefined, record, () => {
      const made = intent.latestCharge === null ? undefined : ledger.capture(intent.latestCharge, amount, key)
      if (!made) return this.#unexpected(intent, 'capture')
      if ('refused' in made) return made.refused === 'amount_too_large' ? errorObject(400, { type: 'invalid_request_error', code: 'amount_too_large', param: 'amount_to_capture', message: 'The amount to capture cannot be greater than the amount that was authorized.' }) : this.#unexpected(intent, 'capture')
      record.charges.push(made)
      return this.#stands(record, intent)
    }, () => {}))
  }

  #cancel(asked: Asked, intent: Intent): Work {
    const { ledger, log, keys } = this.#setup
    const form = new URLSearchParams(asked.body)
    const key = keys.of(asked)
    if (key === undefined) return badKey()
    log.emit('bank.received', { ask: 'void', key, reference: intent.reference, amount: null, currency: null })
    return keys.once(key, parameters(asked, form), (record) => ({ finish: () => {
      if (!this.#status(intent).startsWith('requires_')) return keys.keep(record, this.#unexpected(intent, 'cancel'))
      const held = intent.latestCharge === null ? undefined : ledger.find(intent.latestCharge)
      if (held) ledger.release(held)
      intent.canceled = true
      return keys.keep(record, this.#stands(record, intent))
    } }))
  }

  #refund(asked: Asked): Work {
    const { ledger, log, keys, schedule, spoilt } = this.#setup
    const form = new URLSearchParams(asked.body)
    const id = form.get('charge') ?? this.#intents.get(form.get('payment_intent') ?? '')?.latestCharge ?? null
    if (id === null) return form.has('payment_intent') ? missing('payment_intent', form.get('payment_intent')!) : invalid('charge', 'One of charge and payment_intent is required.')
    const original = ledger.find(id)
    if (!original) return missing('charge', id)
    const amount = form.has('amount') ? Number(form.get('amount')) : undefined
    if (amount !== undefined && !isAmountMinor(amount)) return invalid('amount', 'Invalid positive integer.')
    const key = keys.of(asked)
    if (key === undefined) return badKey()
    log.emit('bank.received', { ask: 'refund', key, reference: original.reference, amount: amount ?? original.captured - original.refunded, currency: original.currency })
    const fits = original.status === 'succeeded' && original.refunded + (amount ?? 1) <= original.captured
    return keys.once(key, parameters(asked, form), (record) => spoilt(fits ? schedule.take('refund') : undefined, record, () => {
      const made = ledger.refund(id, amount, key)
      if ('refused' in made) return refundRefused(made, original)
      record.refunds.push(made)
      record.latest = () => json(200, this.#refundObject(made))
      return json(200, this.#refundObject(made))
    }, () => {}))
  }

  #createMethod(asked: Asked): Work {
    const { keys, ids, clock } = this.#setup
    const form = new URLSearchParams(asked.body)
    if (form.has('card[number]')) return answer(rawCard())
    const token = form.get('card[token]')
    if (form.get('type') !== 'card' || !isToken(token)) return invalid('card[token]', 'A payment method is a card, by its token.')
    const key = keys.of(asked)
    if (key === undefined) return badKey()
    return keys.once(key, parameters(asked, form), (record) => ({ finish: () => {
      const id = ids.id('pm')
      this.#methods.set(id, { token, at: clock.now() })
      return keys.keep(record, json(200, methodObject(id, clock.now())))
    } }))
  }

  /** A request that may charge; `paying` is what it would charge, null when it charges nothing, so that no lie is spent on it. */
  #once(asked: Asked, form: URLSearchParams, paying: { token: string; reference: string } | null, apply: (key: string | null, record: KeyRecord) => HttpResponse, mayLie = true): Work {
    const { keys, ledger, schedule, spoilt } = this.#setup
    const key = keys.of(asked)
    if (key === undefined) return badKey()
    return keys.once(key, parameters(asked, form), (record) => {
      const lie = mayLie && paying && !declines(paying.token) && !ledger.isShut(paying.reference) ? schedule.take('charge') : undefined
      return spoilt(lie, record, () => apply(key, record), () => void this.#once(asked, form, paying, apply, false).finish())
    })
  }

  #stands(record: KeyRecord, intent: Intent): HttpResponse {
    record.latest = () => json(200, this.#intent(intent))
    return json(200, this.#intent(intent))
  }

  #withIntent(asked: Asked, work: (intent: Intent) => Work): Work {
    const intent = this.#intents.get(asked.last)
    return intent ? work(intent) : missing('payment_intent', asked.last)
  }

  #unexpected(intent: Intent, verb: string): HttpResponse {
    return errorObject(400, { type: 'invalid_request_error', code: 'payment_intent_unexpected_state', message: `You cannot ${verb} this PaymentIntent because it has a status of ${this.#status(intent)}.`, payment_intent: this.#intent(intent) })
  }

  /** The payment method that a form names: null when it names none, an error when there is no such one. */
  #methodIn(form: URLSearchParams): string | null | HttpResponse {
    if (form.has('payment_method_data[card][number]')) return rawCard()
    const named = form.get('payment_method') ?? form.get('payment_method_data[card][token]')
    if (named === null) return null
    return this.#method(named) || isToken(named) ? named : missingObject('payment_method', named, 400)
  }

  #method(id: string): { token: string; at: number } | undefined {
    return this.#methods.get(id) ?? (/^pm_card_\w{1,58}$/.test(id) ? { token: id, at: 0 } : undefined)
  }

  #token(method: string): string {
    return this.#method(method)?.token ?? method
  }

  #chargesFor({ query }: Asked): readonly Charge[] {
    const intent = new URLSearchParams(query).get('payment_intent')
    const { all } = this.#setup.ledger
    return intent === null ? all : all.filter((charge) => this.#byCharge.get(charge.id)?.id === intent)
  }

  #refundsFor({ query }: Asked): readonly Refund[] {
    const form = new URLSearchParams(query)
    const [charge, intent] = [form.get('charge'), form.get('payment_intent')]
    const { ledger } = this.#setup
    if (charge !== null) return ledger.refundsOf(charge)
    return intent === null ? ledger.refunds : ledger.refunds.filter((refund) => this.#byCharge.get(refund.charge)?.id === intent)
  }

  /** Newest first; `all` gives them oldest first. */
  #list<T extends { id: string; at: number }>(asked: Asked, all: () => readonly T[], object: (item: T) => unknown): Work {
    const form = new URLSearchParams(asked.query)
    const limit = Number(form.get('limit') ?? PAGE.usual)
    if (!(Number.isInteger(limit) && limit >= 1 && limit <= PAGE.most)) return invalid('limit', `limit is a number from 1 to ${PAGE.most}.`)
    const after = form.get('starting_after')
    if (after !== null && !all().some((item) => item.id === after)) return answer(missingObject('starting_after', after, 400))
    let more = false
    return this.#setup.search<T>('time', after ?? '', (found) => json(200, { object: 'list', url: asked.path.split('?')[0], has_more: more, data: found.toReversed().map(object) }), () => {
      const items = all()
      const end = after === null ? items.length : items.findIndex((item) => item.id === after)
      more = end > limit
      return items.slice(Math.max(end - limit, 0), end)
    })
  }

  #retrieve<T extends { at: number }>(asked: Asked, kind: string, find: (id: string) => T | undefined, object: (item: T) => unknown): Work {
    return this.#setup.search<T>('id', asked.last, (found) => (found[0] ? json(200, object(found[0])) : missingObject(kind, asked.last)), () => {
      const item = find(asked.last)
      return item ? [item] : []
    })
  }

  #status(intent: Intent): string {
    const charge = intent.latestCharge === null ? undefined : this.#setup.ledger.find(intent.latestCharge)
    if (charge && charge.captured > 0) return 'succeeded'
    if (intent.canceled || charge?.status === 'voided' || charge?.status === 'expired') return 'canceled'
    if (charge?.status === 'authorised') return 'requires_capture'
    return this.#methodOf(intent) === null ? 'requires_payment_method' : 'requires_confirmation'
  }

  /** A card that was declined is not tried again by itself. */
  #methodOf({ latestCharge, paymentMethod }: Intent): string | null {
    return latestCharge !== null && this.#setup.ledger.find(latestCharge)!.status === 'declined' ? null : paymentMethod
  }

  #intent(intent: Intent): Record<string, unknown> {
    const charge = intent.latestCharge === null ? undefined : this.#setup.ledger.find(intent.latestCharge)
    const status = this.#status(intent)
    return {
      id: intent.id, object: 'payment_intent', amount: intent.amount, amount_capturable: status === 'requires_capture' ? intent.amount : 0, amount_received: charge?.captured ?? 0,
      capture_method: intent.capture ? 'automatic' : 'manual', client_secret: `${intent.id}_secret_mock`, confirmation_method: 'automatic', created: seconds(intent.at),
      currency: intent.currency.toLowerCase(), description: intent.description, last_payment_error: charge?.status === 'declined' ? cardError(charge) : null, latest_charge: intent.latestCharge,
      livemode: false, metadata: intent.metadata, next_action: null, payment_method: this.#methodOf(intent), payment_method_types: ['card'], status,
    }
  }

  #charge(charge: Charge): Record<string, unknown> {
    const failed = charge.status === 'declined'
    // Stripe knows no void of a capture: there it is a refund of all that was left.
    const refunded = charge.status === 'voided' ? charge.captured : charge.refunded
    const error = failed ? cardError(charge) : undefined
    return {
      id: charge.id, object: 'charge', amount: charge.amount, amount_captured: charge.captured, amount_refunded: refunded, balance_transaction: null, captured: charge.captured > 0,
      created: seconds(charge.at), currency: charge.currency.toLowerCase(), failure_code: error?.code ?? null, failure_message: error?.message ?? null, livemode: false,
      metadata: this.#byCharge.get(charge.id)?.metadata ?? { reference: charge.reference }, paid: !failed, payment_intent: this.#byCharge.get(charge.id)?.id ?? null,
      payment_method_details: { type: 'card', card: { last4: charge.last4 } }, refunded: refunded > 0 && refunded === charge.captured, status: failed ? 'failed' : 'succeeded',
    }
  }

  #refundObject(refund: Refund): Record<string, unknown> {
    const currency = this.#setup.ledger.find(refund.charge)!.currency.toLowerCase()
    return { id: refund.id, object: 'refund', amount: refund.amount, charge: refund.charge, created: seconds(refund.at), currency, metadata: {}, payment_intent: this.#byCharge.get(refund.charge)?.id ?? null, reason: null, status: 'succeeded' }
  }
}

const EVENT_TYPES: Record<Happening, string> = {
  'charge.authorised': 'payment_intent.amount_capturable_updated',
  'charge.succeeded': 'payment_intent.succeeded',
  'charge.captured': 'payment_intent.succeeded',
  'charge.declined': 'payment_intent.payment_failed',
  'charge.voided': 'payment_intent.canceled',
  'charge.expired': 'payment_intent.canceled',
  'refund.succeeded': 'charge.refunded',
}

interface StripeError {
  type: 'card_error' | 'invalid_request_error' | 'idempotency_error' | 'api_error'
  code?: string
  decline_code?: string
  message: string
  param?: string
  charge?: string
  payment_intent?: unknown
}

function errorObject(status: number, error: StripeError): HttpResponse {
  return json(status, { error })
}

function cardError({ id, reason }: Charge): StripeError {
  const expired = reason === 'expired_card'
  const message = expired ? 'Your card has expired.' : reason === 'insufficient_funds' ? 'Your card has insufficient funds.' : 'Your card was declined.'
  return { type: 'card_error', code: expired ? 'expired_card' : 'card_declined', decline_code: reason ?? undefined, message, charge: id }
}

function refundRefused(refused: Refusal, { id, refunded }: Charge): HttpResponse {
  const given = ('left' in refused && refused.left === 0 && refunded > 0) || ('status' in refused && refused.status === 'voided')
  if (given) return errorObject(400, { type: 'invalid_request_error', code: 'charge_already_refunded', message: `Charge ${id} has already been refunded.` })
  if ('left' in refused) return errorObject(400, { type: 'invalid_request_error', code: 'amount_too_large', param: 'amount', message: `Refund amount is greater than the unrefunded amount on charge (${refused.left}).` })
  return errorObject(400, { type: 'invalid_request_error', code: 'charge_not_refundable', message: `Charge ${id} cannot be refunded: no money was captured.` })
}

/** `why` never repeats what was sent, for it may hold a card number. */
function invalid(param: string, message: string): Work {
  return answer(errorObject(400, { type: 'invalid_request_error', code: 'parameter_invalid', param, message }))
}

function missing(kind: string, id: string): Work {
  return answer(missingObject(kind, id))
}

function missingObject(kind: string, id: string, status = 404): HttpResponse {
  const shown = /^[a-z]{2,3}_\w{1,80}$/.test(id) ? `: '${id}'` : ''
  return errorObject(status, { type: 'invalid_request_error', code: 'resource_missing', param: kind, message: `No such ${kind}${shown}` })
}

function rawCard(): HttpResponse {
  return errorObject(400, { type: 'invalid_request_error', message: 'Sending credit card numbers directly to the API is unsafe; use a test token such as tok_visa or pm_card_visa.' })
}

function badKey(): Work {
  return answer(errorObject(400, { type: 'invalid_request_error', message: 'An Idempotency-Key has 1 to 255 characters.' }))
}

function methodObject(id: string, at: number): Record<string, unknown> {
  return { id, object: 'payment_method', type: 'card', card: { brand: 'visa' }, created: seconds(at), customer: null, livemode: false, metadata: {} }
}

/** Whatever order a client writes them in. */
function parameters(asked: Asked, form: URLSearchParams): unknown[] {
  return ['stripe', asked.path, ...[...form].map(([name, value]) => `${name}=${value}`).sort()]
}

function isToken(value: string | null): value is string {
  return value !== null && /^tok_\w{1,64}$/.test(value)
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000)
}
