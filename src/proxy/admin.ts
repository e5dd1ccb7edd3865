/**
 * The control API over HTTP: Toxiproxy's, to the byte where a client can tell, and ours beside it under /resil/.
 *
 *   request ──gates──▶ route ──▶ body ──▶ Proxies, Rules, Schedule ──▶ answer
 *
 * Gates stand before all routes: who may ask (a token, or nobody but this machine), and no web page may (Host, Origin, Sec-Fetch-Site). A change
 * is made on the one thread that also moves the bytes, so it never waits for traffic.
 *
 * Differences from Toxiproxy 2.12, all on purpose: `toxics` is taken on create and populate; numbers that mean nothing (negative, a toxicity
 * above 1) are 400, and so are a name with a slash or with characters that cannot be seen and an upstream that is no address or leads back to
 * the proxy; an update that fails changes nothing; a proxy on the control port is 409; the name of a port is not looked up; /metrics is always
 * there; no `Logger` field.
 */
import { timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { durationOrMs } from '../duration.ts'
import { ResilError } from '../errors.ts'
import type { Event, EventLog } from '../events.ts'
import { chance } from '../random.ts'
import { array, BadJson, field, firstValue, isOf, marshal, object, wrongKind } from './go-json.ts'
import type { Kind } from './go-json.ts'
import { openJournal } from './journal.ts'
import type { Journal } from './journal.ts'
import { METRICS_TYPE, metrics } from './metrics.ts'
import type { Proxies, Proxy, ProxySpec, ProxyToxic } from './proxies.ts'
import type { Rule, Rules } from './rules.ts'
import { targeting } from './rules.ts'
import { MAX_STAGES, Schedule } from './schedule.ts'
import type { Stage } from './schedule.ts'
import type { AttributeSpec, Toxic } from './toxic.ts'

export interface AdminSetup {
  proxies: Proxies
  log: EventLog
  clock: Clock
  /** By name on the wire. */
  toxics: Record<string, Toxic>
  host: string
  /** 0 takes a free one. */
  port: number
  /** When given, every request must bring it; must be given for a host that is not this machine alone. */
  token?: string
  /** Of resil. */
  version: string
}

export interface Admin {
  /** Without a slash at its end. */
  url: string
  schedule: Schedule
  close(): Promise<void>
}

/** The version of Toxiproxy whose API this is. */
const TOXIPROXY_VERSION = '2.12.0'
/** Longest body of a request. */
const MAX_BODY_BYTES = 1024 * 1024
/** From the first byte of a request to the end of its head, and to its last byte, ms. */
const HEADERS_TIMEOUT_MS = 5000
const REQUEST_TIMEOUT_MS = 15_000
const TIMEOUT_CHECK_MS = 1000
const KEEP_ALIVE_MS = 60_000
const MAX_CONNECTIONS = 1024
const MAX_HEADERS = 200
/** What a reader of events may be behind, in bytes, before it is dropped. */
const MAX_BEHIND_BYTES = 1024 * 1024
const MAX_READERS = 64
/** Between two signs of life on a stream of events. */
const HEARTBEAT_MS = 15_000
const MAX_JOURNAL_LINES = 1000

/** Toxiproxy's own toxics: what Go calls them, and the one kind of number that each takes. */
const TOXIPROXYS: Readonly<Record<string, { struct: string; kind: Kind }>> = {
  latency: { struct: 'LatencyToxic', kind: 'int64' },
  bandwidth: { struct: 'BandwidthToxic', kind: 'int64' },
  slow_close: { struct: 'SlowCloseToxic', kind: 'int64' },
  timeout: { struct: 'TimeoutToxic', kind: 'int64' },
  reset_peer: { struct: 'ResetToxic', kind: 'int64' },
  slicer: { struct: 'SlicerToxic', kind: 'int' },
  limit_data: { struct: 'LimitDataToxic', kind: 'int64' },
  noop: { struct: 'NoopToxic', kind: 'int64' },
  packet_loss: { struct: 'PacketLossToxic', kind: 'float64' },
}
/** What Go calls the type of one proxy in the list that populates. */
const POPULATED = 'struct { toxiproxy.Proxy; Enabled *bool "json:\\"enabled\\"" }'

/** An answer. */
interface Answer {
  status: number
  type?: string
  body?: string
  headers?: Record<string, string>
}

/** An error of the API, in Toxiproxy's form. */
class ApiError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

type Handler = (request: { path: string[]; query: URLSearchParams; body: string; raw: IncomingMessage; response: ServerResponse }) => Promise<Answer | 'streams'> | Answer | 'streams'

/** Listens, or throws PORT_BUSY, LISTEN_FAILED, or TOKEN_NEEDED. */
export async function openAdmin(setup: AdminSetup): Promise<Admin> {
  const { proxies, log, clock, host, port, token } = setup
  if (!isLoopback(host) && token === undefined) throw new ResilError('TOKEN_NEEDED', `the control API would stand open on ${host}`, 'give it a token, or keep it on 127.0.0.1')
  const schedule = new Schedule({ clock, log: log.from('proxy'), proxies })
  const journal = openJournal(log)
  /** Known once it listens. */
  let controlPort = 0
  const routes = routesOf({ ...setup, schedule, journal, asApiError: (error) => asApiError(error, controlPort) })
  const sockets = new Set<Socket>()
  const startedAt = clock.monotonic()
  let answeredRequests = 0

  const server = createServer(
    { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS, connectionsCheckingInterval: TIMEOUT_CHECK_MS },
    (request, response) => {
      void serve(request, response).catch(() => response.destroy()) // the client is gone
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  server.maxHeadersCount = MAX_HEADERS
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'))
  server.on('connect', (_request, socket) => socket.end('HTTP/1.1 405 Method Not Allowed\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'))

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = targetOf(request.url ?? '')
    const answer = await answerTo(request, target, response).catch((error: unknown): Answer => failure(error, target, controlPort))
    if (answer === 'streams') return
    const { status, type, body = '', headers = {} } = answer
    for (const [name, value] of Object.entries({ ...(type === undefined ? {} : { 'Content-Type': type }), ...headers })) response.setHeader(name, value)
    if (status !== 204) response.setHeader('Content-Length', Buffer.byteLength(body))
    if (!request.complete) response.setHeader('Connection', 'close') // the rest of the body is not read
    response.writeHead(status)
    response.end(request.method === 'HEAD' ? undefined : body)
  }

  async function answerTo(request: IncomingMessage, { path, query, ours }: Target, response: ServerResponse): Promise<Answer | 'streams'> {
    gate(request, token)
    const found = find(routes, path)
    if (!found) return { status: 404, type: 'text/plain; charset=utf-8', body: '404 page not found\n', headers: { 'X-Content-Type-Options': 'nosniff' } }
    const handler = found.methods[request.method ?? ''] ?? found.methods['*']
    if (!handler) return { status: 405, headers: { Allow: Object.keys(found.methods).join(', ') } }
    if (!ours) response.setHeader('X-Toxiproxy-Request-Id', requestId(proxies.seed, ++answeredRequests))
    if ((request.headers['user-agent'] ?? '').startsWith('Mozilla/')) return { status: 403, type: 'text/plain; charset=utf-8', body: 'User agent not allowed\n', headers: { 'X-Content-Type-Options': 'nosniff' } }
    const body = request.method === 'GET' ? '' : await read(request, ours)
    return handler({ path: found.path, query, body, raw: request, response })
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const where = `${host}:${port}`
      reject(
        error.code === 'EADDRINUSE'
          ? new ResilError('PORT_BUSY', `the control API: ${where} is in use`, 'choose another port, or 0 for a free one', { cause: error })
          : new ResilError('LISTEN_FAILED', `the control API cannot listen on ${where}: ${error.message}`, 'check the host and the port', { cause: error }),
      )
    })
    server.listen(port, host, resolve)
  })
  const address = server.address() as AddressInfo
  controlPort = address.port
  routes.push({ pattern: ['resil', ''], methods: { GET: () => json({ version: setup.version, toxiproxy: TOXIPROXY_VERSION, seed: proxies.seed, uptimeMs: Math.round(clock.monotonic() - startedAt), routes: routes.map(({ pattern }) => `/${pattern.join('/')}`) }) } })
  return {
    url: `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`,
    schedule,
    close: async () => {
      schedule.stop()
      journal.close()
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

// who may ask

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || host.startsWith('127.')

function gate(request: IncomingMessage, token: string | undefined): void {
  const { host = '', origin, authorization = '' } = request.headers
  if (token === undefined && !/^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i.test(host)) throw new ApiError(403, 'the Host header names another machine')
  if (origin !== undefined) throw new ApiError(403, 'web pages may not use this API')
  const site = request.headers['sec-fetch-site']
  if (site !== undefined && site !== 'none' && site !== 'same-origin') throw new ApiError(403, 'web pages may not use this API')
  if (token !== undefined && !sameText(authorization, `Bearer ${token}`)) throw new ApiError(401, 'the token is missing or wrong')
}

/** In a time that tells nothing about where they differ. */
function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** 20 signs of Go's xid alphabet. */
function requestId(seed: number | string, n: number): string {
  return Array.from({ length: 20 }, (_, i) => '0123456789abcdefghijklmnopqrstuv'[Math.floor(chance(seed, `request ${n}`, i) * 32)]).join('')
}

// what was asked

interface Target {
  /** As it was sent, so that `..` and `%2e` stay what they are. */
  path: string
  query: URLSearchParams
  /** Under /resil/. */
  ours: boolean
}

/** Of a target in either of its forms: `/version`, `http://localhost:8474/version`. */
function targetOf(target: string): Target {
  const [path = '', ...query] = target.replace(/^https?:\/\/[^/?]*/i, '').split('?')
  return { path, query: new URLSearchParams(query.join('?')), ours: path.startsWith('/resil/') }
}

async function read(request: IncomingMessage, ours: boolean): Promise<string> {
  if (request.headers['content-encoding'] !== undefined && request.headers['content-encoding'] !== 'identity') throw new ApiError(415, 'the body is encoded; send it plain')
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > MAX_BODY_BYTES) throw new ApiError(413, `the body is longer than ${MAX_BODY_BYTES} bytes`)
    parts.push(part)
  }
  if (ours && bytes > 0 && !/^application\/json\s*(?:;|$)/i.test(request.headers['content-type'] ?? '')) throw new ApiError(415, 'the body must be application/json')
  return Buffer.concat(parts).toString('utf8')
}

