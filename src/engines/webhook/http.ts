/**
 * The webhooks HTTP face: how every question is answered. What may be asked is a table of its own, routes.ts; GET /openapi.json tells it to machines.
 *
 * | situation                                                     | answer |
 * |---------------------------------------------------------------|--------|
 * | an event was taken in, durably                                | 202, Location, webhook-id |
 * | the same event under the same key again                       | the same, Idempotent-Replayed: true |
 * | another event under a key that was used                       | 409 |
 * | a body over 256 KiB, a request over 2 MiB                     | 413 |
 * | no JSON, an encoded body, a key that is none                  | 400 |
 * | a field, a parameter, an address, a header that is not valid  | 422 with pointers |
 * | no such event, endpoint, delivery, replay                     | 404 with near matches |
 * | a token, an acknowledgement, a receiver's signature: missing or wrong | 401 |
 * | a web page; without a token also another Host than this machine | 403, before anything else is looked at |
 * | another method                                                | 405, Allow |
 * | the store cannot now                                          | 503, Retry-After: nothing was done, or, when it says so, it is not known: the same key makes it safe |
 *
 * Source: RFC 9457 for problem documents, RFC 6901 for pointers.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { z } from 'zod'
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Log } from '../../events.ts'
import type { HttpRequest, HttpResponse } from '../../network.ts'
import { json, parseJson, problem } from '../../network.ts'
import { visible } from '../../visible.ts'
import type { Store } from '../store/store.ts'
import { isStoreTrouble } from '../store/store.ts'
import { Acks, refuseStranger } from './acks.ts'
import type { DeliveryFilter, EventFilter } from './book.ts'
import { Book } from './book.ts'
import { Digests } from './digest.ts'
import { diagnose, examine } from './doctor.ts'
import type { Endpoint, Endpoints, NewEndpoint, Spec } from './endpoints.ts'
import type { Events } from './events.ts'
import { refuseOwnFamily } from './events.ts'
import type { Doing, Metrics } from './metrics.ts'
import { takeStock } from './metrics.ts'
import { describe } from './openapi.ts'
import { Reconciler } from './reconcile.ts'
import type { Replay, ReplayFilter, Replays } from './replay.ts'
import type { bodies, Route, RouteName } from './routes.ts'
import { NO_QUERY, READ_SIGNATURE, ROUTES } from './routes.ts'
import type { WebhookSettings } from './settings.ts'
import type { Vault } from './vault.ts'

export interface FaceSetup {
  clock: Clock
  store: Store
  log: Log
  vault: Vault
  events: Events
  endpoints: Endpoints
  replays: Replays
  metrics: Metrics
  settings: WebhookSettings
  node: string
  version: string
  /** Absent: everybody on this machine may ask. */
  token: string | undefined
  /** Something was enqueued, or may go. */
  wake(): void
  doing(): Doing
}

/** Bytes of one request: a body of 256 KiB as a JSON string, or the ids of a reconciliation. Whoever serves the face lets as much through. */
export const REQUEST_MOST = 2 * 1024 * 1024
/** How long a client should wait before it asks again, seconds. */
const RETRY_AFTER_SECONDS = 1
/** For the audit: who asked over HTTP. */
const WHO = 'api'

/** Statuses of what is refused; everything that is not here is a bug, and 500. */
const STATUS_OF: Readonly<Record<string, number>> = {
  INVALID_EVENT: 422,
  INVALID_ENDPOINT: 422,
  INVALID_TARGET: 422,
  INVALID_HEADER: 422,
  INVALID_PATTERN: 422,
  INVALID_SECRET: 422,
  BAD_FILTER: 422,
  WINDOW_TOO_WIDE: 422,
  EVENT_TOO_LARGE: 413,
  IDEMPOTENCY_KEY_REUSED: 409,
  TOO_MANY_ENDPOINTS: 409,
  REPLAY_EXISTS: 409,
  NO_SECRET: 409,
  NO_SUCH_ENDPOINT: 404,
  NO_SUCH_EVENT: 404,
  NO_SUCH_DELIVERY: 404,
  NO_SUCH_REPLAY: 404,
  INVALID_ACK: 401,
  INVALID_READ: 401,
}

