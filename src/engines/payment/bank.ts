/**
 * The bank as the engine sees it: the requests it is sent, and what its answers mean.
 *
 * | outcome of the exchange                                             | meaning     |
 * |---------------------------------------------------------------------|-------------|
 * | failed (never sent)                                                 | not_applied |
 * | unknown (reset, timeout, truncated)                                 | unknown     |
 * | 200, 201 with the charge that was asked for                         | succeeded   |
 * | 200, 201 with another amount, currency or reference                 | review      |
 * | 200, 201 that cannot be read (an operator is told), or is pending   | unknown     |
 * | 402 with a decline                                                  | declined    |
 * | 400, 401, 403, 404, 405, 413, 422                                   | not_applied |
 * | 425, 429, and 503 with Retry-After (proof that it was not processed)| not_applied |
 * | 408, 409 (in progress), 500, 502, 503 without proof, 504, any other | unknown     |
 */
import type { HttpRequest, HttpResponse, Outcome } from '../../network.ts'
import { parseJson } from '../../network.ts'
import { DEADLINE_HEADER } from '../policies/deadline.ts'

export type Meaning =
  | { kind: 'succeeded'; charge: string }
  | { kind: 'declined'; reason: string }
  | { kind: 'voided' }
  | { kind: 'not_applied'; why: string; ours: boolean }
  /** `strange`: the answer is none that a bank gives, and an operator should look. */
  | { kind: 'unknown'; why: string; strange?: boolean }
  | { kind: 'review'; why: string }

/** What was asked of the bank. */
export interface Asked {
  id: string
  amount: number
  currency: string
  card: string | null
}

export function chargeRequest(asked: Asked, bankKey: string, timeoutMs: number): HttpRequest {
  return post('/v1/charges', bankKey, timeoutMs, { amount: asked.amount, currency: asked.currency, reference: asked.id, card: asked.card })
}

export function voidRequest(asked: Asked, bankKey: string, timeoutMs: number): HttpRequest {
  return post('/v1/voids', `${bankKey}-void`, timeoutMs, { reference: asked.id })
}

export function lookupRequest(bankKey: string, timeoutMs: number): HttpRequest {
  return { method: 'GET', path: `/v1/charges?key=${encodeURIComponent(bankKey)}`, headers: { accept: 'application/json', [DEADLINE_HEADER]: String(Math.floor(timeoutMs)) }, body: '' }
}

export function post(path: string, key: string, timeoutMs: number, body: unknown): HttpRequest {
  return {
    method: 'POST',
    path,
    headers: { 'content-type': 'application/json', accept: 'application/json', 'idempotency-key': key, [DEADLINE_HEADER]: String(Math.floor(timeoutMs)) },
    body: JSON.stringify(body),
  }
}

const REFUSED_UNPROCESSED = new Set([400, 401, 403, 404, 405, 413, 422])

export function meaningOfCharge(asked: Asked, outcome: Outcome<HttpResponse>): Meaning {
  if (outcome.kind !== 'ok') return outcome.kind === 'failed' ? { kind: 'not_applied', why: outcome.error.code, ours: false } : { kind: 'unknown', why: outcome.error.code }
  const { status, headers, body } = outcome.value
  if (status === 200 || status === 201) return meaningOfRecord(asked, parseJson(body))
  if (status === 402) return { kind: 'declined', reason: reasonOf(parseJson(body)) }
  if (REFUSED_UNPROCESSED.has(status)) return { kind: 'not_applied', why: `the bank answered ${status}`, ours: true }
  if (status === 425 || status === 429 || (status === 503 && headers['retry-after'] !== undefined)) return { kind: 'not_applied', why: `the bank answered ${status}`, ours: false }
  return { kind: 'unknown', why: `the bank answered ${status}` }
}

/** What one charge of the bank's says, from an answer or from a look-up. */
export function meaningOfRecord(asked: Asked, record: unknown): Meaning {
  if (record === null || typeof record !== 'object') return { kind: 'unknown', why: 'the answer cannot be read', strange: true }
  const { id, status, amount, currency, reference } = record as Record<string, unknown>
  if (status === 'voided') return { kind: 'voided' }
  if (status === 'declined') return { kind: 'declined', reason: reasonOf(record) }
  if (status !== 'succeeded' || typeof id !== 'string') return { kind: 'unknown', why: 'the answer is not a charge' }
  if (amount !== asked.amount || currency !== asked.currency || reference !== asked.id) {
    return { kind: 'review', why: `asked for ${asked.amount} ${asked.currency} for ${asked.id}, the bank says ${String(amount)} ${String(currency)} for ${String(reference)}` }
  }
  return { kind: 'succeeded', charge: id }
}

/** The charges of a look-up, or undefined when the look-up itself told nothing. */
export function chargesFound(outcome: Outcome<HttpResponse>): unknown[] | undefined {
  if (outcome.kind !== 'ok' || outcome.value.status !== 200) return undefined
  const charges = (parseJson(outcome.value.body) as { charges?: unknown } | null | undefined)?.charges
  return Array.isArray(charges) ? charges : undefined
}

function reasonOf(record: unknown): string {
  const reason = (record as { reason?: unknown } | null | undefined)?.reason
  return typeof reason === 'string' ? reason.slice(0, 100) : 'declined'
}
