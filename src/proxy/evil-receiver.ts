/**
 * A receiver of webhooks that is evil in bytes: what no HTTP server of a mock would send. One raw server, one mood at a time, and an inbox like the customer's.
 *
 *   accept ── (TLS) ── requests, one after another ── whole: the effect, a row in the inbox ── the mood's bytes ── the next, or the end
 *
 * | mood             | what it does once a request is whole                                             | status | effect |
 * |------------------|----------------------------------------------------------------------------------|--------|--------|
 * | healthy          | answers                                                                          | 204    | yes |
 * | slow             | answers after `ms`                                                               | 204    | yes |
 * | refuse           | (nobody listens, and open connections are reset)                                 |        | |
 * | flood_1xx        | sends an interim answer each `ms`, without end                                   | 0      | yes |
 * | slowloris_head   | sends a byte of a head each `ms`, without end                                    | 0      | yes |
 * | slowloris_body   | sends a head, then a byte of a body each `ms`, without end                       | 200    | yes |
 * | endless_body     | sends a head and a body without end, as fast as it is read                       | 200    | yes |
 * | partial_body     | announces 100 bytes, sends 10, and closes                                        | 200    | yes |
 * | partial_head     | sends half a head, and closes                                                    | 0      | yes |
 * | reset_after_body | resets the connection                                                            | 0      | unless `processes` is false |
 * | idle_close       | answers, and closes a connection that was idle for `ms`, also into a new request | 204    | yes |
 * | huge_headers     | sends `bytes` of headers                                                         | 200    | yes |
 * | gzip_bomb        | sends 64 KiB that unpack to 64 MiB                                               | 200    | yes |
 * | garbage          | sends bytes that are no HTTP, and closes                                         | 0      | yes |
 * | ansi             | answers with escape sequences in the status text, a header and the body          | 500    | no |
 * | tls_expired, tls_self_signed, tls_wrong_host, tls_1_0 | as healthy, behind a certificate or a version that is bad   | 204    | yes |
 * | tls_hang         | (reads, and never answers the handshake)                                         |        | |
 *
 * The effect is had by genuine requests (`valid` or `unchecked`) only, once an id; the status is what was begun to be sent, 0 when there was none. "Without
 * end" ends with the connection, or with the next mood.
 */
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import type { SecureContext } from 'node:tls'
import { gzipSync } from 'node:zlib'
import type { Cancel, Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Log } from '../events.ts'
import { reset } from '../reset.ts'
import { Inbox } from './customer/inbox.ts'
import type { Arrival, InboxLedger } from './customer/inbox.ts'
import { described } from './customer/mood.ts'
import { Trust } from './customer/trust.ts'
import { certificates } from './evil-certificates.ts'
import { MAX_HEAD_BYTES, readHead } from './http-head.ts'
import { LEDGER_LIMIT } from './mock.ts'

export type EvilMood =
  | { kind: 'healthy' | 'refuse' | 'endless_body' | 'partial_body' | 'partial_head' | 'gzip_bomb' | 'garbage' | 'ansi' }
  | { kind: 'tls_expired' | 'tls_self_signed' | 'tls_wrong_host' | 'tls_hang' | 'tls_1_0' }
  | { kind: 'slow' | 'flood_1xx' | 'slowloris_head' | 'slowloris_body' | 'idle_close'; ms: number }
  | { kind: 'huge_headers'; bytes: number }
  | { kind: 'reset_after_body'; processes?: boolean }

export interface EvilReceiverSetup {
  clock: Clock
  /** Bound to src `mock`. */
  log: Log
  /** `customer` when absent. */
  name?: string
  /** 127.0.0.1 when absent. */
  host?: string
  /** 0, or absent, takes a free one; it is kept through every mood. */
  port?: number
  /** Speaks TLS in every mood, with a certificate that is valid for whoever trusts AUTHORITY; false when absent. */
  tls?: boolean
  secrets?: readonly string[]
  /** Of its wall clock, ms. */
  skewMs?: number
  /** Of the customer in whose place it stands: then whom it trusts, what time it has and how much is written down is that customer's affair. One of its own when absent. */
  inbox?: Inbox
  /** Told each time that somebody meets its mood: a request to which it answers, a connection in a mood that has to do with connections, an end of one that was idle. */
  onMet?: () => void
  /** Requests that are written down; LEDGER_LIMIT when absent. The next ones' connections are reset. */
  ledgerLimit?: number
}

