/**
 * What may be asked over HTTP, as data: the face obeys it, and the OpenAPI document is made from it. Schemas of what comes in are strict: a field that is not known
 * is a mistake, and is told so.
 */
import { z } from 'zod'
import { PAGE_MOST } from './book.ts'

/** Text that survives UTF-8: a lone surrogate would be stored as something else than what was sent. */
const text = (most: number) => z.string().min(1).max(most).refine((value) => value.isWellFormed(), 'is not well-formed Unicode')
/** In a query: digits only, for Number() takes `0x10` and ` 1e3 ` as well. */
const digits = z.string().regex(/^\d{1,16}$/, 'is not a whole number')
const count = digits.pipe(z.coerce.number<string>().int().min(0)).optional()
const at = z.number().int().min(0).max(8_640_000_000_000_000)
const time = z.union([z.iso.datetime({ offset: true }), z.coerce.number().int().min(0).max(8_640_000_000_000_000)])
const rate = z.number().min(0).max(10_000)

const tenant = text(255)
const patterns = z.array(text(130)).min(1).max(100)
const deliveryState = z.enum(['pending', 'chained', 'delivered', 'dead', 'cancelled'])
const limit = digits.pipe(z.coerce.number<string>().int().min(1).max(PAGE_MOST)).optional()

/** Ids that one reconciliation compares. */
export const IDS_MOST = 50_000

const demand = z.strictObject({
  statuses: z.array(z.number().int().min(200).max(299)).min(1).max(100).optional(),
  header: z.strictObject({ name: text(100).regex(/^[a-z0-9-]+$/, 'is the name of a header, in lower case'), value: text(1000) }).optional(),
  pointer: z.strictObject({ path: text(500), value: z.unknown() }).optional(),
  receipt: z.boolean().optional(),
})

const spec = {
  description: z.string().max(500).optional(),
  ordering: z.enum(['none', 'key', 'fifo']).optional(),
  per_second: rate.optional(),
  places: z.number().int().min(1).max(10_000).optional(),
  deadline_ms: z.number().int().min(100).max(600_000).optional(),
  weight: z.number().int().min(1).max(100).optional(),
  headers: z.record(z.string().max(100), z.string().max(4096)).optional(),
  demand: demand.optional(),
  ack_ms: z.number().int().min(1000).max(86_400_000).optional(),
  stripe_signature: z.boolean().optional(),
}

export const bodies = {
  event: z.strictObject({ type: text(128), data: z.unknown().optional(), body: z.string().optional(), tenant: tenant.optional(), key: text(255).optional() }),
  endpoint: z.strictObject({ url: text(2048), tenant: text(100).optional(), patterns: patterns.optional(), signature: z.enum(['v1', 'v1a']).optional(), secret: text(500).optional(), ...spec }),
  change: z.strictObject({ url: text(2048).optional(), patterns: patterns.optional(), why: text(500).optional(), ...spec }),
  deed: z.strictObject({ why: text(500).optional() }),
  rotate: z.strictObject({ overlap_ms: z.number().int().min(0).max(30 * 86_400_000).optional(), signature: z.enum(['v1', 'v1a']).optional(), why: text(500).optional() }),
  replay: z.strictObject({
    id: text(100).regex(/^[\w.-]+$/, 'is letters, digits and _ . - only').optional(),
    dlq: z.boolean(),
    tenant: tenant.optional(),
    endpoint: text(100).optional(),
    type: text(130).optional(),
    since: time.optional(),
    until: time.optional(),
    reason: text(200).optional(),
    ids: z.array(text(255)).min(1).max(10_000).optional(),
    order: z.enum(['oldest', 'newest']).optional(),
    per_second: rate.optional(),
    dry_run: z.boolean().optional(),
  }),
  ack: z.strictObject({ id: text(255), endpoint: text(100) }),
  reconcile: z.strictObject({ ids: z.array(text(255)).max(IDS_MOST), from: z.number().int().min(1).optional(), to: z.number().int().min(0).optional(), since: time.optional(), until: time.optional(), redeliver: z.boolean().optional() }),
} as const