interface Route {
  /** Segments; ':' takes any one, decoded. */
  pattern: string[]
  /** '*' takes any. */
  methods: Record<string, Handler>
}

function find(routes: readonly Route[], pathname: string): { path: string[]; methods: Route['methods'] } | undefined {
  const segments = pathname.slice(1).split('/')
  for (const { pattern, methods } of routes) {
    if (pattern.length !== segments.length) continue
    const path: string[] = []
    if (!pattern.every((part, i) => (part === ':' ? take(segments[i]!, path) : part === segments[i]))) continue
    return { path, methods }
  }
  return undefined
}

function take(segment: string, into: string[]): boolean {
  if (segment === '') return false
  try {
    const text = decodeURIComponent(segment)
    into.push(text)
    return !text.includes('/')
  } catch {
    return false
  }
}

// what goes back

const json = (value: unknown, status = 200): Answer => ({ status, type: 'application/json', body: marshal(value) })

/** Words and status that Toxiproxy's clients know, where there are such. */
function failure(error: unknown, { ours }: Target, controlPort: number): Answer {
  const { status, message } = asApiError(error, controlPort)
  if (ours) return { status, type: 'application/problem+json', body: marshal({ status, title: message, ...(error instanceof ResilError ? { code: error.code, hint: error.hint } : {}) }) }
  return { status, type: 'text/plain; charset=utf-8', body: `${marshal({ error: message, status })}\n`, headers: { 'X-Content-Type-Options': 'nosniff' } }
}