/** Fields at fault, where the code alone tells. */
const POINTER_OF: Readonly<Record<string, string>> = { INVALID_TARGET: '#/url', INVALID_HEADER: '#/headers', INVALID_PATTERN: '#/patterns', INVALID_SECRET: '#/secret' }

interface Asked {
  id: string
  query: Record<string, unknown>
  body: unknown
  request: HttpRequest
}

type Body<Name extends keyof typeof bodies> = z.infer<(typeof bodies)[Name]>
type Time = string | number | undefined

export class Face {
  readonly #setup: FaceSetup
  readonly #book: Book
  readonly #acks: Acks
  readonly #digests: Digests
  readonly #reconciler: Reconciler
  readonly #document: HttpResponse

  constructor(setup: FaceSetup) {
    this.#setup = setup
    this.#book = new Book(setup)
    this.#acks = new Acks(setup)
    this.#digests = new Digests(setup)
    this.#reconciler = new Reconciler(setup)
    this.#document = json(200, describe(setup.version))
  }

  async handle(request: HttpRequest): Promise<HttpResponse> {
    const [path = '', query = ''] = request.path.split('?', 2)
    const found = match(request.method, path)
    const byReceiver = found?.route.receivers === true && request.headers[READ_SIGNATURE] !== undefined
    const refused = this.#gate(request, byReceiver || found?.route.open === true)
    if (refused) return refused
    if (found === undefined) return missing(path)
    try {
      if (byReceiver) await refuseStranger(this.#setup, request.headers, found.id)
      const asked = read(found.route, request, query)
      return 'status' in asked ? asked : await this.#answer(found.name, { ...asked, id: found.id, request })
    } catch (error) {
      return refusalOf(error)
    }
  }

  /** Before anything else is looked at: no web page may ask, and, where there is no token, nobody but this machine. */
  #gate({ headers }: HttpRequest, open: boolean): HttpResponse | undefined {
    const { token } = this.#setup
    const site = headers['sec-fetch-site']
    if (headers['origin'] !== undefined || (site !== undefined && site !== 'none' && site !== 'same-origin')) return problem(403, 'no-web-pages', 'Web pages may not use this API')
    // What a receiver says or asks comes from elsewhere, and is signed; and who watches the health asks by an address.
    if (open) return undefined
    if (token === undefined) {
      const { host } = headers
      return host === undefined || /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i.test(host) ? undefined : problem(403, 'other-host', 'The Host header names another machine', { detail: 'give the engine a token, and bring it' })
    }
    return sameText(headers['authorization'] ?? '', `Bearer ${token}`) ? undefined : problem(401, 'token-wrong', 'The token is missing or wrong', {}, { 'www-authenticate': 'Bearer' })
  }