const queries = {
  events: z.strictObject({ after: count, limit, tenant: tenant.optional(), type: text(130).optional(), state: deliveryState.optional() }),
  owed: z.strictObject({ after: count, limit }),
  deliveries: z.strictObject({ endpoint: text(100).optional(), state: deliveryState.optional(), type: text(130).optional(), since: time.optional(), limit, cursor: text(30).optional() }),
  dlq: z.strictObject({ endpoint: text(100).optional() }),
  lanes: z.strictObject({ after: count, limit, tenant: tenant.optional() }),
  endpoints: z.strictObject({ tenant: tenant.optional() }),
  digest: z.strictObject({ from: count, to: count, since: time.optional(), until: time.optional() }),
  none: z.strictObject({}),
} as const

const whole = z.number().int()
const word = z.string()
const maybe = <T extends z.ZodType>(schema: T) => schema.nullable()

const eventLine = { id: word, seq: whole, tenant: word, type: word, key: maybe(word), created_at: at }
const delivery = z.strictObject({ id: whole, event: word, type: word, endpoint: word, sequence: whole, state: deliveryState, tries: whole, due: whole, reason: maybe(word), job: maybe(word), created_at: at, ended_at: maybe(at) })
const endpoint = z.strictObject({
  id: word, tenant: word, url: word, patterns: z.array(word), state: z.enum(['enabled', 'paused', 'disabled']), reason: maybe(word), created_at: at, changed_at: at,
  description: word, ordering: word, per_second: z.number(), places: maybe(whole), deadline_ms: maybe(whole), weight: whole, headers: z.record(word, word), demand, ack_ms: maybe(whole), stripe_signature: z.boolean(),
  sent_sequence: whole, waiting: whole, delivered: whole, dead: whole, failures: whole, failing_since: maybe(at), succeeded_at: maybe(at), skew_ms: maybe(whole),
})
const replay = z.strictObject({ id: word, state: z.enum(['running', 'paused', 'cancelled', 'done']), filter: z.record(word, z.unknown()), order: z.enum(['oldest', 'newest']), per_second: z.number(), matched: whole, queued: whole, delivered: whole, failed: whole, created_at: at, ended_at: maybe(at) })
const lane = z.strictObject({ endpoint: word, tenant: word, url: word, state: z.enum(['healthy', 'slow', 'quiet', 'parked', 'paused', 'disabled']), reason: maybe(word), waiting: whole, oldest_ms: maybe(whole), delivered: whole, dead: whole, failures: whole, failing_since: maybe(at), succeeded_at: maybe(at), next_at: maybe(at), places: whole })

export const answers = {
  taken: z.strictObject({ id: word, seq: whole, deliveries: whole, replayed: z.boolean() }),
  events: z.strictObject({ events: z.array(z.strictObject(eventLine)), next: maybe(whole) }),
  event: z.strictObject({ ...eventLine, body: word, deliveries: z.array(delivery) }),
  owed: z.strictObject({ events: z.array(z.strictObject({ id: word, sequence: whole, type: word, key: maybe(word), state: deliveryState, created_at: at, body: word })), next: maybe(whole) }),
  endpoint,
  endpointWithSecret: z.strictObject({ endpoint, secret: word }),
  endpoints: z.strictObject({ endpoints: z.array(endpoint) }),
  removed: z.strictObject({ cancelled: whole }),
  secrets: z.strictObject({ secrets: z.array(z.strictObject({ fingerprint: word, created_at: at, expires_at: maybe(at) })) }),
  deliveries: z.strictObject({ deliveries: z.array(delivery), next: maybe(word) }),
  attempts: z.strictObject({ delivery, attempts: z.array(z.strictObject({ n: whole, at, ms: whole, outcome: word, status: maybe(whole), detail: maybe(word), body: maybe(word) })) }),
  dlq: z.strictObject({ dlq: z.array(z.strictObject({ endpoint: word, dead: whole, oldest_at: maybe(at), reasons: z.array(z.strictObject({ reason: word, dead: whole, oldest_at: maybe(at) })) })) }),
  replay,
  counted: z.strictObject({ matched: whole }),
  replays: z.strictObject({ replays: z.array(replay) }),
  lanes: z.strictObject({ lanes: z.array(lane), next: maybe(whole) }),
  doctor: z.strictObject({ endpoint: word, findings: z.array(z.strictObject({ word, severity: z.enum(['error', 'warning', 'note']), sentence: word })) }),
  ack: z.strictObject({ id: word, endpoint: word, state: z.enum(['delivered', 'cancelled']), repeated: z.boolean() }),
  digest: z.strictObject({ endpoint: word, from: whole, to: whole, count: whole, sha256: word, timestamp: whole, signature: word }),
  reconciliation: z.strictObject({ endpoint: word, from: whole, to: whole, matched: whole, missing: z.array(word), extra: z.array(word), unconfirmed: z.array(word), job: maybe(word) }),
  health: z.strictObject({ ok: z.literal(true), node: word }),
  problem: z.looseObject({ type: word, title: word, status: whole, detail: word.optional() }),
} as const

