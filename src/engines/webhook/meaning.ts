/**
 * What the end of an attempt means.
 *
 * | what came                                               | meaning     | then |
 * |---------------------------------------------------------|-------------|------|
 * | 2xx, and what the endpoint demands of an answer         | delivered   | done, whatever became of the body |
 * | 202 with `webhook-ack: deferred`, where agreed          | deferred    | waits for the acknowledgement, then tried again |
 * | 2xx without what is demanded (a receipt, a field)       | not_proven  | on the schedule, flagged |
 * | 410                                                     | gone        | the endpoint is disabled, its deliveries are held |
 * | 413                                                     | too_large   | dead at once: it will not shrink |
 * | 429, 503 with Retry-After                               | throttled   | the lane is quiet for so long; costs the message nothing |
 * | 408, 409, 425, 5xx, 1xx that never ends                 | failed      | on the schedule; in a row, the endpoint's outage |
 * | other 4xx, 3xx                                          | refused     | on the schedule, flagged: mostly a mistake in the receiver's configuration |
 * | no connection, no trust, no answer                      | unreachable | in a row, the endpoint's outage: the lane is parked |
 * | an address that may not be spoken to                    | forbidden   | dead at once |
 */
import type { HttpResponse, Outcome } from '../../network.ts'
import { parseJson } from '../../network.ts'
import { readRetryAfter } from './schedule.ts'

export type Meaning = 'delivered' | 'deferred' | 'not_proven' | 'gone' | 'too_large' | 'throttled' | 'failed' | 'refused' | 'unreachable' | 'forbidden'

/** What an endpoint demands of a success beside its status. */
export interface Demand {
  /** Statuses that count; any 2xx when absent. */
  statuses?: readonly number[]
  /** A header with this value. */
  header?: { name: string; value: string }
  /** A JSON pointer into the body, and the value there. */
  pointer?: { path: string; value: unknown }
  /** `webhook-receipt` proves that code which holds the secret has seen the message. */
  receipt?: boolean
}

export interface Read {
  meaning: Meaning
  status: number | null
  /** A word for people: a code, or what was wrong. */
  detail: string | null
  /** How long the receiver wants to be left alone, ms. */
  quietMs?: number
  /** The answer's body did not come whole. */
  cut?: boolean
  /** Wall ms of the receiver, by its Date header. */
  theirNow?: number
}

export interface Context {
  demand: Demand
  /** True where a later acknowledgement was agreed on. */
  mayDefer: boolean
  /** Whether the receipt is right. */
  receipt(given: string): boolean
  now: number
  retryAfterMaxMs: number
  throttledMs: number
}

export function read(outcome: Outcome<HttpResponse & { cut?: string }>, context: Context): Read {
  if (outcome.kind !== 'ok') {
    const { code } = outcome.error
    if (code === 'FORBIDDEN_ADDRESS' || code === 'INVALID_REQUEST') return { meaning: 'forbidden', status: null, detail: code }
    // The end came in the answer: its status had said nothing yet.
    return { meaning: 'unreachable', status: null, detail: code }
  }
  const { status, headers, cut } = outcome.value
  const theirNow = headers['date'] === undefined ? undefined : Date.parse(headers['date'])
  const common = { status, ...(cut === undefined ? {} : { cut: true }), ...(theirNow === undefined || Number.isNaN(theirNow) ? {} : { theirNow }) }
  if (status >= 200 && status < 300) {
    if (context.mayDefer && status === 202 && headers['webhook-ack'] === 'deferred') return { ...common, meaning: 'deferred', detail: null }
    const lacks = whatLacks(outcome.value, context)
    return lacks === undefined ? { ...common, meaning: 'delivered', detail: cut ?? null } : { ...common, meaning: 'not_proven', detail: lacks }
  }
  const asked = readRetryAfter(headers['retry-after'], context.now, context.retryAfterMaxMs)
  if (status === 410) return { ...common, meaning: 'gone', detail: null }
  if (status === 413) return { ...common, meaning: 'too_large', detail: null }
  if (status === 429 || (status === 503 && asked !== undefined)) return { ...common, meaning: 'throttled', detail: null, quietMs: asked ?? context.throttledMs }
  if (status >= 500 || status === 408 || status === 409 || status === 425) return { ...common, meaning: 'failed', detail: null }
  return { ...common, meaning: 'refused', detail: status >= 300 && status < 400 ? 'redirect' : null }
}

/** What a success is missing, or undefined. */
function whatLacks({ status, headers, body, cut }: HttpResponse & { cut?: string }, { demand, receipt }: Context): string | undefined {
  if (demand.statuses && !demand.statuses.includes(status)) return `status ${status} is not one of ${demand.statuses.join(', ')}`
  if (demand.header && headers[demand.header.name] !== demand.header.value) return `header ${demand.header.name} is not as agreed`
  if (demand.pointer) {
    if (cut !== undefined) return 'the body did not come whole'
    if (!isAt(parseJson(body), demand.pointer.path, demand.pointer.value)) return `${demand.pointer.path} is not as agreed`
  }
  if (demand.receipt) {
    const given = headers['webhook-receipt']
    if (given === undefined) return 'no receipt'
    if (!receipt(given)) return 'a wrong receipt'
  }
  return undefined
}

/** Source: RFC 6901. */
function isAt(value: unknown, pointer: string, wanted: unknown): boolean {
  let at = value
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return false
    at = (at as Record<string, unknown>)[name]
  }
  return JSON.stringify(at) === JSON.stringify(wanted)
}
