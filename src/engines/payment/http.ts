/**
 * The payments HTTP face: what may be asked, and how every answer reads.
 *
 *   POST /v1/payments                Idempotency-Key, {amount, currency, order, card, description?, charge_later?: {email}}
 *   GET  /v1/payments/{id}           where it stands
 *   GET  /v1/payments?order=ID       the payments of an order
 *   POST /v1/payments/{id}/refunds   Idempotency-Key, {amount?}: all that is left when no amount is given
 *   POST /v1/payments/{id}/cancel    whatever comes of it shall be undone
 *   GET  /v1/refunds/{id}
 *   POST /v1/bank-events             the bank's own, signed
 *   GET  /healthz, GET /metrics
 *
 * | situation                                        | answer |
 * |--------------------------------------------------|--------|
 * | charged                                          | 201, stored under the key |
 * | the money is held, and is captured afterwards    | 201, stored under the key; 409 from then on if the hold has to be let go |
 * | declined                                         | 402, stored under the key |
 * | the same key again                               | the same status and body, Idempotent-Replayed: true |
 * | not known yet                                    | 202, Location, Retry-After: do not pay again |
 * | not charged yet, with consent: it will be        | 202, Location |
 * | not charged, try again with the same key         | 503, Retry-After |
 * | key missing, empty, over 255 characters, twice, or with control characters or commas | 400 |
 * | key used before with another request             | 422 |
 * | key in use in another process, or order already paid under another key | 409 |
 * | body not as above                                | 422 with a pointer to the field |
 *
 * Source: draft-ietf-httpapi-idempotency-key-header-07; RFC 9457 for problem documents.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { HttpRequest, HttpResponse } from '../../network.ts'
import { json, parseJson, problem } from '../../network.ts'
import type { Row } from '../store/store.ts'
import type { State } from './machine.ts'
import { chargeState, FINAL } from './machine.ts'
import type { Refund } from './refunds.ts'

/** A row of `payments`. */
export interface Payment extends Row {
  id: string
  scope: string
  key: string
  fingerprint: string
  order_ref: string
  amount: number
  currency: string
  card: string | null
  description: string
  state: State
  epoch: number
  owner_node: string
  owner_life: number
  bank_key: string
  /** The bank that was asked last. */
  acquirer: string
  /** 1: authorised beside fraud, captured afterwards. */
  two_step: number
  /** How often the bank's answer was in doubt: above 0, no other bank may be asked. */
  doubts: number
  cancelled_at: number | null
  queue_until: number | null
  due_at: number | null
  retry_ms: number | null
  email: string | null
  attempts: number
  first_sent_at: number | null
  sent_at: number | null
  charge: string | null
  reason: string | null
  answer_status: number | null
  answer_body: string | null
  finished_at: number | null
  created_at: number
  updated_at: number
}

/** ISO 4217 codes that the reference engine takes. */
const CURRENCIES = ['AUD', 'BRL', 'CAD', 'CHF', 'CZK', 'DKK', 'EUR', 'GBP', 'HKD', 'INR', 'JPY', 'KRW', 'KWD', 'MXN', 'NOK', 'NZD', 'PLN', 'SEK', 'SGD', 'USD', 'ZAR'] as const

/** Largest amount, minor units: nobody pays a hundred million by card, and every sum of them stays an exact integer. */
export const LARGEST_AMOUNT = 99_999_999_99

/** Text that survives UTF-8: a lone surrogate would be stored as something else than what was sent. */
const text = (max: number) => z.string().min(1).max(max).refine((s) => s.isWellFormed(), 'is not well-formed Unicode')

const paymentBody = z.strictObject({
  amount: z.number().int('must be an integer in minor units (cents): 9900 is $99.00').positive().max(LARGEST_AMOUNT),
  currency: z.enum(CURRENCIES),
  order: text(100),
  card: text(64).regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces'),
  description: text(500).optional(),
  /** The payer agrees to be charged within the hour when it cannot be done now, and to be told by mail. */
  charge_later: z.strictObject({ email: text(254).regex(/^[^\s@]+@[^\s@]+$/, 'must be a mail address') }).optional(),
})

const refundBody = z.strictObject({ amount: z.number().int('must be an integer in minor units').positive().max(LARGEST_AMOUNT).optional() })

export type Asked = z.infer<typeof paymentBody>

/** Tells well-formed requests from others; an HttpResponse is the refusal. */
export function readPayment(request: HttpRequest): Asked | HttpResponse {
  return read(paymentBody, request, 'payment', '{"amount":9900,"currency":"USD","order":"order-1","card":"tok_visa"}')
}

/** The same for a refund; an empty body asks for all that is left. */
export function readRefund(request: HttpRequest): z.infer<typeof refundBody> | HttpResponse {
  return read(refundBody, request.body === '' ? { ...request, body: '{}' } : request, 'refund', '{"amount":500}')
}

