/**
 * A Network over real sockets: one undici pool for each service, one timer for each call.
 *
 * The phase decides between failed and unknown, never the error: a reset while connecting did nothing, the same reset a moment later may have charged somebody.
 *
 *   called ──▶ waiting (queued, connecting) ──▶ sent (handed to a connected socket) ──▶ answer begun ──▶ answer whole
 *              ╰──────── failed ─────────╯      ╰───────────────── unknown ─────────────────╯            ╰── ok ──╯
 *
 * | code              | kind              | what happened                                                                             |
 * |-------------------|-------------------|-------------------------------------------------------------------------------------------|
 * | TIMEOUT           | failed or unknown | `timeoutMs` passed, or connecting took over CONNECT_TIMEOUT_MS                            |
 * | ABORTED           | failed or unknown | the caller's signal                                                                       |
 * | CLOSED            | failed or unknown | this network was closed                                                                   |
 * | INVALID_REQUEST   | failed            | cannot be written as HTTP, or says how it is framed: see `whatIsWrong`                    |
 * | QUEUE_FULL        | failed            | WAITING_LIMIT calls to the service are waiting already                                    |
 * | REFUSED           | failed            | nobody listens                                                                            |
 * | UNREACHABLE       | failed            | any other reason for no connection: no name, no route, no trust (TLS), no file handle     |
 * | RESET             | unknown           | the connection ended, by RST or FIN, before the head of the answer was whole              |
 * | TRUNCATED         | unknown           | the connection ended, by RST or FIN, inside the answer's body                             |
 * | MALFORMED         | unknown           | not HTTP/1.1, or a body that is not UTF-8                                                 |
 * | ANSWER_TOO_LARGE  | unknown           | a body over ANSWER_BYTES_LIMIT, or a head over 16 KiB                                     |
 *
 * RST and FIN share a code because a reader cannot tell them apart: the operating system hides an RST that arrives together with data.
 * Not seen: an answer with neither a length nor chunks that the service breaks off; its end is its connection's end, whole or not.
 */
import { isUtf8 } from 'node:buffer'
import { type Dispatcher, Pool } from 'undici'
import type { Cancel, Clock } from './clock.ts'
import { ResilError } from './errors.ts'
import { type CallOptions, type HttpRequest, type HttpResponse, type Network, type Outcome, outcomeOf } from './network.ts'

const CONNECTIONS_PER_SERVICE = 256
/** Calls to one service that have no connection yet; a call that gave up counts until its turn comes. */
const WAITING_LIMIT = 4096
/** The system may take minutes to give up on a connection, ms. */
const CONNECT_TIMEOUT_MS = 5_000
/** An idle connection is closed after this, ms, whatever the service hints. Well below the server's, see SERVER_KEEP_ALIVE_MS. */
export const CLIENT_KEEP_ALIVE_MS = 4_000
export const ANSWER_BYTES_LIMIT = 1024 * 1024

export interface HttpNetworkOptions {
  clock: Clock
  /** Base URL by name, http or https; a path in it goes before every request's path. */
  services: Record<string, string>
  connectionsPerService?: number
}

interface Upstream {
  pool: Pool
  /** '' or a path without a slash at its end. */
  prefix: string
  /** Calls that were given to the pool and have no connection yet. */
  waiting: number
}

export class HttpNetwork implements Network {
  readonly #clock: Clock
  readonly #upstreams = new Map<string, Upstream>()