/** A connection, and all that went over it above TLS. */
export interface ConnectionRow {
  readonly bytesRead: number
  /** Handed to the system: at most its socket buffers are more than what the other side has read. */
  readonly bytesWritten: number
  /** Whole ones. */
  readonly requests: number
  readonly open: boolean
}

/** Connections that are remembered; the oldest closed ones are forgotten. */
const CONNECTIONS_LIMIT = 10_000
/** Open ones; the next is reset on arrival. */
const OPEN_LIMIT = 4096
/** A head and a body; more resets the connection. */
const MESSAGE_LIMIT = MAX_HEAD_BYTES + 1024 * 1024
const CHUNK = Buffer.alloc(16 * 1024, 'x')
/** A body that never ends is announced as this long, bytes: 1 TiB. */
const ENDLESS_BYTES = 2 ** 40
const BOMB_MEMBERS = 64
const LONGEST_HEADER_LINE = 4096
const MOST_HEADER_BYTES = 64 * 1024 * 1024

const NO_CONTENT = 'HTTP/1.1 204 No Content\r\n\r\n'

/** With `status` and `processes` of the table above. */
const ANSWERS = {
  healthy: { status: 204, processes: true },
  slow: { status: 204, processes: true },
  refuse: { status: 0, processes: false },
  flood_1xx: { status: 0, processes: true },
  slowloris_head: { status: 0, processes: true },
  slowloris_body: { status: 200, processes: true },
  endless_body: { status: 200, processes: true },
  partial_body: { status: 200, processes: true },
  partial_head: { status: 0, processes: true },
  reset_after_body: { status: 0, processes: true },
  idle_close: { status: 204, processes: true },
  huge_headers: { status: 200, processes: true },
  gzip_bomb: { status: 200, processes: true },
  garbage: { status: 0, processes: true },
  ansi: { status: 500, processes: false },
  tls_expired: { status: 204, processes: true },
  tls_self_signed: { status: 204, processes: true },
  tls_wrong_host: { status: 204, processes: true },
  tls_1_0: { status: 204, processes: true },
  tls_hang: { status: 0, processes: false },
} as const satisfies Record<EvilMood['kind'], { status: number; processes: boolean }>

export const evilMoods: ReadonlySet<string> = new Set(Object.keys(ANSWERS))

/** What is sent in a mood, from the moment that the request is whole. */
type Bytes = (connection: Connection, mood: never) => Promise<void> | void