  async #answer(name: RouteName, asked: Asked): Promise<HttpResponse> {
    const { clock, store, endpoints, replays, metrics } = this.#setup
    const { id, query, body } = asked
    switch (name) {
      case 'takeEvent': return this.#take(asked)
      case 'listEvents': return json(200, await this.#book.events(query as EventFilter))
      case 'showEvent': return json(200, await this.#book.event(id))
      case 'addEndpoint': return this.#add(body as Body<'endpoint'>)
      case 'listEndpoints': return json(200, { endpoints: (await endpoints.list(query['tenant'] as string | undefined)).map(shown) })
      case 'showEndpoint': return json(200, shown(await endpoints.show(id)))
      case 'changeEndpoint': return this.#change(id, body as Body<'change'>)
      case 'removeEndpoint': return this.#woken(json(200, await endpoints.remove(id, because(body))))
      case 'enableEndpoint': return this.#woken(json(200, shown(await endpoints.setState(id, 'enabled', because(body)))))
      case 'disableEndpoint': return this.#woken(json(200, shown(await endpoints.setState(id, 'disabled', because(body)))))
      case 'pauseEndpoint': return this.#woken(json(200, shown(await endpoints.setState(id, 'paused', because(body)))))
      case 'rotateSecret': return this.#rotate(id, body as Body<'rotate'>)
      case 'listSecrets': return json(200, { secrets: await endpoints.secrets(id) })
      case 'examine': return json(200, { endpoint: id, findings: diagnose(await examine(store, clock, this.#setup.settings, id)) })
      case 'listOwed': return json(200, await this.#book.owed(id, query))
      case 'digest': return json(200, await this.#digests.make(id, windowOf(query)))
      case 'reconcile': return this.#reconcile(id, body as Body<'reconcile'>)
      case 'listDeliveries': return json(200, await this.#book.deliveries({ ...query, ...(query['since'] === undefined ? {} : { since: msOf(query['since'] as Time) }) } as DeliveryFilter))
      case 'listAttempts': return json(200, await this.#book.attempts(/^\d{1,15}$/.test(id) ? Number(id) : -1))
      case 'dlq': return json(200, { dlq: await this.#book.dlq(query['endpoint'] as string | undefined) })
      case 'askReplay': return this.#replay(body as Body<'replay'>)
      case 'listReplays': return json(200, { replays: (await replays.list()).map(replayShown) })
      case 'showReplay': return json(200, replayShown(await replays.show(id)))
      case 'pauseReplay': return json(200, replayShown(await replays.setState(id, 'paused', WHO)))
      case 'resumeReplay': return json(200, replayShown(await replays.setState(id, 'running', WHO)))
      case 'cancelReplay': return json(200, replayShown(await replays.setState(id, 'cancelled', WHO)))
      case 'listLanes': return json(200, await this.#book.lanes(query))
      case 'acknowledge': return this.#woken(json(200, await this.#acks.take(asked.request.headers, body as Body<'ack'>)))
      case 'health': {
        await store.transaction('health', (tx) => tx.query('SELECT 1'))
        return json(200, { ok: true, node: this.#setup.node })
      }
      case 'metrics': return { status: 200, headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }, body: metrics.text(await takeStock(store, clock.now()), this.#setup.doing()) }
      case 'openapi': return this.#document
    }
  }

  async #take({ body, request }: Asked): Promise<HttpResponse> {
    const key = keyOf(request.headers['idempotency-key'])
    if (typeof key === 'object') return key
    const event = body as Body<'event'>
    refuseOwnFamily(event.type)
    const taken = await this.#setup.events.take({ ...event, ...(key === undefined ? {} : { idempotencyKey: key }) })
    return json(202, taken, { location: `/v1/events/${taken.id}`, 'webhook-id': taken.id, ...(taken.replayed ? { 'idempotent-replayed': 'true' } : {}) })
  }

  async #add({ url, tenant, patterns, signature, secret, ...spec }: Body<'endpoint'>): Promise<HttpResponse> {
    const added = await this.#setup.endpoints.add(present({ url, tenant, patterns, signature, secret, ...specOf(spec) }) as unknown as NewEndpoint)
    return this.#woken(json(201, { endpoint: shown(added.endpoint), secret: added.secret }, { location: `/v1/endpoints/${added.endpoint.id}` }))
  }

  async #change(id: string, { why, url, patterns, ...spec }: Body<'change'>): Promise<HttpResponse> {
    return this.#woken(json(200, shown(await this.#setup.endpoints.change(id, present({ url, patterns, ...specOf(spec) }), because({ why })))))
  }

  async #rotate(id: string, { overlap_ms: overlapMs, signature, why }: Body<'rotate'>): Promise<HttpResponse> {
    const { endpoint, secret } = await this.#setup.endpoints.rotate(id, { ...present({ overlapMs, signature }), ...because({ why }) })
    return this.#woken(json(200, { endpoint: shown(endpoint), secret }))
  }

  async #replay({ id, order, per_second: perSecond, dry_run: dryRun, since, until, ...rest }: Body<'replay'>): Promise<HttpResponse> {
    const filter = present({ ...rest, since: msOf(since), until: msOf(until) }) as unknown as ReplayFilter
    if (dryRun) return json(200, { matched: await this.#setup.replays.count(filter) })
    const replay = await this.#setup.replays.ask({ filter, newestFirst: order === 'newest', who: WHO, ...present({ perSecond, id }) })
    return this.#woken(json(202, replayShown(replay), { location: `/v1/replays/${replay.id}` }))
  }

  async #reconcile(id: string, { ids, redeliver, ...window }: Body<'reconcile'>): Promise<HttpResponse> {
    return this.#woken(json(200, await this.#reconciler.compare(id, { ids, ...windowOf(window), ...(redeliver === undefined ? {} : { redeliver }), who: WHO })))
  }

  #woken(answer: HttpResponse): HttpResponse {
    this.#setup.wake()
    return answer
  }
}

// what was asked

interface Matched {
  name: RouteName
  route: Route
  /** The parameter, decoded; '' where there is none. */
  id: string
}

const TABLE = Object.entries(ROUTES).map(([name, route]) => ({ name: name as RouteName, route: route as Route, pattern: new RegExp(`^${route.path.replaceAll('.', '\\.').replace('{id}', '([^/]{1,300})')}$`) }))

function match(method: string, path: string): Matched | undefined {
  for (const { name, route, pattern } of TABLE) {
    if (route.method !== method) continue
    const [whole, id = ''] = pattern.exec(path) ?? []
    const decoded = whole === undefined ? undefined : decode(id)
    if (decoded !== undefined) return { name, route, id: decoded }
  }
  return undefined
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined // no percent encoding: no such path
  }
}

function missing(path: string): HttpResponse {
  const methods = TABLE.filter(({ route, pattern }) => pattern.test(path) && match(route.method, path) !== undefined).map(({ route }) => route.method)
  if (methods.length > 0) return problem(405, 'method-not-allowed', 'This is not done here', { detail: `${methods.join(', ')} is` }, { allow: methods.join(', ') })
  return problem(404, 'not-found', 'There is nothing here', { detail: 'GET /openapi.json lists what there is' })
}

function read(route: Route, request: HttpRequest, query: string): { query: Record<string, unknown>; body: unknown } | HttpResponse {
  const parameters: Record<string, string> = {}
  for (const [name, value] of new URLSearchParams(query)) {
    if (Object.hasOwn(parameters, name) || value === '') return invalid([{ parameter: name.slice(0, 100), detail: value === '' ? 'is empty' : 'comes twice' }])
    parameters[name] = value
  }
  const asked = (route.query ?? NO_QUERY).safeParse(parameters)
  if (!asked.success) return invalid(issuesOf(asked.error).map(({ path, detail }) => ({ parameter: path.join('/'), detail })))
  if (route.body === undefined) return { query: asked.data, body: undefined }
  if (Buffer.byteLength(request.body) > REQUEST_MOST) return problem(413, 'body-too-large', 'The body is too large', { detail: `a request has at most ${REQUEST_MOST} bytes` })
  const encoding = request.headers['content-encoding']
  const parsed = route.mayBeEmpty && request.body === '' ? {} : parseJson(request.body)
  if (parsed === undefined || (encoding !== undefined && encoding !== 'identity')) return problem(400, 'body-not-json', 'The body is not JSON', { detail: 'send a JSON object, not encoded' })
  const body = route.body.safeParse(parsed)
  if (!body.success) return invalid(issuesOf(body.error).map(({ path, detail }) => ({ pointer: `#/${path.map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1')).join('/')}`, detail })))
  return { query: asked.data, body: body.data }
}

function issuesOf(error: z.ZodError): { path: string[]; detail: string }[] {
  return error.issues.slice(0, 10).flatMap((issue) => {
    const path = issue.path.map((part) => visible(String(part)).slice(0, 100))
    if (issue.code === 'unrecognized_keys') return issue.keys.slice(0, 10).map((key) => ({ path: [...path, visible(key.slice(0, 100))], detail: 'is not known here' }))
    return [{ path, detail: issue.message }]
  })
}

/** The key as it was sent, or as an RFC 8941 string; undefined when there is none, or the refusal. */
function keyOf(raw: string | undefined): string | undefined | HttpResponse {
  if (raw === undefined) return undefined
  const key = /^"[^"]*"$/.test(raw) ? raw.slice(1, -1) : raw
  if (/^[\x21-\x7e]{1,255}$/.test(key) && !/[",]/.test(key)) return key
  return problem(400, 'idempotency-key-invalid', 'The Idempotency-Key is malformed', { detail: 'it has 1 to 255 printable ASCII characters without spaces, commas or quotes, and is sent once' })
}

function windowOf({ from, to, since, until }: { from?: unknown; to?: unknown; since?: unknown; until?: unknown }): { from?: number; to?: number; since?: number; until?: number } {
  return present({ from: from as number | undefined, to: to as number | undefined, since: msOf(since as Time), until: msOf(until as Time) })
}

const msOf = (time: Time): number | undefined => (typeof time === 'string' ? Date.parse(time) : time)

const because = (body: unknown) => ({ who: WHO, why: (body as { why?: string }).why ?? '' })

function specOf({ per_second: perSecond, deadline_ms: deadlineMs, ack_ms: ackMs, stripe_signature: stripeSignature, ...rest }: Omit<Body<'change'>, 'why' | 'url' | 'patterns'>): Partial<Spec> {
  return present({ ...rest, perSecond, deadlineMs, ackMs, stripeSignature }) as Partial<Spec>
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** Without the fields that were not given. */
function present<T extends object>(fields: T): Present<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>
}

/** In a time that tells nothing about where they differ. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}

// what is answered

function shown(endpoint: Endpoint): Record<string, unknown> {
  const { description, perSecond, places, deadlineMs, weight, headers, demand, ackMs, stripeSignature } = JSON.parse(endpoint.spec) as Spec
  const { id, tenant, url, state, reason, created_at, changed_at, ordering, seq, waiting, delivered, dead, failures, failing_since, succeeded_at, skew_ms } = endpoint
  return {
    id, tenant, url, patterns: JSON.parse(endpoint.patterns) as string[], state, reason, created_at, changed_at,
    description, ordering, per_second: perSecond, places: places ?? null, deadline_ms: deadlineMs ?? null, weight, headers, demand, ack_ms: ackMs ?? null, stripe_signature: stripeSignature === true,
    sent_sequence: seq, waiting, delivered, dead, failures, failing_since, succeeded_at, skew_ms,
  }
}

function replayShown({ id, state, filter, newest_first, per_second, matched, queued, delivered, failed, created_at, ended_at }: Replay): Record<string, unknown> {
  return { id, state, filter: JSON.parse(filter) as unknown, order: newest_first === 1 ? 'newest' : 'oldest', per_second, matched, queued, delivered, failed, created_at, ended_at }
}

function invalid(errors: readonly { pointer?: string; parameter?: string; detail: string }[]): HttpResponse {
  return problem(422, 'invalid-request', 'The request is not valid', { detail: errors.map(({ pointer, parameter, detail }) => `${pointer ?? parameter} ${detail}`).join('; '), errors })
}

function refusalOf(error: unknown): HttpResponse {
  if (isStoreTrouble(error)) {
    const unknown = error.code === 'COMMIT_UNKNOWN'
    return problem(503, 'unavailable', 'Ask again in a moment, with the same idempotency key', {
      code: error.code,
      detail: unknown ? 'It is not known whether it was written down. Asked again with the same key it is done once.' : 'Nothing was done.',
    }, { 'retry-after': String(RETRY_AFTER_SECONDS) })
  }
  const status = error instanceof ResilError ? STATUS_OF[error.code] : undefined
  if (!(error instanceof ResilError) || status === undefined) throw error
  const pointer = POINTER_OF[error.code]
  return problem(status, error.code.toLowerCase().replaceAll('_', '-'), error.message, { code: error.code, ...(error.hint ? { detail: error.hint } : {}), ...(pointer === undefined ? {} : { errors: [{ pointer, detail: error.message }] }) })
}