  /** Throws INVALID_URL. */
  constructor({ clock, services, connectionsPerService = CONNECTIONS_PER_SERVICE }: HttpNetworkOptions) {
    this.#clock = clock
    for (const [name, base] of Object.entries(services)) {
      const url = URL.canParse(base) ? new URL(base) : undefined
      if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
        throw new ResilError('INVALID_URL', `${name}: ${base} is no base URL`, 'give http:// or https://, a host, perhaps a port and a path, and nothing more')
      }
      const pool = new Pool(url.origin, {
        connections: connectionsPerService,
        connectTimeout: CONNECT_TIMEOUT_MS,
        keepAliveTimeout: CLIENT_KEEP_ALIVE_MS,
        keepAliveMaxTimeout: CLIENT_KEEP_ALIVE_MS,
        maxResponseSize: ANSWER_BYTES_LIMIT,
        headersTimeout: 0,
        bodyTimeout: 0,
      })
      this.#upstreams.set(name, { pool, prefix: url.pathname.replace(/\/+$/, ''), waiting: 0 })
    }
  }

  call(service: string, request: HttpRequest, { timeoutMs, signal }: CallOptions): Promise<Outcome<HttpResponse>> {
    const upstream = this.#upstreams.get(service)
    if (!upstream) return Promise.reject(new ResilError('UNKNOWN_SERVICE', `no service is called ${service}`, `known: ${[...this.#upstreams.keys()].join(', ')}`))
    return new Promise((resolve) => {
      const exchange = new Exchange(upstream, resolve)
      const wrong = whatIsWrong(request)
      if (wrong) exchange.giveUp(new ResilError('INVALID_REQUEST', `${wrong} cannot be sent`))
      else if (signal?.aborted) exchange.giveUp(aborted())
      else if (!(timeoutMs > 0)) exchange.giveUp(timedOut(timeoutMs))
      else if (upstream.waiting >= WAITING_LIMIT) exchange.giveUp(new ResilError('QUEUE_FULL', `${WAITING_LIMIT} calls to ${service} are waiting for a connection`, 'send less, or put a bulkhead before it'))
      else exchange.begin(request, this.#clock, timeoutMs, signal)
    })
  }

  /** Ends what is under way: what waits has failed, what was sent is unknown. Idempotent. */
  async close(): Promise<void> {
    await Promise.all([...this.#upstreams.values()].map(({ pool }) => pool.destroy()))
  }
}

/** One request and its answer, as undici tells it. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #upstream: Upstream
  readonly #resolve: (outcome: Outcome<HttpResponse>) => void
  #controller: Dispatcher.DispatchController | undefined
  #settled = false
  #cancel: Cancel | undefined
  #signal: AbortSignal | undefined
  #status = 0
  #headers: Record<string, string> = {}
  readonly #chunks: Buffer[] = []

  constructor(upstream: Upstream, resolve: (outcome: Outcome<HttpResponse>) => void) {
    this.#upstream = upstream
    this.#resolve = resolve
  }

  begin({ method, path, headers, body }: HttpRequest, clock: Clock, timeoutMs: number, signal: AbortSignal | undefined): void {
    // One more look at the socket: after a stall the answer may lie there unread, and counts more than a timer that fell due meanwhile.
    this.#cancel = clock.after(timeoutMs, () => {
      this.#cancel = clock.after(0, () => this.giveUp(timedOut(timeoutMs)))
    })
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#upstream.waiting++
    this.#upstream.pool.dispatch({ method, path: this.#upstream.prefix + path, headers, body: body === '' ? null : body }, this)
  }

  /** Settles by the phase it is in, and takes its connection down with it: a late answer must not reach the next call. */
  giveUp(error: ResilError): void {
    this.#settle(outcomeOf(error, this.#controller ? 1 : 0))
    this.#controller?.abort(error)
  }

  #onAbort = (): void => this.giveUp(aborted())

  #settle(outcome: Outcome<HttpResponse>): void {
    if (this.#settled) return
    this.#settled = true
    this.#cancel?.()
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#resolve(outcome)
  }

  /** The last moment at which nothing is written. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#upstream.waiting--
    this.#controller = controller
    if (this.#settled) controller.abort(aborted())
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Record<string, string | string[] | undefined>): void {
    if (status < 200) return
    this.#status = status
    for (const name in headers) {
      const value = headers[name]!
      this.#headers[name] = typeof value === 'string' ? value : value.join(', ')
    }
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    const body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
    if (isUtf8(body)) this.#settle({ kind: 'ok', value: { status: this.#status, headers: this.#headers, body: body.toString() } })
    else this.#settle(outcomeOf(new ResilError('MALFORMED', 'the body of the answer is not valid UTF-8'), 1))
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    if (!this.#controller) this.#upstream.waiting--
    if (this.#settled) return
    const code = this.#controller ? codeAfterSending(error, this.#status > 0) : codeBeforeSending(error)
    this.#settle(outcomeOf(new ResilError(code, error.message || code, '', { cause: error }), this.#controller ? 1 : 0))
  }
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const PATH = /^\/[!-~\x80-\xff]*$/
const HEADER_VALUE = /^[\t -~\x80-\xff]*$/
/** Headers that say how a message is framed or a connection used: not the caller's to write. */
const FRAMING = new Set(['connection', 'content-length', 'expect', 'keep-alive', 'transfer-encoding', 'upgrade'])

/** What of a request cannot be written as HTTP. Looked at before undici does: a request that it refuses itself leaves its connection marked as busy for ever. */
export function whatIsWrong({ method, path, headers }: HttpRequest): string | undefined {
  if (!TOKEN.test(method)) return `method ${JSON.stringify(method)}`
  if (!PATH.test(path)) return `path ${JSON.stringify(path)}`
  for (const name in headers) {
    if (!TOKEN.test(name) || FRAMING.has(name)) return `header ${JSON.stringify(name)}`
    if (!HEADER_VALUE.test(headers[name]!)) return `the value of header ${name}`
  }
  return undefined
}

function timedOut(timeoutMs: number): ResilError {
  return new ResilError('TIMEOUT', `no whole answer within ${timeoutMs} ms`)
}

function aborted(): ResilError {
  return new ResilError('ABORTED', 'the caller gave up')
}

function codeBeforeSending(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ECONNREFUSED': return 'REFUSED'
    case 'UND_ERR_CONNECT_TIMEOUT': return 'TIMEOUT'
    case 'UND_ERR_CLOSED': case 'UND_ERR_DESTROYED': return 'CLOSED'
    default: return 'UNREACHABLE'
  }
}

function codeAfterSending(error: NodeJS.ErrnoException & { data?: string }, answerBegun: boolean): string {
  switch (error.code) {
    case 'UND_ERR_CLOSED': case 'UND_ERR_DESTROYED': return 'CLOSED'
    case 'UND_ERR_HEADERS_OVERFLOW': case 'UND_ERR_RES_EXCEEDED_MAX_SIZE': return 'ANSWER_TOO_LARGE'
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH': return answerBegun ? 'TRUNCATED' : 'MALFORMED'
  }
  // The parser's own errors carry the bytes that they stumbled over; none means that it stumbled over the end.
  if (error.name === 'HTTPParserError' && error.data !== '') return 'MALFORMED'
  return answerBegun ? 'TRUNCATED' : 'RESET'
}
