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
 * | 200, 201 that says "failed": a body can lie about a time-out        | unknown, unless the provider's code is known to be definite |
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
  /** The money is held, and moves when it is captured. */
  | { kind: 'authorised'; charge: string }
  | { kind: 'declined'; reason: string }
  | { kind: 'voided' }
  /** `retryMs`: when the bank said to come again; absent when it did not. `ours`: the request was wrong. */
  | { kind: 'not_applied'; why: string; ours: boolean; retryMs?: number }
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

export function chargeRequest(asked: Asked, bankKey: string, timeoutMs: number, capture = true): HttpRequest {
  return post('/v1/charges', bankKey, timeoutMs, { amount: asked.amount, currency: asked.currency, reference: asked.id, card: asked.card, ...(capture ? {} : { capture }) })
}

export function captureRequest(charge: string, amount: number, bankKey: string, timeoutMs: number): HttpRequest {
  return post('/v1/captures', `${bankKey}-capture`, timeoutMs, { charge, amount })
}

export function refundRequest(charge: string, amount: number, bankKey: string, timeoutMs: number): HttpRequest {
  return post('/v1/refunds', bankKey, timeoutMs, { charge, amount })
}

export function refundLookupRequest(bankKey: string, timeoutMs: number): HttpRequest {
  return get(`/v1/refunds?key=${encodeURIComponent(bankKey)}`, timeoutMs)
}

/** A page of the bank's listing: charges made in [since, until), ms since 1970, behind the charge `after`. */
export function listingRequest(since: number, until: number, after: string | undefined, limit: number, timeoutMs: number): HttpRequest {
  return get(`/v1/charges?since=${since}&until=${until}&limit=${limit}${after === undefined ? '' : `&after=${encodeURIComponent(after)}`}`, timeoutMs)
}

export function voidRequest(asked: Pick<Asked, 'id'>, bankKey: string, timeoutMs: number): HttpRequest {
  return post('/v1/voids', `${bankKey}-void`, timeoutMs, { reference: asked.id })
}

/** By our own reference, which a bank remembers longer than it does a key. */
export function lookupRequest(reference: string, timeoutMs: number): HttpRequest {
  return get(`/v1/charges?reference=${encodeURIComponent(reference)}`, timeoutMs)
}

function get(path: string, timeoutMs: number): HttpRequest {
  return { method: 'GET', path, headers: { accept: 'application/json', [DEADLINE_HEADER]: String(Math.floor(timeoutMs)) }, body: '' }
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

/** What a provider's own words mean, by the `code` of a body that says "failed". Without an entry: unknown. */
export type ProviderCodes = Readonly<Record<string, 'declined' | 'not_applied' | 'unknown'>>

export function meaningOfCharge(asked: Asked, outcome: Outcome<HttpResponse>, codes: ProviderCodes = {}): Meaning {
  const refused = meaningOfRefusal(outcome)
  if (refused) return refused
  return meaningOfRecord(asked, parseJson((outcome as { value: HttpResponse }).value.body), codes)
}

/** What an exchange means that ended without a 200 or 201; undefined for one that did not. The same for every kind of request. */
export function meaningOfRefusal(outcome: Outcome<HttpResponse>): Exclude<Meaning, { kind: 'succeeded' | 'authorised' | 'voided' | 'review' }> | undefined {
  if (outcome.kind !== 'ok') return outcome.kind === 'failed' ? { kind: 'not_applied', why: outcome.error.code, ours: false } : { kind: 'unknown', why: outcome.error.code }
  const { status, headers, body } = outcome.value
  if (status === 200 || status === 201) return undefined
  if (status === 402) return { kind: 'declined', reason: reasonOf(parseJson(body)) }
  if (REFUSED_UNPROCESSED.has(status)) return { kind: 'not_applied', why: `the bank answered ${status}`, ours: true }
  const retryMs = retryAfterMs(headers['retry-after'])
  if (status === 425 || status === 429 || (status === 503 && headers['retry-after'] !== undefined)) return { kind: 'not_applied', why: `the bank answered ${status}`, ours: false, retryMs }
  return { kind: 'unknown', why: `the bank answered ${status}` }
}

/** Seconds, as RFC 9110 has it; undefined for a date, for nothing, or for what cannot be read. */
function retryAfterMs(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,7}$/.test(header) ? Number(header) * 1000 : undefined
}

/** What one charge of the bank's says, from an answer or from a look-up. */
export function meaningOfRecord(asked: Asked, record: unknown, codes: ProviderCodes = {}): Meaning {
  if (record === null || typeof record !== 'object') return { kind: 'unknown', why: 'the answer cannot be read', strange: true }
  const { id, status, amount, currency, reference, code } = record as Record<string, unknown>
  if (status === 'voided') return { kind: 'voided' }
  if (status === 'declined') return { kind: 'declined', reason: reasonOf(record) }
  if (status === 'failed') {
    const known = typeof code === 'string' && Object.hasOwn(codes, code) ? codes[code] : 'unknown'
    if (known === 'declined') return { kind: 'declined', reason: String(code).slice(0, 100) }
    return known === 'not_applied' ? { kind: 'not_applied', why: `the bank says ${String(code).slice(0, 100)}`, ours: false } : { kind: 'unknown', why: 'the bank says that it failed, and not whether it charged' }
  }
  if ((status !== 'succeeded' && status !== 'authorised') || typeof id !== 'string') return { kind: 'unknown', why: 'the answer is not a charge' }
  if (amount !== asked.amount || currency !== asked.currency || reference !== asked.id) {
    return { kind: 'review', why: `asked for ${asked.amount} ${asked.currency} for ${asked.id}, the bank says ${String(amount)} ${String(currency)} for ${String(reference)}` }
  }
  return { kind: status, charge: id }
}

/** The charges (or refunds) of a look-up, or undefined when the look-up itself told nothing. */
export function recordsFound(outcome: Outcome<HttpResponse>, list: 'charges' | 'refunds' = 'charges'): unknown[] | undefined {
  if (outcome.kind !== 'ok' || outcome.value.status !== 200) return undefined
  const found = (parseJson(outcome.value.body) as Record<string, unknown> | null | undefined)?.[list]
  return Array.isArray(found) ? found : undefined
}

/** Of several charges under one reference, the one that moved money, or holds it; else the latest. */
export function decisive(records: readonly unknown[] | undefined): unknown {
  const of = (status: string) => records?.find((record) => (record as { status?: unknown } | null)?.status === status)
  return of('succeeded') ?? of('authorised') ?? records?.at(-1)
}

function reasonOf(record: unknown): string {
  const reason = (record as { reason?: unknown } | null | undefined)?.reason
  return typeof reason === 'string' ? reason.slice(0, 100) : 'declined'
}