export interface HeaderField {
  name: string
  required: boolean
  summary: string
}

export interface Route {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Names in braces are parameters. */
  path: string
  summary: string
  /** Whether the bearer token is asked for, where the engine has one. */
  open?: true
  /** Whether an endpoint may ask for its own with a signature (READ_SIGNATURE) instead. */
  receivers?: true
  query?: z.ZodObject
  headers?: readonly HeaderField[]
  body?: z.ZodObject
  /** An empty body means one without fields. */
  mayBeEmpty?: true
  /** By status; a word instead of a schema is a type of content. Problems are those of the table in http.ts. */
  answers: Readonly<Record<number, z.ZodType | string>>
  problems: readonly number[]
}

const KEY: HeaderField = { name: 'idempotency-key', required: false, summary: 'the same event under the same key is taken in once' }

/** The header with which an endpoint says that it is itself; `webhook-timestamp` beside it. */
export const READ_SIGNATURE = 'webhook-read-signature'

const AS_RECEIVER: readonly HeaderField[] = [
  { name: 'webhook-timestamp', required: false, summary: 'of a receiver: seconds since 1970, at most 300 away' },
  { name: READ_SIGNATURE, required: false, summary: 'of a receiver, instead of the token: base64 of HMAC-SHA256 of "read.ENDPOINT.TIMESTAMP" by a secret of the endpoint' },
]

