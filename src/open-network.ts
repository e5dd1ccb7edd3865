/**
 * The Network with which addresses are called that strangers chose: nothing that they own can make a call longer, bigger or go elsewhere than its caller meant.
 *
 *   called ──▶ waiting ──▶ sent (handed to a connected, vetted socket) ──▶ answer begun ──▶ status known ──▶ answer whole
 *              ╰ failed ╯  ╰──────────────────── unknown ───────────────────────────────╯  ╰─────── ok: `cut` ────────╯
 *
 * A status is the receiver's word, so an answer of which only the body went wrong is one: `cut` says what became of the body. A redirect is an answer like any other and is never followed.
 *
 * | code              | kind              | what happened                                                                                        |
 * |-------------------|-------------------|------------------------------------------------------------------------------------------------------|
 * | INVALID_REQUEST   | failed            | cannot be written as HTTP, frames itself, names its own host, or the service is no http(s) origin    |
 * | FORBIDDEN_ADDRESS | failed            | reach.ts forbids the address, or one of those that the name has; the error does not tell which       |
 * | QUEUE_FULL        | failed            | WAITING_LIMIT calls to the origin wait already, or ORIGINS_LIMIT origins are being called            |
 * | DNS_NOT_FOUND     | failed            | the name does not exist or has no address                                                            |
 * | DNS_FAILED        | failed            | the name service gave no answer, or said that it cannot                                              |
 * | REFUSED           | failed            | nobody listens                                                                                       |
 * | UNREACHABLE       | failed            | no route, no file handle, or any other reason for no connection                                      |
 * | CONNECT_TIMEOUT   | failed            | no connection, TLS included, within the connect limit or the call's time                             |
 * | TLS_EXPIRED       | failed            | the certificate is over, or not yet valid                                                            |
 * | TLS_SELF_SIGNED   | failed            | nobody vouches for the certificate                                                                   |
 * | TLS_WRONG_HOST    | failed            | the certificate is somebody else's                                                                   |
 * | TLS_FAILED        | failed            | no TLS 1.2 or later, a chain with a gap, or a handshake that broke off                               |
 * | TIMEOUT           | unknown or failed | `timeoutMs` passed before a status came; failed when no connection became free meanwhile             |
 * | RESET             | unknown           | the connection ended, by RST or FIN, before a status came                                            |
 * | MALFORMED         | unknown           | not HTTP/1.1, or a change of protocol that nobody asked for                                          |
 * | ANSWER_TOO_LARGE  | unknown           | a head over HEAD_LIMIT, or interim answers over INTERIM_LIMIT                                        |
 * | ABORTED           | unknown or failed | the caller's signal                                                                                  |
 * | CLOSED            | unknown or failed | this network was closed                                                                              |
 *
 * At least once: a server may close an idle connection at the very moment at which a request leaves on it. Such a request, on a used connection that ended before one byte came back,
 * is sent once more on a fresh one, within the same time. The receiver may see it twice, so nothing is to be called through here that must not be sent again.
 *
 * One undici Client is one connection here, and not a Pool many. A Pool cannot be told to take a fresh connection, goes on filling one that it has stopped counting when connecting failed,
 * and binds a call to a connection that does not exist yet; here calls wait in one line for whichever connection is ready first, and leave it when their time is up.
 *
 * Not bounded in bytes, only by the call's time: the text after a status and the extensions of chunks, which undici reads past. Nothing of them is kept.
 * Names are asked of the operating system, four at a time in one process: names whose servers are silent make other names wait.
 */
