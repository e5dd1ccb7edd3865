/**
 * What crosses between services, as plain records, and the three answers that a remote call can have.
 *
 * | the exchange ended                                   | outcome  | why |
 * |------------------------------------------------------|----------|-----|
 * | with a whole answer                                  | ok       | what its status means is the caller's table |
 * | before the first byte of the request was written     | failed   | refused, no route, no name, TLS, connect timeout, rejected locally: it did not happen |
 * | any later                                            | unknown  | reset, timeout, truncated or malformed answer: it may have happened |
 *
 * Time alone never turns unknown into failed.
 */
import { ResilError } from './errors.ts'

export interface HttpRequest {
  method: string
  /** With its query string. */
  path: string
  /** Names in lower case; a header that came twice has its values joined with ", ". */
  headers: Record<string, string>
  /** UTF-8 text, '' when there is none. */
  body: string
}

export interface HttpResponse {
  status: number
  headers: Record<string, string>
  body: string
}

/**
 * Mocks, engines and users' handlers are all this. One that throws a ResilError with code CONNECTION_CUT resets the connection instead of answering.
 * `gone` aborts when whoever asked has left: nobody will read the answer.
 */
export type Service = (request: HttpRequest, gone?: AbortSignal) => Promise<HttpResponse>

export type Outcome<T> = { kind: 'ok'; value: T } | { kind: 'failed' | 'unknown'; error: ResilError }

export interface CallOptions {
  /** For the whole exchange: connecting, sending, waiting, reading. In ms, above 0. */
  timeoutMs: number
  signal?: AbortSignal
}

export interface Network {
  /** Never rejects for what a network can do; rejects only for a wrong use (an unknown service name, a call inside a transaction). */
  call(service: string, request: HttpRequest, options: CallOptions): Promise<Outcome<HttpResponse>>
}

/**
 * Codes after which not one byte of the request can have left, whatever the counters say.
 * EHOSTUNREACH and ENETUNREACH are not among them: a partition makes an established connection end with them too, long after the request was sent.
 */
const NEVER_SENT = new Set([
  'REFUSED', 'UNREACHABLE', 'QUEUE_FULL', 'INVALID_REQUEST', // the words of http-client.ts
  'ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EADDRNOTAVAIL', 'UND_ERR_CONNECT_TIMEOUT',
  'ERR_TLS_CERT_ALTNAME_INVALID', 'ERR_TLS_HANDSHAKE_TIMEOUT', 'CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/**
 * The one place that decides between failed and unknown. `bytesWritten` counts the request's own bytes handed to a connected socket;
 * a caller that cannot count passes 1 as soon as it may have written one.
 */
export function outcomeOf(error: unknown, bytesWritten: number): { kind: 'failed' | 'unknown'; error: ResilError } {
  const cause = error as { code?: unknown; message?: unknown }
  const code = typeof cause?.code === 'string' ? cause.code : 'UNKNOWN_ERROR'
  const kind = NEVER_SENT.has(code) || bytesWritten === 0 ? 'failed' : 'unknown'
  if (error instanceof ResilError) return { kind, error }
  return { kind, error: new ResilError(code, typeof cause?.message === 'string' && cause.message !== '' ? cause.message : code, '', { cause: error }) }
}

/** A JSON answer; header names in lower case. */
export function json(status: number, value: unknown, headers: Record<string, string> = {}): HttpResponse {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) }
}

/** An RFC 9457 problem document. `fields` extend it. */
export function problem(status: number, type: string, title: string, fields: Record<string, unknown> = {}, headers: Record<string, string> = {}): HttpResponse {
  const body = JSON.stringify({ type: `https://resil.dev/problems/${type}`, title, status, ...fields })
  return { status, headers: { 'content-type': 'application/problem+json', ...headers }, body }
}

/** The body as JSON, or undefined when it is none. */
export function parseJson(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined // not JSON is an answer the caller must expect
  }
}

/** Thrown by a Service that wants its connection reset instead of answering. */
export function connectionCut(why: string): ResilError {
  return new ResilError('CONNECTION_CUT', why)
}