function read<T extends object>(schema: z.ZodType<T>, request: HttpRequest, what: string, example: string): T | HttpResponse {
  const parsed = parseJson(request.body)
  if (parsed === undefined) return problem(400, 'body-not-json', 'The body is not JSON', { detail: `send ${example}` })
  const result = schema.safeParse(parsed)
  if (result.success) return result.data
  const errors = result.error.issues.slice(0, 10).flatMap((issue) => {
    const at = (path: PropertyKey[]) => `#/${path.map((part) => String(part).replaceAll('~', '~0').replaceAll('/', '~1')).join('/')}`
    if (issue.code === 'unrecognized_keys') return issue.keys.slice(0, 10).map((key) => ({ pointer: at([...issue.path, key.slice(0, 100)]), detail: `is not a field of a ${what}` }))
    return [{ pointer: at(issue.path), detail: issue.message }]
  })
  return problem(422, `invalid-${what}`, `The ${what} is not valid`, { detail: errors.map((error) => `${error.pointer} ${error.detail}`).join('; '), errors })
}

export const LONGEST_KEY = 255

/** The key, or the refusal. An RFC 8941 string in double quotes and the bare value name the same key. */
export function readKey(request: HttpRequest): string | HttpResponse {
  const raw = request.headers['idempotency-key']
  const refuse = (detail: string) => problem(400, 'idempotency-key-invalid', 'The Idempotency-Key is missing or malformed', { detail, safe_new_key: true, charge_state: 'none' })
  if (raw === undefined) return refuse('send one Idempotency-Key header, unique for each payment, the same on every retry of it')
  const key = /^"[^"]*"$/.test(raw) ? raw.slice(1, -1) : raw
  if (key === '') return refuse('the key is empty')
  if (key.length > LONGEST_KEY) return refuse(`the key has ${key.length} characters, the most is ${LONGEST_KEY}`)
  if (!/^[\x21-\x7e]+$/.test(key) || key.includes(',') || key.includes('"')) return refuse('the key must be printable ASCII without spaces, commas or quotes, sent once')
  return key
}

/** Whose keys these are: callers with different credentials never see each other's payments. */
export function scopeOf(request: HttpRequest): string {
  const credential = request.headers['authorization']
  return credential === undefined ? 'public' : createHash('sha256').update(credential).digest('hex').slice(0, 32)
}

/** SHA-256 over route and fields in a fixed order: reordered JSON and white space are the same request, another amount is not. */
export function fingerprintOf(route: string, asked: Asked): string {
  const canonical = JSON.stringify([route, asked.amount, asked.currency, asked.order, asked.card, asked.description ?? null, ...(asked.charge_later ? [asked.charge_later.email] : [])])
  return createHash('sha256').update(canonical).digest('hex')
}

/** How long a client should wait before it asks again, ms. */
const ASK_AGAIN_MS = 1000

function fieldsOf(payment: Payment): Record<string, unknown> {
  const charged = chargeState(payment.state)
  return {
    payment_id: payment.id,
    state: payment.state,
    charge_state: charged,
    amount: payment.amount,
    currency: payment.currency,
    order: payment.order_ref,
    safe_new_key: charged === 'none' && payment.state !== 'queued',
    retry_after_ms: FINAL.includes(payment.state) ? null : askAgainMs(payment),
  }
}

const askAgainMs = (payment: Payment) => Math.max(ASK_AGAIN_MS, payment.state === 'released' ? (payment.retry_ms ?? 0) : 0)

const location = (payment: Payment) => `/v1/payments/${payment.id}`
const retryAfter = (ms = ASK_AGAIN_MS) => ({ 'retry-after': String(Math.ceil(ms / 1000)) })

/** The answer that a final payment's key always gets; its status and body are stored. */
export function finalAnswer(payment: Payment): HttpResponse {
  if (payment.state === 'succeeded' || payment.state === 'authorised') return json(201, { ...fieldsOf(payment), charge: payment.charge }, { location: location(payment) })
  if (payment.state === 'declined') return problem(402, 'declined', 'The payment was declined', { detail: `You have not been charged: ${payment.reason ?? 'declined'}.`, ...fieldsOf(payment) }, { location: location(payment) })
  return problem(409, 'voided', 'The payment was given up and voided', { detail: 'You have not been charged, and this payment never will be. Pay again with a new key.', ...fieldsOf(payment) }, { location: location(payment) })
}