function asApiError(error: unknown, controlPort: number): { status: number; message: string } {
  if (error instanceof ApiError) return error
  if (error instanceof BadJson) return { status: 400, message: `bad request body: ${error.message}` }
  if (!(error instanceof ResilError)) return { status: 500, message: 'something broke here' }
  switch (error.code) {
    case 'PROXY_NOT_FOUND':
      return { status: 404, message: 'proxy not found' }
    case 'TOXIC_NOT_FOUND':
      return { status: 404, message: 'toxic not found' }
    case 'PROXY_EXISTS':
      return { status: 409, message: 'proxy already exists' }
    case 'TOXIC_EXISTS':
      return { status: 409, message: 'toxic already exists' }
    case 'BAD_TOXIC':
    case 'BAD_PROXY':
    case 'BAD_UPSTREAM':
    case 'BAD_TLS':
    case 'BAD_SCHEDULE':
      return { status: 400, message: error.hint === '' ? error.message : `${error.message}; ${error.hint}` }
    case 'PORT_BUSY':
    case 'LISTEN_FAILED': {
      const { code = '', address = '', port, hostname, message } = error.cause as NodeJS.ErrnoException & { address?: string; port?: number; hostname?: string }
      const why = BIND_FAILURES[code]
      if (why) return { status: port === controlPort ? 409 : 500, message: `listen tcp ${address === '::' ? '' : address.includes(':') ? `[${address}]` : address}:${port}: bind: ${why}` }
      return { status: 500, message: hostname === undefined ? message : `listen tcp: lookup ${hostname}: no such host` }
    }
    default:
      return { status: 500, message: error.message }
  }
}