import { lookup as systemLookup } from 'node:dns/promises'
import { connect as connectTcp, type LookupFunction, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls'
import { Client, type Dispatcher } from 'undici'
import type { Cancel, Clock } from './clock.ts'
import { ResilError } from './errors.ts'
import { whatIsWrong } from './http-client.ts'
import { type CallOptions, type HttpRequest, type HttpResponse, type Network, type Outcome, outcomeOf } from './network.ts'
import { literalOf, Reach } from './reach.ts'

/** Origins that are remembered; one that nobody calls makes room, the longest unused first. */
const ORIGINS_LIMIT = 10_000
/** As many as a node has in flight: whoever calls has a limit for each of its receivers, and one at a shared host that takes long may not keep the others waiting. */
const CONNECTIONS_PER_ORIGIN = 4096
/** Calls to one origin that have no connection yet. */
const WAITING_LIMIT = 1024
/** For the name, the connection and TLS together, ms. A packet lost twice is sent again within 3 s. */
const CONNECT_LIMIT_MS = 10_000
/** An idle connection is closed after this, ms, or earlier when the server says that it will close it. */
const KEEP_ALIVE_MS = 4_000
/** A connection is not used in the last part, ms, of the time for which the server keeps it. */
const KEEP_ALIVE_MARGIN_MS = 1_000
/** Of an answer's body: read at most, then the connection is closed; and kept, bytes. */
export const BODY_READ_LIMIT = 64 * 1024
export const BODY_KEPT = 16 * 1024
/** Names and values of one head, bytes. */
const HEAD_LIMIT = 16 * 1024
/** Headers of one answer that are kept. */
const HEADERS_KEPT = 100
/** Bytes that came before a final status: interim answers (1xx), all together. */
const INTERIM_LIMIT = 64 * 1024

export interface OpenAnswer extends HttpResponse {
  /**
   * There when `body` is not the whole body: it was larger than what is kept; it broke off or was malformed; or it was still coming when the time was up.
   * `body` is its beginning, at most BODY_KEPT bytes.
   */
  cut?: 'too_large' | 'broken' | 'slow'
}

/** All addresses of a name. Rejects with a `code` as node's does; must end some time: until then it is not asked again. */
export type Lookup = (name: string) => Promise<readonly { address: string; family: number }[]>

export interface OpenNetworkOptions {
  clock: Clock
  /** Addresses and ranges that may be called besides the public ones, at any port. */
  allow?: readonly string[]
  connectionsPerOrigin?: number
  connectLimitMs?: number
  originsLimit?: number
  /** Certificates to trust instead of the well-known ones, PEM. */
  ca?: string | string[]
  lookup?: Lookup
}

/** What all origins share. */
interface Terms {
  clock: Clock
  reach: Reach
  trust: SecureContext
  lookup: Lookup
  connections: number
  connectLimitMs: number
}

export class OpenNetwork implements Network {
  readonly #terms: Terms
  readonly #originsLimit: number
  readonly #origins = new Map<string, Origin>()
  /** Origins that nobody calls, the longest unused first. */
  readonly #resting = new Set<Origin>()
  /** One listener a signal, however many calls have it: a signal looks through all its listeners for each new one. */
  readonly #watched = new WeakMap<AbortSignal, Watchers>()
  #closed = false

  /** Throws INVALID_RANGE for what `allow` cannot say. */
  constructor({ clock, allow, connectionsPerOrigin = CONNECTIONS_PER_ORIGIN, connectLimitMs = CONNECT_LIMIT_MS, originsLimit = ORIGINS_LIMIT, ca, lookup }: OpenNetworkOptions) {
    this.#originsLimit = originsLimit
    this.#terms = {
      clock,
      reach: new Reach(allow),
      trust: createSecureContext({ ca, minVersion: 'TLSv1.2' }), // made once: reading the well-known certificates takes longer than a handshake
      lookup: lookup ?? ((name) => systemLookup(name, { all: true, order: 'verbatim' })),
      connections: connectionsPerOrigin,
      connectLimitMs,
    }
  }

  /** `service` is an origin: `https://host` or `https://host:port`, the same with http. */
  call(service: string, request: HttpRequest, { timeoutMs, signal }: CallOptions): Promise<Outcome<OpenAnswer>> {
    return new Promise((resolve) => {
      const origin = this.#origins.get(service) ?? this.#open(service)
      if (!(origin instanceof Origin)) return resolve({ kind: 'failed', error: origin })
      const exchange = new Exchange(origin, request, resolve)
      const wrong = foreignHeader(request.headers) ?? whatIsWrong(request)
      if (wrong) exchange.fail(new ResilError('INVALID_REQUEST', `${wrong} cannot be sent`))
      else if (signal?.aborted) exchange.giveUp('ABORTED')
      else if (!(timeoutMs > 0)) exchange.giveUp('TIMEOUT')
      else {
        exchange.begin(this.#terms.clock, timeoutMs, signal && this.#watch(signal))
        origin.take(exchange)
      }
    })
  }

  /** Ends what is under way: what waits has failed, what was sent is unknown. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#origins.values()].map((origin) => origin.close()))
    this.#origins.clear()
  }

  #open(service: string): Origin | ResilError {
    if (this.#closed) return new ResilError('CLOSED', 'this network was closed')
    const url = URL.canParse(service) ? new URL(service) : undefined
    if (!url || !/^https?:$/.test(url.protocol) || url.origin !== service) return new ResilError('INVALID_REQUEST', `${JSON.stringify(service)} is no origin`, 'give https://host or https://host:port, in lower case, and nothing more')
    if (this.#origins.size >= this.#originsLimit) {
      const [longestUnused] = this.#resting
      if (!longestUnused) return new ResilError('QUEUE_FULL', `${this.#originsLimit} origins are being called`, 'call fewer at once')
      this.#origins.delete(longestUnused.name)
      this.#resting.delete(longestUnused)
      void longestUnused.close()
    }
    const origin = new Origin(url, this.#terms, this.#resting)
    this.#origins.set(service, origin)
    this.#resting.add(origin)
    return origin
  }

  #watch(signal: AbortSignal): Watchers {
    let watchers = this.#watched.get(signal)
    if (!watchers) {
      watchers = new Watchers(signal)
      this.#watched.set(signal, watchers)
    }
    return watchers
  }
}

/** The calls that one signal ends, in no order. */
class Watchers {
  readonly #calls: Exchange[] = []

  constructor(signal: AbortSignal) {
    signal.addEventListener('abort', () => {
      for (const exchange of [...this.#calls]) exchange.giveUp('ABORTED')
    }, { once: true })
  }

  add(exchange: Exchange): void {
    exchange.watchedAt = this.#calls.push(exchange) - 1
  }

  delete(exchange: Exchange): void {
    const last = this.#calls.pop()!
    if (last === exchange) return
    last.watchedAt = exchange.watchedAt
    this.#calls[exchange.watchedAt] = last
  }
}

/**
 * Calls, first come, first served; any may leave. Linked, and not a Set: the tables that a busy Set has outgrown keep what was in them until the old generation is collected,
 * which cost a fifth of all the time of a call.
 */
class Line {
  size = 0
  #first: Exchange | undefined
  #last: Exchange | undefined

  add(exchange: Exchange): void {
    exchange.line = this
    exchange.before = this.#last
    if (this.#last) this.#last.behind = exchange
    else this.#first = exchange
    this.#last = exchange
    this.size++
  }

  delete(exchange: Exchange): void {
    const { before, behind } = exchange
    if (before) before.behind = behind
    else this.#first = behind
    if (behind) behind.before = before
    else this.#last = before
    exchange.line = exchange.before = exchange.behind = undefined
    this.size--
  }

  shift(): Exchange | undefined {
    const first = this.#first
    if (first) this.delete(first)
    return first
  }
}

/** One origin's connections and the line of calls that wait for one. */
class Origin {
  readonly name: string
  readonly secure: boolean
  readonly host: string
  /** The address, when the host is one. */
  readonly literal: string | undefined
  readonly port: number
  readonly terms: Terms
  /** The last TLS session, which spares the next connection most of its handshake. */
  session: Buffer | undefined
  /** The resting origins of the network: this one is there while it has no calls. */
  readonly #resting: Set<Origin>
  readonly #known: readonly string[] | 'resolve'
  #lookingUp: ReturnType<Lookup> | undefined
  #calls = 0
  readonly #waiting = new Line()
  /** Calls that must have a fresh connection; they come before those that wait. */
  readonly #again = new Line()
  readonly #dials = new Set<Dial>()
  readonly #connections = new Set<Connection>()
  /** The one used last is taken first, so that those too many grow old. */
  readonly #idle: Connection[] = []
  /** Connections whose answer is whole and that will be ready, or dropped, within a turn: a caller that asks again at once needs no other. */
  #finishing = 0

  constructor(url: URL, terms: Terms, resting: Set<Origin>) {
    this.name = url.origin
    this.secure = url.protocol === 'https:'
    this.host = url.hostname
    this.literal = literalOf(url.hostname)
    this.port = Number(url.port) || (this.secure ? 443 : 80)
    this.terms = terms
    this.#resting = resting
    this.#known = terms.reach.before(this.host, this.port)
  }

  enter(): void {
    if (this.#calls++ === 0) this.#resting.delete(this)
  }

  leave(): void {
    if (--this.#calls === 0) this.#resting.add(this)
  }

  take(exchange: Exchange): void {
    const connection = this.#idle.pop()
    if (connection) connection.carry(exchange)
    else if (this.#known.length === 0) exchange.fail(forbidden())
    else if (this.#waiting.size >= WAITING_LIMIT) exchange.fail(new ResilError('QUEUE_FULL', `${WAITING_LIMIT} calls to ${this.name} are waiting for a connection`, 'send less'))
    else {
      this.#waiting.add(exchange)
      this.#dial()
    }
  }

  /** For a call whose used connection ended under it. */
  takeAgain(exchange: Exchange): void {
    this.#again.add(exchange)
    this.#dial()
  }

  /** A call that waits no longer; a dial that was for nobody else ends with it. */
  forget(exchange: Exchange): void {
    if (!exchange.line) return
    exchange.line.delete(exchange)
    if (this.#dials.size > this.#wanted) {
      const [oldest] = this.#dials
      this.#dials.delete(oldest!)
      oldest!.cancel()
    }
  }

  /** What a waiting call that is out of time was waiting for. */
  get lack(): ResilError {
    const [oldest] = this.#dials
    if (this.#connections.size === 0 && oldest) return oldest.lack
    return new ResilError('TIMEOUT', `no connection to ${this.name} became free in time`)
  }

  /** All addresses of the host, each allowed. Calls that come together share one answer. */
  async addresses(): Promise<readonly { address: string; family: number }[]> {
    if (this.#known !== 'resolve') return this.#known.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    this.#lookingUp ??= this.terms.lookup(this.host).finally(() => {
      this.#lookingUp = undefined
    })
    const addresses = await this.#lookingUp
    if (addresses.length === 0) throw Object.assign(new Error(`${this.host} has no address`), { code: 'ENOTFOUND' })
    if (!addresses.every(({ address }) => this.terms.reach.allows(address, this.port))) throw forbidden()
    return addresses
  }

  dialled(dial: Dial, socket: Socket): void {
    this.#dials.delete(dial)
    const connection = new Connection(this, socket)
    this.#connections.add(connection)
    this.ready(connection)
  }

  /** One dial, one call: the others may have more luck, and each has its own dial. */
  notDialled(dial: Dial, error: ResilError): void {
    this.#dials.delete(dial)
    const exchange = this.#again.shift() ?? this.#waiting.shift()
    exchange?.failUnconnected(error)
    this.#dial()
  }

  /** A connection whose answer is whole. */
  finished(connection: Connection): void {
    connection.finishing = true
    this.#finishing++
  }

  /** A connection that carries nothing. */
  ready(connection: Connection): void {
    if (!this.#connections.has(connection)) return
    this.#noLongerFinishing(connection)
    const exchange = (connection.used ? undefined : this.#again.shift()) ?? this.#waiting.shift()
    if (exchange) return connection.carry(exchange)
    this.#idle.push(connection)
    connection.rest()
  }

  /** A connection that has ended. */
  drop(connection: Connection): void {
    if (!this.#connections.delete(connection)) return
    this.#noLongerFinishing(connection)
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
    this.#dial()
  }

  async close(): Promise<void> {
    for (let exchange; (exchange = this.#again.shift() ?? this.#waiting.shift());) exchange.giveUp('CLOSED')
    for (const dial of this.#dials) dial.cancel()
    await Promise.all([...this.#connections].map((connection) => connection.close()))
  }

  #noLongerFinishing(connection: Connection): void {
    if (connection.finishing) this.#finishing--
    connection.finishing = false
  }

  get #wanted(): number {
    return this.#again.size + Math.max(0, this.#waiting.size - this.#finishing)
  }

  #dial(): void {
    while (this.#dials.size < this.#wanted && this.#connections.size + this.#dials.size < this.terms.connections) {
      const dial = new Dial(this)
      this.#dials.add(dial)
      dial.start()
    }
  }
}

/** The making of one connection: name, TCP, whether the other end may be spoken to, TLS. Tells its origin how it ended, unless cancelled. */
class Dial {
  readonly #origin: Origin
  #stage: 'name' | 'connection' | 'TLS'
  #socket: Socket | undefined
  #cancelLimit: Cancel | undefined
  #ended = false

  constructor(origin: Origin) {
    this.#origin = origin
    this.#stage = origin.literal ? 'connection' : 'name'
  }

  start(): void {
    const { terms: { clock, connectLimitMs }, port, host, literal } = this.#origin
    this.#cancelLimit = clock.after(connectLimitMs, () => this.#fail(this.lack))
    this.#socket = connectTcp({ host: literal ?? host, port, lookup: this.#lookup, noDelay: true })
      .on('error', (error) => this.#fail(error))
      .once('connect', () => this.#connected())
  }

  /** What it is still waiting for. */
  get lack(): ResilError {
    const { name } = this.#origin
    return this.#stage === 'name' ? new ResilError('DNS_FAILED', `the name of ${name} was not resolved in time`) : new ResilError('CONNECT_TIMEOUT', `no ${this.#stage} with ${name} in time`)
  }

  cancel(): void {
    this.#end()
    this.#socket?.destroy()
  }

  /** Not called for a host that is an address: that was asked about before. */
  #lookup: LookupFunction = (_, { all }, answer) => {
    this.#origin.addresses().then((addresses) => {
      this.#stage = 'connection'
      if (all) answer(null, addresses as { address: string; family: number }[])
      else answer(null, addresses[0]!.address, addresses[0]!.family)
    }, (error: NodeJS.ErrnoException) => answer(error instanceof ResilError ? error : notResolved(this.#origin.host, error), ''))
  }

  #connected(): void {
    const { terms: { reach, trust }, secure, host, literal, port, session } = this.#origin
    const socket = this.#socket!
    // The word of a name service may change between the asking and the dialling. What a socket is connected to does not.
    if (!reach.allows(socket.remoteAddress ?? '', port)) return this.#fail(forbidden())
    if (!secure) return this.#succeed()
    this.#stage = 'TLS'
    const name = host.replace(/\.$/, '')
    let trusted = false
    const tls = connectTls({
      socket,
      host: literal ?? name, // for the comparison with the certificate
      servername: literal === undefined ? name : '',
      secureContext: trust,
      session,
      rejectUnauthorized: true,
      ALPNProtocols: ['http/1.1'],
    })
    this.#socket = tls
      .on('error', (error) => this.#fail(error))
      .on('session', (fresh) => {
        if (trusted) this.#origin.session = fresh
      })
      .once('secureConnect', () => {
        trusted = true
        if (tls.getProtocol() === 'TLSv1.2') this.#origin.session = tls.getSession() // later versions tell when they have one
        this.#succeed()
      })
  }

  #succeed(): void {
    if (!this.#end()) return
    this.#origin.dialled(this, this.#socket!)
  }

  #fail(error: NodeJS.ErrnoException): void {
    if (!this.#end()) return
    this.#socket?.destroy()
    if (this.#stage === 'TLS') this.#origin.session = undefined
    this.#origin.notDialled(this, error instanceof ResilError ? error : notConnected(this.#origin.name, this.#stage, error))
  }

  #end(): boolean {
    if (this.#ended) return false
    this.#ended = true
    this.#cancelLimit?.()
    return true
  }
}

/** A socket that may be spoken to, and the undici Client that speaks HTTP on it, and on no other. */
class Connection {
  /** Whether a request was written on it before. */
  used = false
  /** Counted by its origin. */
  finishing = false
  readonly #origin: Origin
  readonly #socket: Socket
  readonly #client: Client
  #cancelRest: Cancel | undefined

  constructor(origin: Origin, socket: Socket) {
    this.#origin = origin
    this.#socket = socket
    let given = false
    this.#client = new Client(origin.name, {
      // Later, because undici does not look for a request again while it is asking for a connection.
      connect: (_, done) => queueMicrotask(() => {
        if (given || socket.destroyed) return done(lost(), null)
        given = true
        done(null, socket)
      }),
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      keepAliveTimeoutThreshold: KEEP_ALIVE_MARGIN_MS,
      maxHeaderSize: HEAD_LIMIT,
      headersTimeout: 0,
      bodyTimeout: 0,
    })
    this.#client.on('drain', () => {
      if (!socket.destroyed) origin.ready(this)
    })
    socket.once('close', () => origin.drop(this))
  }

  get bytesRead(): number {
    return this.#socket.bytesRead
  }

  carry(exchange: Exchange): void {
    if (!this.used) {
      this.#cancelRest?.()
      this.#socket.ref()
    }
    exchange.connection = this
    this.#client.dispatch(exchange.options, exchange)
  }

  /** Idle; undici looks after a connection only once it was used. */
  rest(): void {
    if (this.used) return
    this.#socket.unref()
    this.#cancelRest = this.#origin.terms.clock.after(KEEP_ALIVE_MS, () => this.#socket.destroy())
  }

  /** Its end, should it not have come of itself. */
  abandon(): void {
    this.#origin.drop(this)
    this.#socket.destroy()
  }

  async close(): Promise<void> {
    this.#cancelRest?.()
    await this.#client.destroy()
    this.#socket.destroy()
  }
}

/** One request and its answer, as undici tells it. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly options: Dispatcher.DispatchOptions
  /** The one that carries it, from the moment at which it was chosen. */
  connection: Connection | undefined
  readonly #origin: Origin
  readonly #resolve: (outcome: Outcome<OpenAnswer>) => void
  /** Its place in a Line, and in its Watchers. */
  line: Line | undefined
  before: Exchange | undefined
  behind: Exchange | undefined
  watchedAt = 0
  #watchers: Watchers | undefined
  #cancel: Cancel | undefined
  #controller: Dispatcher.DispatchController | undefined
  #settled = false
  /** Some of it may have been written, perhaps on an earlier connection. */
  #sent = false
  #onUsed = false
  #isSecondTry = false
  #bytesBefore = 0
  #begun = false
  #status = 0
  #headers: Record<string, string> = {}
  #bodyRead = 0
  #bodyKept = 0
  readonly #chunks: Buffer[] = []

  constructor(origin: Origin, { method, path, headers, body }: HttpRequest, resolve: (outcome: Outcome<OpenAnswer>) => void) {
    this.#origin = origin
    this.#resolve = resolve
    this.options = { method, path, headers, body: body === '' ? null : body }
    origin.enter()
  }

  begin(clock: Clock, timeoutMs: number, watchers: Watchers | undefined): void {
    // One more look at the socket: after a stall the answer may lie there unread, and counts more than a timer that fell due meanwhile.
    this.#cancel = clock.after(timeoutMs, () => {
      this.#cancel = clock.after(0, () => this.giveUp('TIMEOUT'))
    })
    this.#watchers = watchers
    watchers?.add(this)
  }

  /** The caller's time or patience is over, or the network. Takes its connection down with it: a late answer must not reach the next call. */
  giveUp(why: 'TIMEOUT' | 'ABORTED' | 'CLOSED'): void {
    if (this.#status > 0) this.#answer(why === 'TIMEOUT' ? 'slow' : 'broken')
    else if (why === 'TIMEOUT') this.fail(this.#sent ? new ResilError('TIMEOUT', 'no answer in time') : this.#origin.lack)
    else this.fail(new ResilError(why, why === 'ABORTED' ? 'the caller gave up' : 'this network was closed'))
    this.#controller?.abort(ended())
  }

  /** No answer. Whether it may have happened follows from what was sent. */
  fail(error: ResilError): void {
    this.#settle(outcomeOf(error, this.#sent ? 1 : 0))
  }

  /** No connection. That proves nothing about a first try which was sent. */
  failUnconnected(error: ResilError): void {
    this.fail(this.#sent ? new ResilError('RESET', `the connection ended before an answer came, and there was no other: ${error.message}`, '', { cause: error }) : error)
  }

  #answer(cut: OpenAnswer['cut']): void {
    if (this.#settled) return
    const body = this.#chunks.length === 0 ? '' : this.#chunks.length === 1 ? this.#chunks[0]!.toString() : Buffer.concat(this.#chunks).toString()
    const value: OpenAnswer = { status: this.#status, headers: this.#headers, body }
    if (cut) value.cut = cut
    this.#settle({ kind: 'ok', value })
  }

  #settle(outcome: Outcome<OpenAnswer>): void {
    if (this.#settled) return
    this.#settled = true
    this.#cancel?.()
    this.#watchers?.delete(this)
    this.#origin.forget(this)
    this.#origin.leave()
    this.#resolve(outcome)
  }

  /** The last moment at which nothing is written. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    const connection = this.connection!
    this.#controller = controller
    if (this.#settled) return controller.abort(ended())
    this.#onUsed = connection.used
    connection.used = true
    this.#sent = true
    this.#bytesBefore = connection.bytesRead
  }

  /** The first byte of an answer, interim or final. */
  onResponseStarted(): void {
    this.#begun = true
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: Record<string, string | string[] | undefined>): void {
    if (status < 200) {
      if (this.connection!.bytesRead - this.#bytesBefore <= INTERIM_LIMIT) return
      this.fail(new ResilError('ANSWER_TOO_LARGE', `over ${INTERIM_LIMIT} bytes came before a status`))
      return controller.abort(ended())
    }
    this.#status = status
    let room = HEADERS_KEPT
    for (const name in headers) {
      if (room-- === 0) break
      const value = headers[name]!
      this.#headers[name] = typeof value === 'string' ? value : value.join(', ')
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bodyRead += chunk.length
    const room = BODY_KEPT - this.#bodyKept
    if (room > 0) {
      const kept = chunk.length > room ? chunk.subarray(0, room) : chunk
      this.#bodyKept += kept.length
      this.#chunks.push(kept)
    }
    if (this.#bodyRead <= BODY_READ_LIMIT) return
    this.#answer('too_large')
    controller.abort(ended())
  }

  onResponseEnd(): void {
    this.#origin.finished(this.connection!)
    this.#answer(this.#bodyRead > this.#bodyKept ? 'too_large' : undefined)
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: NodeJS.ErrnoException): void {
    if (this.#settled) return
    if (this.#status > 0) return this.#answer('broken')
    const unsent = !this.#controller
    if ((unsent || (this.#onUsed && !this.#begun && connectionEnded(error))) && !this.#isSecondTry && error.code !== 'UND_ERR_DESTROYED') {
      this.connection!.abandon()
      this.connection = this.#controller = undefined
      this.#isSecondTry = true
      return this.#origin.takeAgain(this)
    }
    const code = codeAfterConnecting(error)
    if (unsent && code !== 'CLOSED') this.failUnconnected(new ResilError('UNREACHABLE', 'the connection ended before it was used', '', { cause: error }))
    else this.fail(new ResilError(code, error.message || code, '', { cause: error }))
  }
}

/** undici lets a host of one's own through, and capitals past the names that it and we refuse. */
function foreignHeader(headers: Record<string, string>): string | undefined {
  for (const name in headers) if (name === 'host' || /[A-Z]/.test(name)) return `header ${JSON.stringify(name)}`
  return undefined
}

/** What undici is told when a request is over for us; its words reach nobody. */
const ended = () => new ResilError('ENDED', 'the exchange is over')

/** What undici is told when it asks for a second socket. */
const lost = () => new ResilError('LOST', 'the connection ended before it was used')

const forbidden = () => new ResilError('FORBIDDEN_ADDRESS', 'this address may not be called', 'the operator can open it: allow its range')

function connectionEnded(error: NodeJS.ErrnoException): boolean {
  if (error.code === 'UND_ERR_SOCKET') return !isMisbehaviour(error)
  return error.code === 'ECONNRESET' || error.code === 'EPIPE' || error.code === 'ECONNABORTED'
}

/** undici's words for 100 and 101 that nobody asked for. */
const isMisbehaviour = (error: NodeJS.ErrnoException) => /^bad (response|upgrade)$/.test(error.message)

function codeAfterConnecting(error: NodeJS.ErrnoException & { data?: string }): string {
  switch (error.code) {
    case 'UND_ERR_CLOSED': case 'UND_ERR_DESTROYED': return 'CLOSED'
    case 'UND_ERR_HEADERS_OVERFLOW': return 'ANSWER_TOO_LARGE'
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH': return 'MALFORMED'
    case 'UND_ERR_SOCKET': return isMisbehaviour(error) ? 'MALFORMED' : 'RESET'
  }
  // The parser's own errors carry the bytes that they stumbled over; none means that it stumbled over the end.
  return error.name === 'HTTPParserError' && error.data !== '' ? 'MALFORMED' : 'RESET'
}

function notResolved(host: string, cause: NodeJS.ErrnoException): ResilError {
  if (cause.code === 'ENOTFOUND' || cause.code === 'ENODATA') return new ResilError('DNS_NOT_FOUND', `${host} does not exist or has no address`, '', { cause })
  return new ResilError('DNS_FAILED', `${host} cannot be resolved now`, '', { cause })
}

const TLS_CODES: Record<string, string> = {
  CERT_HAS_EXPIRED: 'TLS_EXPIRED',
  CERT_NOT_YET_VALID: 'TLS_EXPIRED',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'TLS_SELF_SIGNED',
  SELF_SIGNED_CERT_IN_CHAIN: 'TLS_SELF_SIGNED',
  ERR_TLS_CERT_ALTNAME_INVALID: 'TLS_WRONG_HOST',
}

function notConnected(name: string, stage: string, cause: NodeJS.ErrnoException): ResilError {
  const why = cause.code ?? cause.message
  if (stage === 'TLS') return new ResilError(TLS_CODES[why] ?? 'TLS_FAILED', `no TLS with ${name}: ${why}`, '', { cause })
  switch (cause.code) {
    case 'ECONNREFUSED': return new ResilError('REFUSED', `nobody listens at ${name}`, '', { cause })
    case 'ETIMEDOUT': return new ResilError('CONNECT_TIMEOUT', `no connection with ${name} in time`, '', { cause })
    default: return new ResilError('UNREACHABLE', `no connection with ${name}: ${why}`, '', { cause })
  }
}