/** Named, so that whoever answers them cannot forget one. */
export const ROUTES = {
  takeEvent: { method: 'POST', path: '/v1/events', summary: 'take in what happened', headers: [KEY], body: bodies.event, answers: { 202: answers.taken }, problems: [400, 409, 413, 422, 503] },
  listEvents: { method: 'GET', path: '/v1/events', summary: 'events after a sequence number, oldest first', query: queries.events, answers: { 200: answers.events }, problems: [422, 503] },
  showEvent: { method: 'GET', path: '/v1/events/{id}', summary: 'an event, its body and its deliveries', answers: { 200: answers.event }, problems: [404, 503] },
  addEndpoint: { method: 'POST', path: '/v1/endpoints', summary: 'register an endpoint; its secret is shown once', body: bodies.endpoint, answers: { 201: answers.endpointWithSecret }, problems: [400, 409, 422, 503] },
  listEndpoints: { method: 'GET', path: '/v1/endpoints', summary: 'all endpoints', query: queries.endpoints, answers: { 200: answers.endpoints }, problems: [422, 503] },
  showEndpoint: { method: 'GET', path: '/v1/endpoints/{id}', summary: 'one endpoint', answers: { 200: answers.endpoint }, problems: [404, 503] },
  changeEndpoint: { method: 'PATCH', path: '/v1/endpoints/{id}', summary: 'change what it is told and how', body: bodies.change, answers: { 200: answers.endpoint }, problems: [400, 404, 422, 503] },
  removeEndpoint: { method: 'DELETE', path: '/v1/endpoints/{id}', summary: 'remove it; what waits for it is cancelled', body: bodies.deed, mayBeEmpty: true, answers: { 200: answers.removed }, problems: [400, 404, 422, 503] },
  enableEndpoint: { method: 'POST', path: '/v1/endpoints/{id}/enable', summary: 'let what waits go', body: bodies.deed, mayBeEmpty: true, answers: { 200: answers.endpoint }, problems: [400, 404, 422, 503] },
  disableEndpoint: { method: 'POST', path: '/v1/endpoints/{id}/disable', summary: 'hold what comes, until it is enabled', body: bodies.deed, mayBeEmpty: true, answers: { 200: answers.endpoint }, problems: [400, 404, 422, 503] },
  pauseEndpoint: { method: 'POST', path: '/v1/endpoints/{id}/pause', summary: 'hold what comes, for a while', body: bodies.deed, mayBeEmpty: true, answers: { 200: answers.endpoint }, problems: [400, 404, 422, 503] },
  rotateSecret: { method: 'POST', path: '/v1/endpoints/{id}/rotate', summary: 'a new secret, beside the old one for a while', body: bodies.rotate, mayBeEmpty: true, answers: { 200: answers.endpointWithSecret }, problems: [400, 404, 422, 503] },
  listSecrets: { method: 'GET', path: '/v1/endpoints/{id}/secrets', summary: 'fingerprints of the secrets that sign', answers: { 200: answers.secrets }, problems: [404, 503] },
  examine: { method: 'GET', path: '/v1/endpoints/{id}/doctor', summary: 'what is wrong with it, in sentences', answers: { 200: answers.doctor }, problems: [404, 503] },
  listOwed: { method: 'GET', path: '/v1/endpoints/{id}/events', summary: 'what it is to be told, after one of its sequence numbers, in their order, with the bodies', receivers: true, headers: AS_RECEIVER, query: queries.owed, answers: { 200: answers.owed }, problems: [404, 422, 503] },
  digest: { method: 'GET', path: '/v1/endpoints/{id}/digest', summary: 'what it has taken, as a count and a hash, signed', receivers: true, headers: AS_RECEIVER, query: queries.digest, answers: { 200: answers.digest }, problems: [404, 409, 422, 503] },
  reconcile: { method: 'POST', path: '/v1/endpoints/{id}/reconcile', summary: 'what it has beside what it was sent', body: bodies.reconcile, answers: { 200: answers.reconciliation }, problems: [400, 404, 413, 422, 503] },
  listDeliveries: { method: 'GET', path: '/v1/deliveries', summary: 'deliveries, newest first', query: queries.deliveries, answers: { 200: answers.deliveries }, problems: [404, 422, 503] },
  listAttempts: { method: 'GET', path: '/v1/deliveries/{id}/attempts', summary: 'the attempts of one delivery', answers: { 200: answers.attempts }, problems: [404, 503] },
  dlq: { method: 'GET', path: '/v1/dlq', summary: 'what is dead, by endpoint and reason', query: queries.dlq, answers: { 200: answers.dlq }, problems: [404, 422, 503] },
  askReplay: { method: 'POST', path: '/v1/replays', summary: 'send again what is dead, or was delivered before', body: bodies.replay, answers: { 200: answers.counted, 202: answers.replay }, problems: [400, 404, 409, 422, 503] },
  listReplays: { method: 'GET', path: '/v1/replays', summary: 'replays, newest first', answers: { 200: answers.replays }, problems: [503] },
  showReplay: { method: 'GET', path: '/v1/replays/{id}', summary: 'how far a replay is', answers: { 200: answers.replay }, problems: [404, 503] },
  pauseReplay: { method: 'POST', path: '/v1/replays/{id}/pause', summary: 'ask for nothing more for now', answers: { 200: answers.replay }, problems: [404, 503] },
  resumeReplay: { method: 'POST', path: '/v1/replays/{id}/resume', summary: 'go on', answers: { 200: answers.replay }, problems: [404, 503] },
  cancelReplay: { method: 'POST', path: '/v1/replays/{id}/cancel', summary: 'ask for nothing more', answers: { 200: answers.replay }, problems: [404, 503] },
  listLanes: { method: 'GET', path: '/v1/lanes', summary: 'how each endpoint’s queue stands', query: queries.lanes, answers: { 200: answers.lanes }, problems: [422, 503] },
  acknowledge: {
    method: 'POST', path: '/v1/acks', summary: 'a receiver that answered "later" has done it', open: true,
    headers: [{ name: 'webhook-timestamp', required: true, summary: 'seconds since 1970, at most 300 away' }, { name: 'webhook-ack-signature', required: true, summary: 'base64 of HMAC-SHA256 of "ack.ID.TIMESTAMP" by a secret of the endpoint' }],
    body: bodies.ack, answers: { 200: answers.ack }, problems: [400, 401, 422, 503],
  },
  health: { method: 'GET', path: '/healthz', summary: 'whether the store can be asked', open: true, answers: { 200: answers.health }, problems: [503] },
  metrics: { method: 'GET', path: '/metrics', summary: 'figures for Prometheus', answers: { 200: 'text/plain' }, problems: [503] },
  openapi: { method: 'GET', path: '/openapi.json', summary: 'this document', answers: { 200: 'application/json' }, problems: [] },
} as const satisfies Record<string, Route>

export type RouteName = keyof typeof ROUTES

/** What no schema of a query but a route's own takes. */
export const NO_QUERY = queries.none