/** In the words of the system, as Go passes them on. */
const BIND_FAILURES: Readonly<Record<string, string>> = { EADDRINUSE: 'address already in use', EADDRNOTAVAIL: 'cannot assign requested address', EACCES: 'permission denied' }

// the routes

interface Parts extends AdminSetup {
  schedule: Schedule
  journal: Journal
  asApiError(error: unknown): { status: number; message: string }
}

function routesOf({ proxies, log, clock, toxics, schedule, journal, asApiError }: Parts): Route[] {
  /** A stream as it was written when the toxic was made: it comes back so. */
  const written = new WeakMap<Rule, string>()

  const toxicJson = (rule: Rule) => ({ attributes: rule.attributes, name: rule.name, type: rule.toxic.name, stream: written.get(rule) ?? rule.stream, toxicity: rule.toxicity })
  const inOrder = ({ rules }: Proxy) => [...rules.list().filter(({ stream }) => stream === 'upstream'), ...rules.list().filter(({ stream }) => stream === 'downstream')]
  const proxyJson = (proxy: Proxy) => ({ name: proxy.name, listen: proxy.listen, upstream: proxy.upstream, enabled: proxy.enabled, toxics: inOrder(proxy).map(toxicJson) })
  const toxicOf = (proxy: string, name: string): Rule => {
    const rule = proxies.get(proxy).rules.get(name)
    if (!rule) throw new ApiError(404, 'toxic not found')
    return rule
  }

  /** Complains in Toxiproxy's order; `rules` are those that it is to stand among. */
  const readToxic = (value: unknown, rules?: Rules): { spec: ProxyToxic; stream: string | undefined } => {
    const body = object(value, 'toxics.ToxicWrapper')
    const given = field(body, 'name', 'string', 'ToxicWrapper') as string | undefined
    const type = (field(body, 'type', 'string', 'ToxicWrapper') as string | undefined) ?? ''
    const stream = field(body, 'stream', 'string', 'ToxicWrapper') as string | undefined
    const toxicity = field(body, 'toxicity', 'float32', 'ToxicWrapper') as number | undefined
    const attributes = field(body, 'attributes', 'object', 'ToxicWrapper', 'toxics.NoopToxic') as Record<string, unknown> | undefined
    const way = stream?.toLowerCase()
    if (way !== undefined && way !== 'upstream' && way !== 'downstream') throw new ApiError(400, 'stream was invalid, can be either upstream or downstream')
    const toxic = Object.hasOwn(toxics, type) ? toxics[type] : undefined
    if (!toxic) throw new ApiError(400, 'invalid toxic type')
    const name = given || `${type}_${stream ?? toxic.stream}`
    if (rules?.get(name)) throw new ApiError(409, 'toxic already exists')
    return { spec: { type, name, stream: way, toxicity, attributes: readAttributes(toxic, attributes) }, stream }
  }

  const readProxy = (value: unknown, type: string, of: string): { spec: ProxySpec; streams: (string | undefined)[] } => {
    const body = object(value, type)
    const text = (name: string) => (field(body, name, 'string', of) as string | undefined) ?? ''
    const given = ((field(body, 'toxics', 'array', of) as unknown[] | undefined) ?? []).map((toxic) => readToxic(toxic))
    const enabled = field(body, 'enabled', 'bool', of) as boolean | undefined
    return { spec: { name: text('name'), listen: text('listen'), upstream: text('upstream'), enabled, toxics: given.map(({ spec }) => spec) }, streams: given.map(({ stream }) => stream) }
  }

  const keepStream = (rule: Rule, stream: string | undefined) => void (stream !== undefined && written.set(rule, stream))

  const remember = (proxy: Proxy, streams: readonly (string | undefined)[]) => {
    for (const [n, rule] of proxy.rules.list().entries()) keepStream(rule, streams[n])
    return proxy
  }

  const needs = ({ name, upstream }: ProxySpec, where = '') => {
    if (name === '') throw new ApiError(400, `missing required field: name${where}`)
    if (upstream === '') throw new ApiError(400, `missing required field: upstream${where}`)
  }

  const createProxy: Handler = async ({ body }) => {
    const { spec, streams } = readProxy(firstValue(body), 'toxiproxy.Proxy', 'Proxy')
    needs(spec)
    return json(proxyJson(remember(await proxies.create(spec), streams)), 201)
  }

  /** Errors are told in JSON here, with the proxies that were made before. */
  const populate: Handler = async ({ body }) => {
    const notDone = (error: unknown, done: readonly Proxy[]) => {
      const { status, message } = asApiError(error)
      return json({ error: message, status, proxies: done.length > 0 ? done.map(proxyJson) : null }, status)
    }
    try {
      const wanted = array(firstValue(body), POPULATED).map((each) => readProxy(each, POPULATED, ''))
      wanted.forEach(({ spec }, n) => needs(spec, ` at proxy ${n + 1}`))
      const before = new Set(proxies.list())
      const { done, error } = await proxies.populate(wanted.map(({ spec }) => spec))
      done.forEach((proxy, n) => !before.has(proxy) && remember(proxy, wanted[n]!.streams))
      return error === undefined ? json({ proxies: done.length > 0 ? done.map(proxyJson) : null }, 201) : notDone(error, done)
    } catch (error) {
      return notDone(error, [])
    }
  }

  const updateProxy: Handler = async ({ path: [name], body }) => {
    const proxy = proxies.get(name!)
    const given = object(firstValue(body), 'toxiproxy.Proxy')
    const text = (key: string, now: string) => (field(given, key, 'string', 'Proxy') as string | undefined) || now
    const enabled = field(given, 'enabled', 'bool', 'Proxy') as boolean | undefined
    return json(proxyJson(await proxies.update(name!, { listen: text('listen', proxy.listen), upstream: text('upstream', proxy.upstream), enabled })))
  }

  const createToxic: Handler = ({ path: [proxy], body }) => {
    const { rules } = proxies.get(proxy!)
    const { spec, stream } = readToxic(firstValue(body), rules)
    const rule = rules.add({ ...spec, link: proxy! })
    keepStream(rule, stream)
    return json(toxicJson(rule))
  }

  const updateToxic: Handler = ({ path: [proxy, name], body }) => {
    const rule = toxicOf(proxy!, name!)
    const given = object(firstValue(body), 'struct { Attributes interface {} "json:\\"attributes\\""; Toxicity float32 "json:\\"toxicity\\"" }')
    const attributes = readAttributes(rule.toxic, field(given, 'attributes', 'object', '', `toxics.${TOXIPROXYS[rule.toxic.name]?.struct ?? 'Toxic'}`) as Record<string, unknown> | undefined)
    const toxicity = field(given, 'toxicity', 'float32', '') as number | undefined
    return json(toxicJson(proxies.get(proxy!).rules.update(name!, { attributes, toxicity })))
  }

  const ruleJson = (rule: Rule) => ({ ...toxicJson(rule), stream: rule.stream, hits: rule.hits, matches: rule.matches })

  return [
    {
      pattern: ['proxies'],
      methods: { GET: () => ({ status: 200, type: 'application/json', body: byName(proxies.list().map((proxy) => [proxy.name, proxyJson(proxy)])) }), POST: createProxy },
    },
    { pattern: ['populate'], methods: { POST: populate } },
    {
      pattern: ['proxies', ':'],
      methods: {
        GET: ({ path: [name] }) => json(proxyJson(proxies.get(name!))),
        POST: updateProxy,
        PATCH: updateProxy,
        DELETE: async ({ path: [name] }) => {
          await proxies.delete(name!)
          return { status: 204 }
        },
      },
    },
    { pattern: ['proxies', ':', 'toxics'], methods: { GET: ({ path: [name] }) => json(inOrder(proxies.get(name!)).map(toxicJson)), POST: createToxic } },
    {
      pattern: ['proxies', ':', 'toxics', ':'],
      methods: {
        GET: ({ path: [proxy, name] }) => json(toxicJson(toxicOf(proxy!, name!))),
        POST: updateToxic,
        PATCH: updateToxic,
        DELETE: ({ path: [proxy, name] }) => {
          proxies.get(proxy!).rules.remove(toxicOf(proxy!, name!).name)
          return { status: 204 }
        },
      },
    },
    {
      pattern: ['reset'],
      methods: {
        POST: async () => {
          await proxies.reset()
          return { status: 204 }
        },
      },
    },
    { pattern: ['version'], methods: { GET: () => ({ status: 200, type: 'application/json;charset=utf-8', body: `{"version": "${TOXIPROXY_VERSION}"}\n` }) } },
    { pattern: ['metrics'], methods: { '*': () => ({ status: 200, type: METRICS_TYPE, body: metrics(proxies, journal) }) } },
    {
      pattern: ['resil', 'proxies'],
      methods: { GET: () => json(proxies.list().map((proxy) => ({ ...proxyJson(proxy), toxics: proxy.rules.list().map(ruleJson), traffic: proxy.link.traffic }))) },
    },
    { pattern: ['resil', 'rules'], methods: { GET: () => json(proxies.list().flatMap((proxy) => proxy.rules.list().map((rule) => ({ proxy: proxy.name, ...ruleJson(rule) })))) } },
    { pattern: ['resil', 'connections'], methods: { GET: () => json(proxies.list().flatMap((proxy) => proxy.link.info().map((connection) => ({ proxy: proxy.name, ...connection })))) } },
    {
      pattern: ['resil', 'journal'],
      methods: {
        GET: ({ query }) => {
          const number = (name: string, most: number) => {
            const text = query.get(name)
            if (text === null) return undefined
            if (!/^\d{1,15}$/.test(text)) throw new ApiError(400, `${name} is "${text}"; it is a whole number`)
            return Math.min(Number(text), most)
          }
          const { lines, next } = journal.read({ after: number('after', Number.MAX_SAFE_INTEGER), limit: number('limit', MAX_JOURNAL_LINES) ?? MAX_JOURNAL_LINES, proxy: query.get('proxy') ?? undefined })
          return json({ seed: proxies.seed, lines, next })
        },
      },
    },
    { pattern: ['resil', 'events'], methods: { GET: events(log, clock) } },
    {
      pattern: ['resil', 'scenario'],
      methods: {
        GET: () => json(schedule.state),
        POST: ({ body }) => {
          schedule.start(readPlan(firstValue(body), readToxic))
          return json(schedule.state, 201)
        },
        DELETE: () => {
          schedule.stop()
          return { status: 204 }
        },
      },
    },
  ]
}

