/**
 * How a payment service wants to be spoken to. The default is our own HTTP face; a stranger's service brings its own four answers:
 * how to ask for a payment, how to ask where it stands, and how to read both.
 */
import type { HttpRequest, HttpResponse } from '../../network.ts'
import { parseJson } from '../../network.ts'

/**
 * What the payer was told about the money.
 *
 * | told          | means |
 * |---------------|-------|
 * | charged       | the money moved, once |
 * | authorised    | the money is held, and will be captured |
 * | declined      | it did not and never will, by this key |
 * | not_charged   | it did not, so far; the same key may try again |
 * | pending       | not known yet |
 * | review        | not known, and somebody looks into it |
 * | conflict      | this request was not processed: another one is |
 * | refused       | this request was not processed: it is wrong |
 * | not_found     | no such payment |
 * | nothing       | no answer, or one that says nothing |
 */
export type ToldWord = 'charged' | 'authorised' | 'declined' | 'not_charged' | 'pending' | 'review' | 'conflict' | 'refused' | 'not_found' | 'nothing'

export interface Told {
  told: ToldWord
  /** The service's own id of the payment, when it gave one. */
  payment: string | null
  /** Whether the answer said that paying again with a new key is safe; null when it did not say. */
  safeNewKey: boolean | null
}

export interface PayOrder {
  order: string
  key: string
  /** Minor units. */
  amount: number
  currency: string
  card: string
}

export interface PaymentAdapter {
  /** Ms within which the service promises an answer. */
  deadlineMs: number
  pay(order: PayOrder): HttpRequest
  /** How to ask where a payment stands, or null when the service has no such face: then the same key is sent again. */
  status(order: PayOrder, payment: string | null): HttpRequest | null
  read(response: HttpResponse): Told
  /** How to ask for money back (`amount` null: all that is left), and for a payment to be undone; absent where the service has no such face. */
  refund?(payment: string, key: string, amount: number | null): HttpRequest
  readRefund?(response: HttpResponse): ToldOfRefund
  cancel?(payment: string): HttpRequest
}

/**
 * What a customer was told about money that he wants back.
 *
 * | told     | means |
 * |----------|-------|
 * | refunded | he has it, once |
 * | pending  | not known yet |
 * | review   | not known, and somebody looks into it |
 * | refused  | he does not get it by this key |
 * | nothing  | no answer, or one that says nothing |
 */
export interface ToldOfRefund {
  told: 'refunded' | 'pending' | 'review' | 'refused' | 'nothing'
  /** Minor units; null when the answer named none. */
  amount: number | null
}

export const ourFace: PaymentAdapter = {
  deadlineMs: 5000,
  pay: ({ order, key, amount, currency, card }) => ({
    method: 'POST',
    path: '/v1/payments',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ amount, currency, order, card }),
  }),
  status: ({ order }, payment) => ({ method: 'GET', path: payment === null ? `/v1/payments?order=${encodeURIComponent(order)}` : `/v1/payments/${payment}`, headers: {}, body: '' }),
  read: (response) => {
    const parsed = parseJson(response.body) as Record<string, unknown> | null | undefined
    const list = parsed?.['payments']
    const body = Array.isArray(list) ? (list.at(-1) as Record<string, unknown> | undefined) : parsed
    const payment = typeof body?.['payment_id'] === 'string' ? body['payment_id'] : null
    const safeNewKey = typeof body?.['safe_new_key'] === 'boolean' ? body['safe_new_key'] : null
    return { told: wordFor(response.status, body, Array.isArray(list)), payment, safeNewKey }
  },
  refund: (payment, key, amount) => ({
    method: 'POST',
    path: `/v1/payments/${payment}/refunds`,
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: amount === null ? '' : JSON.stringify({ amount }),
  }),
  readRefund: ({ status, body: text }) => {
    const body = parseJson(text) as { state?: unknown; amount?: unknown } | null | undefined
    const amount = typeof body?.amount === 'number' ? body.amount : null
    if (status === 201) return { told: 'refunded', amount }
    if (status === 202) return { told: body?.state === 'review' ? 'review' : 'pending', amount }
    return { told: status >= 400 && status < 500 ? 'refused' : 'nothing', amount }
  },
  cancel: (payment) => ({ method: 'POST', path: `/v1/payments/${payment}/cancel`, headers: {}, body: '' }),
}

function wordFor(status: number, body: Record<string, unknown> | null | undefined, listed: boolean): ToldWord {
  if (status === 404 || (listed && body === undefined)) return 'not_found'
  if (status === 409) return body?.['state'] === 'voided' ? 'declined' : 'conflict'
  if (status === 400 || status === 405 || status === 413 || status === 422) return 'refused'
  if (status === 402) return 'declined'
  if (status === 503) return body?.['charge_state'] === 'none' ? 'not_charged' : 'nothing'
  if (status < 200 || status > 202) return 'nothing'
  switch (body?.['state']) {
    case 'succeeded':
      return 'charged'
    case 'authorised':
      return 'authorised'
    case 'declined':
    case 'voided':
      return 'declined'
    case 'released':
      return 'not_charged'
    case 'review':
      return 'review'
    case 'claimed':
    case 'queued':
    case 'sent':
    case 'unknown':
      return 'pending'
    default:
      return 'nothing'
  }
}