/** The answer to the key of this payment, as it stands. `replayed` when another request made it. */
export function answerOf(payment: Payment, replayed: boolean): HttpResponse {
  const mark: Record<string, string> = replayed ? { 'idempotent-replayed': 'true' } : {}
  if (payment.answer_status !== null && payment.answer_body !== null) {
    const type = payment.answer_status < 300 ? 'application/json' : 'application/problem+json'
    return { status: payment.answer_status, headers: { 'content-type': type, location: location(payment), ...mark }, body: payment.answer_body }
  }
  if (payment.state === 'released') {
    return problem(503, 'not-charged', 'Not charged, try again', { detail: `You have not been charged (${payment.reason ?? 'not attempted'}). Try again with the same key.`, ...fieldsOf(payment) }, retryAfter(askAgainMs(payment)))
  }
  const detail =
    payment.state === 'queued'
      ? 'You have not been charged yet. You will be within the hour, and be told by mail. Do not pay again.'
      : payment.state === 'review'
        ? 'Somebody is looking into this payment. Do not pay again.'
        : 'It is not known yet whether the bank charged. Do not pay again; ask here.'
  return json(202, { ...fieldsOf(payment), detail }, { location: location(payment), ...retryAfter() })
}

/** Where a payment stands, for whoever asks later. */
export function statusOf(payment: Payment): HttpResponse {
  return json(200, { ...fieldsOf(payment), charge: payment.charge, reason: payment.reason, attempts: payment.attempts, created_at: payment.created_at, updated_at: payment.updated_at })
}

export function keyReused(): HttpResponse {
  return problem(422, 'idempotency-key-reused', 'The key was used before with another request', { detail: 'Nothing was charged by this request. Use a new key for a new payment, and the same request for the same key.', charge_state: 'none', safe_new_key: true })
}

export function keyInUse(payment: Payment): HttpResponse {
  return problem(409, 'idempotency-key-in-use', 'A request with this key is being processed', { detail: 'Ask again in a moment with the same key.', ...fieldsOf(payment) }, { location: location(payment), ...retryAfter() })
}

export function orderTaken(payment: Payment): HttpResponse {
  return problem(409, 'order-has-payment', 'The order already has a payment under another key', { detail: 'Nothing was charged by this request. Look at the payment named here.', ...fieldsOf(payment), safe_new_key: false }, { location: location(payment) })
}

export function resultExpired(payment: Payment): HttpResponse {
  return problem(409, 'result-expired', 'The stored answer has expired; the key has not', { detail: 'Nothing was charged by this request. The payment stands as told here.', ...fieldsOf(payment), safe_new_key: false }, { location: location(payment) })
}

export function unavailable(detail: string, charged: 'none' | 'unknown'): HttpResponse {
  return problem(503, 'unavailable', 'Try again in a moment with the same key', { detail, charge_state: charged, safe_new_key: charged === 'none', retry_after_ms: ASK_AGAIN_MS }, retryAfter())
}

/** The answer to a wish to undo it. */
export function cancelAnswer(payment: Payment): HttpResponse {
  if (payment.state === 'voided') return json(200, { ...fieldsOf(payment), detail: 'You have not been charged, and this payment never will be.' }, { location: location(payment) })
  if (payment.cancelled_at !== null && !FINAL.includes(payment.state)) return json(202, { ...fieldsOf(payment), detail: 'It is being undone: whatever the bank has done or will do is given back.' }, { location: location(payment), ...retryAfter() })
  return problem(409, 'not-cancellable', 'The payment has come to its end', { detail: payment.state === 'succeeded' ? `Give the money back with POST ${location(payment)}/refunds.` : 'There is nothing to undo.', ...fieldsOf(payment) }, { location: location(payment) })
}

const refundFields = (refund: Refund, payment: Payment) => ({ refund_id: refund.id, payment_id: payment.id, state: refund.state, amount: refund.amount, currency: payment.currency, refund: refund.refund, reason: refund.reason })

/** The answer to a refund as it stands; final ones are stored under its key. */
export function refundAnswer(refund: Refund, payment: Payment, replayed: boolean): HttpResponse {
  const headers = { location: `/v1/refunds/${refund.id}`, ...(replayed && refund.answer_body !== null ? { 'idempotent-replayed': 'true' } : {}) }
  if (refund.answer_status !== null && refund.answer_body !== null) return { status: refund.answer_status, headers: { 'content-type': refund.answer_status < 300 ? 'application/json' : 'application/problem+json', ...headers }, body: refund.answer_body }
  if (refund.state === 'succeeded') return json(201, refundFields(refund, payment), headers)
  if (refund.state === 'refused') return problem(409, 'refund-refused', 'The bank refused the refund', { detail: `Nothing was given back: ${refund.reason ?? 'refused'}.`, ...refundFields(refund, payment) }, headers)
  const detail = refund.state === 'review' ? 'Somebody is looking into this refund. Do not ask again.' : 'It is not known yet whether the bank gave it back. Do not ask again under another key; look here.'
  return json(202, { ...refundFields(refund, payment), detail }, { ...headers, ...retryAfter() })
}