/** An object as Go writes a map: its keys in order, those that look like numbers too. */
function byName(entries: [name: string, value: unknown][]): string {
  const sorted = entries.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${sorted.map(([name, value]) => `${marshal(name)}:${marshal(value)}`).join(',')}}`
}

/** As they came, except where Toxiproxy has its own way: there a number is a number, and what is not known is passed over. */
function readAttributes(toxic: Toxic, given: Record<string, unknown> = {}): Record<string, number | string> {
  const theirs = Object.hasOwn(TOXIPROXYS, toxic.name) ? TOXIPROXYS[toxic.name] : undefined
  const read: [string, number | string][] = []
  for (const [written, value] of Object.entries(given)) {
    const key = theirs ? written.toLowerCase() : written
    const own = Object.hasOwn(toxic.attributes, key) ? (toxic.attributes as Record<string, AttributeSpec>)[key] : undefined
    if (value === null || (theirs && !own && !Object.hasOwn(targeting, key))) continue
    const where = `struct field ${theirs?.struct ?? ''}.attributes.${key}`
    if (theirs && own && !isOf(value, theirs.kind)) throw wrongKind(value, theirs.kind, where)
    if (!isOf(value, 'string') && !isOf(value, 'float64')) throw wrongKind(value, own?.type === 'string' ? 'string' : 'float64', where)
    read.push([key, value as number | string])
  }
  return Object.fromEntries(read)
}

/** A number of ms, or "10s". */
function msOf(value: unknown, name: string): number | undefined {
  if (value === undefined || value === null) return undefined
  if (isOf(value, 'float64')) return value as number
  const ms = typeof value === 'string' ? durationOrMs(value) : undefined
  if (ms === undefined) throw new ApiError(400, `${name} is ${marshal(value)}; it is a number of ms, or a duration like 250ms, 10s, 1m`)
  return ms
}

function readPlan(value: unknown, readToxic: (value: unknown) => { spec: ProxyToxic }) {
  const body = object(value, 'Schedule')
  const stages = (field(body, 'stages', 'array', 'Schedule') as unknown[] | undefined) ?? []
  if (stages.length > MAX_STAGES) throw new ApiError(400, `a schedule has at most ${MAX_STAGES} stages`)
  return {
    stages: stages.map((each): Stage => {
      const stage = object(each, 'Stage')
      const list = (name: string) => field(stage, name, 'array', 'Stage') as unknown[] | undefined
      const names = list('remove')
      if (names && !names.every((name) => typeof name === 'string')) throw new ApiError(400, 'remove is a list of names')
      return {
        at: msOf(stage['at'], 'at') ?? 0,
        for: msOf(stage['for'], 'for'),
        proxy: (field(stage, 'proxy', 'string', 'Stage') as string | undefined) ?? '',
        add: list('add')?.map((toxic) => readToxic(toxic).spec),
        remove: names as string[] | undefined,
        update: list('update')?.map((each) => {
          const change = object(each, 'Update')
          return {
            name: (field(change, 'name', 'string', 'Update') as string | undefined) ?? '',
            attributes: field(change, 'attributes', 'object', 'Update') as Record<string, number | string> | undefined,
            toxicity: field(change, 'toxicity', 'float64', 'Update') as number | undefined,
          }
        }),
        enabled: field(stage, 'enabled', 'bool', 'Stage') as boolean | undefined,
      }
    }),
    repeat: msOf(body['repeat'], 'repeat'),
    times: field(body, 'times', 'float64', 'Schedule') as number | undefined,
  }
}

/** All events as they happen, as server-sent events; `?types=toxic.,proxy.` takes only those that begin so. A reader that is too far behind is dropped. */
function events(log: EventLog, clock: Clock): Handler {
  let readers = 0
  return ({ query, response }) => {
    if (readers >= MAX_READERS) throw new ApiError(503, `there are ${MAX_READERS} readers already`)
    const types = query.get('types')?.split(',').filter((type) => type !== '')
    readers++
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    response.write(': resil\n\n')
    const send = (text: string) => {
      if (response.writableLength > MAX_BEHIND_BYTES) response.destroy()
      else response.write(text)
    }
    const stop = log.subscribe((event: Event) => send(`id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`), types && ((wanted) => types.some((type) => wanted.startsWith(type))))
    let cancel = () => {}
    const beat = () => {
      send(': still here\n\n')
      cancel = clock.after(HEARTBEAT_MS, beat)
    }
    cancel = clock.after(HEARTBEAT_MS, beat)
    response.on('close', () => {
      readers--
      cancel()
      stop()
    })
    return 'streams'
  }
}