const BYTES: Partial<Record<EvilMood['kind'], Bytes>> = {
  async slow(connection, { ms }: { ms: number }) {
    await connection.sleep(ms)
    await connection.send(NO_CONTENT)
  },
  async flood_1xx(connection, { ms }: { ms: number }) {
    while (await connection.send('HTTP/1.1 102 Processing\r\n\r\n')) await connection.sleep(ms)
  },
  async slowloris_head(connection, { ms }: { ms: number }) {
    for (let text = 'HTTP/1.1 200 OK\r\n'; await connection.drip(text, ms); text = 'x-a: b\r\n') continue
  },
  async slowloris_body(connection, { ms }: { ms: number }) {
    await connection.send(`HTTP/1.1 200 OK\r\ncontent-length: ${ENDLESS_BYTES}\r\n\r\n`)
    while (await connection.drip('x', ms)) continue
  },
  async endless_body(connection) {
    await connection.send(`HTTP/1.1 200 OK\r\ncontent-length: ${ENDLESS_BYTES}\r\n\r\n`)
    while (await connection.send(CHUNK)) continue
  },
  partial_body: (connection) => connection.finish('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0123456789'),
  partial_head: (connection) => connection.finish('HTTP/1.1 200 OK\r\ncontent-le'),
  reset_after_body: (connection) => connection.reset(),
  async idle_close(connection, { ms }: { ms: number }) {
    await connection.send(NO_CONTENT)
    connection.closeWhenIdle(ms)
  },
  async huge_headers(connection, { bytes }: { bytes: number }) {
    await connection.send('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n')
    for (let left = bytes; left > 0; left -= LONGEST_HEADER_LINE) {
      if (!await connection.send(`${'x-long: '.padEnd(Math.max(10, Math.min(left, LONGEST_HEADER_LINE)) - 2, 'a')}\r\n`)) return
    }
    await connection.send('\r\n')
  },
  async gzip_bomb(connection) {
    // Members one after another are one gzip file.
    const member = gzipSync(Buffer.alloc(1024 * 1024))
    await connection.send(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-type: application/json\r\ncontent-length: ${member.length * BOMB_MEMBERS}\r\n\r\n`)
    for (let n = 0; n < BOMB_MEMBERS; n++) await connection.send(member)
  },
  garbage: (connection) => connection.finish(Buffer.from('00ff16030100fe4854545020 6e6f7065 0d0a0d0a'.replaceAll(' ', ''), 'hex')),
  async ansi(connection) {
    // A client of HTTP refuses ESC in a header, but not CSI as one byte, 0x9b, which 8-bit terminals obey as well.
    const body = '\u001b[2J\u001b[31mRED\u0007\u001b]0;owned\u0007'
    await connection.send(Buffer.from(`HTTP/1.1 500 \u001b[31mRED\u0007\r\nx-colour: \u009b32mgreen\u009b0m\r\ncontent-type: text/plain\r\ncontent-length: ${body.length}\r\n\r\n${body}`, 'latin1'))
  },
}

export class EvilReceiver {
  readonly #setup: EvilReceiverSetup
  readonly #trust = new Trust()
  readonly #inbox: Inbox
  readonly #rows: Connection[] = []
  readonly #open = new Set<Connection>()
  readonly #contexts = new Map<string, SecureContext>()
  readonly #server: Server
  #port = 0
  #mood: EvilMood = { kind: 'healthy' }

  constructor(setup: EvilReceiverSetup) {
    const { clock, log, name = 'customer', skewMs = 0, ledgerLimit = LEDGER_LIMIT } = setup
    this.#setup = setup
    this.#trust.trust(setup.secrets ?? [])
    this.#inbox = setup.inbox ?? new Inbox({ name, log, trust: this.#trust, now: () => clock.now() + skewMs, dedupe: true, limit: ledgerLimit })
    this.#server = createServer((socket) => this.#accept(socket))
    this.#server.on('error', () => {}) // while it listens: a connection that was gone before it was taken
  }

  /** Listens, unless the mood is to refuse. Throws INVALID_MOOD, PORT_BUSY, LISTEN_FAILED. */
  async start(mood: EvilMood = { kind: 'healthy' }): Promise<void> {
    this.#mood = sound(mood)
    // A port that refuses is known too: it was taken for a moment.
    await this.#listen(this.#setup.port ?? 0)
    if (mood.kind === 'refuse') await this.#refuse()
  }

  /** From now on, for requests that become whole from now on; what a mood does without end ends. Throws as `start` does. */
  async mood(mood: EvilMood): Promise<void> {
    this.#mood = sound(mood)
    this.#setup.log.emit('customer.changed', { customer: this.#setup.name ?? 'customer', mood: described(mood) })
    for (const connection of this.#open) if (connection.endless) connection.reset()
    if (mood.kind === 'refuse') await this.#refuse()
    else if (!this.#server.listening) await this.#listen(this.#port)
  }

  /** No connection is left when it resolves. */
  async close(): Promise<void> {
    await this.#refuse()
  }

  /** See Trust. */
  trust(secrets: readonly string[]): void {
    this.#trust.trust(secrets)
  }

  /** Without a slash at its end; https when it speaks TLS in its mood. */
  get url(): string {
    const { host = '127.0.0.1' } = this.#setup
    return `${this.#certificate() ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${this.#port}`
  }

  get port(): number {
    return this.#port
  }

  get ledger(): InboxLedger {
    return this.#inbox.ledger
  }

  processed(): string[] {
    return this.#inbox.processed()
  }

  /** In the order of their coming. */
  get connections(): readonly ConnectionRow[] {
    return this.#rows
  }

  get open(): number {
    return this.#open.size
  }

  async #listen(port: number): Promise<void> {
    const { host = '127.0.0.1' } = this.#setup
    await new Promise<void>((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException) => {
        this.#server.off('listening', listening)
        if (error.code === 'EADDRINUSE') reject(new ResilError('PORT_BUSY', `port ${port} on ${host} is in use`, 'stop what listens there, or choose another port; 0 takes a free one', { cause: error }))
        else reject(new ResilError('LISTEN_FAILED', `cannot listen on ${host} port ${port}: ${error.message}`, 'choose another host or port', { cause: error }))
      }
      const listening = () => {
        this.#server.off('error', failed)
        resolve()
      }
      this.#server.once('error', failed).once('listening', listening)
      this.#server.listen({ port, host, backlog: OPEN_LIMIT })
    })
    this.#port = (this.#server.address() as AddressInfo).port
  }

  async #refuse(): Promise<void> {
    const closed = this.#server.listening ? new Promise<void>((resolve) => this.#server.close(() => resolve())) : Promise.resolve()
    for (const connection of this.#open) connection.reset()
    await closed
  }

  #accept(socket: Socket): void {
    if (this.#open.size >= OPEN_LIMIT) {
      socket.on('error', () => {}) // it is gone already
      reset(socket)
      return
    }
    if (this.#mood.kind.startsWith('tls_')) this.#met()
    const certificate = this.#certificate()
    const secureContext = certificate && this.#mood.kind !== 'tls_hang' ? this.#context(certificate) : undefined
    const connection = new Connection(socket, secureContext, this.#setup.clock, {
      hears: this.#mood.kind !== 'tls_hang',
      answer: (request) => this.#answer(connection, request),
      closed: () => this.#open.delete(connection),
      idled: () => this.#met(),
    })
    this.#open.add(connection)
    this.#rows.push(connection)
    if (this.#rows.length > CONNECTIONS_LIMIT) this.#rows.splice(this.#rows.findIndex((row) => !row.open), 1)
  }

  #met(): void {
    this.#setup.onMet?.()
  }

  #certificate(): string | undefined {
    const { kind } = this.#mood
    return kind.startsWith('tls_') ? kind : this.#setup.tls ? 'tls' : undefined
  }

  #context(kind: string): SecureContext {
    let context = this.#contexts.get(kind)
    if (!context) {
      const { cert, key } = kind === 'tls_expired' ? certificates.expired : kind === 'tls_self_signed' ? certificates.self_signed : kind === 'tls_wrong_host' ? certificates.wrong_host : certificates.valid
      // Its ciphers were all struck from the usual security level.
      const old = kind === 'tls_1_0' ? ({ minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const) : {}
      this.#contexts.set(kind, (context = createSecureContext({ cert, key, ...old })))
    }
    return context
  }

  async #answer(connection: Connection, { method, path, headers, body }: Request): Promise<void> {
    if (method === 'GET' && path === '/ledger') {
      const text = JSON.stringify(this.ledger)
      await connection.send(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`)
      return
    }
    const arrival = this.#inbox.arrive(headers, body)
    if (!arrival) return connection.reset()
    const mood = this.#mood
    if (mood.kind !== 'healthy' && mood.kind !== 'idle_close' && !mood.kind.startsWith('tls_')) this.#met()
    this.#settle(arrival, mood)
    const bytes = BYTES[mood.kind] as ((connection: Connection, mood: EvilMood) => Promise<void> | void) | undefined
    connection.endless = ['flood_1xx', 'slowloris_head', 'slowloris_body', 'endless_body'].includes(mood.kind)
    if (bytes) await bytes(connection, mood)
    else await connection.send(NO_CONTENT)
  }

  /** The effect is had when the request is whole, and then the answer begins, so that a row stands also for what is never answered. */
  #settle(arrival: Arrival, mood: EvilMood): void {
    const genuine = arrival.signed === 'valid' || arrival.signed === 'unchecked'
    const { status, processes } = ANSWERS[mood.kind]
    if (genuine && processes && !('processes' in mood && mood.processes === false)) this.#inbox.process(arrival)
    this.#inbox.settle(arrival, status, mood.kind)
  }
}

interface Request {
  method: string
  path: string
  headers: Record<string, string>
  body: string
}

interface Owner {
  /** False: what comes is read, and means nothing. */
  hears: boolean
  answer: (request: Request) => Promise<void>
  closed: () => void
  /** It was idle for too long, and is closed now. */
  idled: () => void
}

class Connection implements ConnectionRow {
  readonly #carrier: Socket
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #owner: Owner
  readonly #gone = new AbortController()
  #unread: Buffer = Buffer.alloc(0)
  #busy = false
  #continued = false
  #cancelIdle: Cancel = () => {}
  bytesRead = 0
  requests = 0
  /** What it sends has no end of its own. */
  endless = false

  constructor(carrier: Socket, secureContext: SecureContext | undefined, clock: Clock, owner: Owner) {
    this.#carrier = carrier
    this.#clock = clock
    this.#owner = owner
    carrier.setNoDelay(true)
    carrier.on('error', () => {}) // the other side's business; `close` follows
    this.#socket = secureContext ? new TLSSocket(carrier, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] }) : carrier
    this.#socket
      .on('error', () => this.#carrier.destroy())
      .on('data', (chunk: Buffer) => this.#read(chunk))
      .on('close', () => this.#close())
    carrier.on('close', () => this.#close())
  }

  get open(): boolean {
    return !this.#gone.signal.aborted
  }

  get bytesWritten(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength
  }

  /** True once the system has taken the bytes; false when the connection is gone. */
  send(bytes: string | Buffer): Promise<boolean> {
    if (!this.open || !this.#socket.writable) return Promise.resolve(false)
    return new Promise((resolve) => {
      const gone = () => resolve(false)
      this.#gone.signal.addEventListener('abort', gone, { once: true })
      this.#socket.write(bytes, (error) => {
        this.#gone.signal.removeEventListener('abort', gone)
        resolve(!error && this.open)
      })
    })
  }

  /** A byte each `ms`. False when they cannot all be sent: the connection is gone, or is ending. */
  async drip(text: string, ms: number): Promise<boolean> {
    for (const byte of text) {
      if (!await this.send(byte)) return false
      await this.sleep(ms)
    }
    return true
  }

  /** These bytes, and then FIN. */
  finish(bytes: string | Buffer): void {
    if (this.#socket.writable) this.#socket.end(bytes)
  }

  /** TLS knows no RST, so it is what carries it that is reset. */
  reset(): void {
    reset(this.#carrier)
    this.#socket.destroy()
  }

  sleep(ms: number): Promise<void> {
    return this.#clock.sleep(ms, this.#gone.signal)
  }

  /** Unless something comes before. A request that is on its way then meets a closed connection. */
  closeWhenIdle(ms: number): void {
    this.#cancelIdle = this.#clock.after(ms, () => {
      this.#owner.idled()
      this.#socket.destroy()
    })
  }

  #close(): void {
    if (!this.open) return
    this.#cancelIdle()
    this.#gone.abort()
    this.#owner.closed()
  }

  #read(chunk: Buffer): void {
    this.#cancelIdle()
    this.bytesRead += chunk.length
    if (!this.#owner.hears) return
    this.#unread = Buffer.concat([this.#unread, chunk])
    if (this.#unread.length > MESSAGE_LIMIT) this.reset()
    else if (!this.#busy) void this.#work()
  }

  async #work(): Promise<void> {
    this.#busy = true
    try {
      for (let next = this.#next(); next && this.open; next = this.#next()) {
        this.requests++
        await this.#owner.answer(next)
      }
    } finally {
      this.#busy = false
    }
  }

  /** The next whole request, if one is there. What is no request resets the connection. */
  #next(): Request | undefined {
    const bytes = this.#unread
    const end = bytes.indexOf('\r\n\r\n')
    if (end < 0) return undefined
    const head = readHead('request', bytes, 0)
    if (!head || head.length === undefined) {
      this.reset()
      return undefined
    }
    if (head.expects && !this.#continued) {
      this.#continued = true
      void this.send('HTTP/1.1 100 Continue\r\n\r\n')
    }
    const body = head.length === 'chunked' ? dechunked(bytes, head.end) : sized(bytes, head.end, head.length ?? 0)
    if (!body) return undefined
    this.#continued = false
    this.#unread = bytes.subarray(body.end)
    const lines = bytes.toString('latin1', 0, end).split('\r\n')
    const [method, path] = lines[0]!.split(' ') as [string, string]
    return { method, path, headers: headersOf(lines.slice(1)), body: body.bytes.toString() }
  }
}

/** A body, and where it ends; undefined while it is not whole. */
type Body = { bytes: Buffer; end: number } | undefined

function sized(bytes: Buffer, from: number, length: number): Body {
  return bytes.length < from + length ? undefined : { bytes: bytes.subarray(from, from + length), end: from + length }
}

function dechunked(bytes: Buffer, from: number): Body {
  const parts: Buffer[] = []
  for (let at = from; ;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16)
    at = lineEnd + 2
    if (!(size > 0)) {
      const end = bytes.indexOf('\r\n', at) // trailers are for nobody here, and webhooks have none
      return end < 0 ? undefined : { bytes: Buffer.concat(parts), end: end + 2 }
    }
    if (bytes.length < at + size + 2) return undefined
    parts.push(bytes.subarray(at, at + size))
    at += size + 2
  }
}

/** Names in lower case; what came twice is joined with ", ". */
function headersOf(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    headers[name] = Object.hasOwn(headers, name) ? `${headers[name]}, ${value}` : value
  }
  return headers
}

function sound(mood: EvilMood): EvilMood {
  const number = 'ms' in mood ? mood.ms : 'bytes' in mood ? mood.bytes : 1
  const most = 'bytes' in mood ? MOST_HEADER_BYTES : Number.MAX_SAFE_INTEGER
  if (evilMoods.has(mood.kind) && number > 0 && number <= most) return mood
  throw new ResilError('INVALID_MOOD', `an evil receiver cannot be ${String(mood.kind)} like this`, `it is one of ${[...evilMoods].join(', ')}; ms and bytes are above 0`)
}
