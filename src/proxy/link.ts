/**
 * The link over sockets: listens in front of one service, passes every byte on unchanged, and does to it what the rules say.
 *
 *   client ──▶ tap: requests ──▶ pipe upstream ──▶ service
 *   client ◀── pipe downstream ◀── tap: responses ◀── service
 *
 * Rules on messages act where the bytes enter, at the tap; rules on bytes on the way, in the pipes. Half-close and RST are passed on.
 * While a rule asks for message boundaries, a head is held until it is whole; otherwise nothing is held.
 *
 * Not guaranteed: an RST that arrives together with data is read by Node as a FIN, and is passed on as one. A service that cannot be reached
 * shows as a connection that is accepted and then reset; only setEnabled(false), and a rule that closes the listener for all, refuse.
 */
import { STATUS_CODES } from 'node:http'
import { connect, createServer, isIP } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls'
import type { ConnectionOptions, SecureContext, TLSSocketOptions } from 'node:tls'
import type { Cancel, Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Log } from '../events.ts'
import type { HttpResponse } from '../network.ts'
import { reset } from '../reset.ts'
import { editedHead, headerIn } from './http-head.ts'
import { HttpTap } from './http-tap.ts'
import type { Exchange, Piece } from './http-tap.ts'
import { Pipe } from './pipe.ts'
import type { Item } from './pipe.ts'
import { noHeader } from './rules.ts'
import type { Decision, Fate, HostileLink, Rule, Rules, RulesChange, Subject } from './rules.ts'
import type { Cut, HeaderEdit, RequestAction, ResponseAction } from './toxic.ts'
import { answered, noTraffic } from './traffic.ts'
import type { Traffic } from './traffic.ts'

/** Bytes queued in one direction of a connection before its source is read no further. */
export const QUEUE_BYTES = 1024 * 1024
/** Longest body, on the wire, that is held back to be cut or dribbled; of a longer one this much counts as the whole, the rest of a dribbled one follows it. */
export const HOLD_BYTES = 1024 * 1024
/** Longest request, on the wire, that can be sent twice; a longer one is sent once. */
export const COPY_BYTES = 1024 * 1024
const MAX_CONNECTIONS = 10_000
const CONNECT_TIMEOUT_MS = 10_000
/** A service whose client was cut off may take this long to end its work; its answer is read and dropped. */
const DRAIN_MS = 30_000
/** A client that was sent FIN may take this long to end its side. */
const LINGER_MS = 1000
/** A client that had sent FIN before it was left hanging cannot show that it has gone: it hangs this long. */
const LONGEST_HANG_MS = 10 * 60_000
/** Longest wait for written bytes to leave before a connection ends. */
const FLUSH_MS = 1000
/** Between attempts to listen again after an outage, while somebody else has the port. */
const LISTEN_RETRY_MS = 100
/** Between the last byte and an RST: what arrives together is read as a FIN by Node and others. A client in this process has read by then in any case. */
const RESET_GAP_MS = 2

export interface Listen {
  /** 127.0.0.1 when absent or `localhost`; '', 0.0.0.0 and :: stand for all addresses, of both families where the machine has them. */
  host?: string
  /** 0 takes a free one, and keeps it. */
  port: number
}

export interface Upstream {
  host: string
  port: number
  /** Speaks TLS to it. `servername`: on its certificate, the host when absent; `ca`: PEM of authorities; `insecure`: takes any certificate. */
  tls?: { servername?: string; ca?: string; insecure?: boolean }
}

/** One open connection, as it is now. */
export interface ConnectionInfo {
  number: number
  /** The client's address and port. */
  client: string
  /** ms since it was accepted. */
  ageMs: number
  upstreamBytes: number
  downstreamBytes: number
  exchanges: number
  /** What the link reads in it. */
  protocol: 'http' | 'opaque'
  /** The client's side has ended, or will hear no more, or neither. */
  state: 'open' | 'half-closed' | 'hanging'
}

export interface LinkSetup {
  /** The service's name. */
  name: string
  listen: Listen
  upstream: Upstream
  /** Speaks TLS to clients, with this certificate and key (PEM): then rules see what is said. Without it TLS passes as it is. */
  tls?: { cert: string; key: string }
  rules: Rules
  clock: Clock
  /** Bound to src `proxy`. */
  log: Log
}

/** Off until setEnabled(true). */
export class Link implements HostileLink {
  readonly name: string
  readonly rules: Rules
  readonly #setup: LinkSetup
  readonly #connections = new Set<Connection>()
  readonly #copies = new Set<() => void>()
  /** Running totals. */
  readonly traffic: Traffic = noTraffic()
  #host: string
  #port: number
  #upstream: Upstream
  readonly #secure: SecureContext | undefined
  #server: Server | undefined
  #enabled = false
  /** Sockets whose way to the service is delayed. */
  readonly #early = new Set<Socket>()
  /** Requests that let another one go ahead, by the rule that says so: one each. */
  readonly #yielding: Yielding = new Map()
  #nextPhase: Cancel = () => {}
  #changing: Promise<void> = Promise.resolve()
  #connectionNumber = 0
  #exchangeNumber = 0

  /** Throws BAD_TLS. */
  constructor(setup: LinkSetup) {
    this.#setup = setup
    this.name = setup.name
    this.rules = setup.rules
    this.#host = hostOf(setup.listen)
    this.#port = setup.listen.port
    this.#upstream = setup.upstream
    this.#secure = secureContext(setup)
    setup.rules.watch((change) => {
      const { rule } = changeOf(change)
      if (rule.toxic.onListen) this.#look()
      for (const connection of this.#connections) connection.rulesChanged(change)
    })
  }

  /** Where it listens; the port is 0 until it has listened once. */
  get address(): { host: string; port: number } {
    return { host: this.#host, port: this.#port }
  }

  get upstream(): Upstream {
    return this.#upstream
  }

  /** Whether it is on; a rule may close its listener all the same. */
  get enabled(): boolean {
    return this.#enabled
  }

  /** Connections that have not ended on both sides. */
  get connections(): number {
    return this.#connections.size
  }

  /** The open connections, in the order in which they came. */
  info(): ConnectionInfo[] {
    return [...this.#connections].map((connection) => connection.info())
  }

  /**
   * Listens elsewhere, or goes to another service; open connections are closed when anything changes. Takes the new address before it
   * gives up the old one, so that when it cannot have it (PORT_BUSY, LISTEN_FAILED) all is as it was.
   */
  update({ listen, upstream }: { listen?: Listen; upstream?: Upstream }): Promise<void> {
    const change = this.#changing.then(() => this.#move(listen, upstream ?? this.#upstream))
    this.#changing = change.catch(() => {}) // told to this caller; the next change begins anew
    return change
  }

  async #move(listen: Listen | undefined, upstream: Upstream): Promise<void> {
    const moves = listen !== undefined && (hostOf(listen) !== this.#host || listen.port !== this.#port)
    if (!moves && upstream.host === this.#upstream.host && upstream.port === this.#upstream.port) return
    const before = this.#server
    if (moves && !before) {
      this.#host = hostOf(listen)
      this.#port = listen.port
    } else if (moves) {
      const [host, port] = [this.#host, this.#port]
      // The same port on another of its addresses may not be had beside the old one: that is given up first, and taken back.
      if (listen.port === port) await this.#shut(undefined)
      const fresh = await this.#bind(hostOf(listen), listen.port).catch(async (error: unknown) => {
        if (listen.port === port) this.#server = await this.#bind(host, port)
        throw error
      })
      await this.#shut(undefined)
      this.#server = fresh
      this.#host = hostOf(listen)
      this.#port = (fresh.address() as AddressInfo).port
    }
    this.#upstream = upstream
    this.#end('fin')
  }

  /** Off: refuses connections, and closes those that are open. Throws PORT_BUSY or LISTEN_FAILED when it cannot listen. */
  setEnabled(on: boolean): Promise<void> {
    const change = this.#changing.then(() => this.#turn(on))
    this.#changing = change.catch(() => {}) // told to this caller; the next change begins anew
    return change
  }

  async #turn(on: boolean): Promise<void> {
    if (on) {
      if (this.#enabled) return
      await this.#listen()
      this.#enabled = true
      await this.#heed()
    } else {
      this.#enabled = false
      this.#nextPhase()
      await this.#shut('fin')
    }
  }

  /** A rule may close the listener, or let it open again. */
  #look(): void {
    this.#changing = this.#changing.then(() => this.#heed())
  }

  /** Does what the rules say of the listener, and looks again when they will say something else. */
  async #heed(): Promise<void> {
    this.#nextPhase()
    if (!this.#enabled) return
    const { open, cut, forMs, by } = this.rules.listening
    let again = forMs
    if (!open) {
      if (this.#server) this.rules.refused(by!)
      await this.#shut(cut ? 'rst' : undefined)
    } else {
      await this.#listen().catch(() => {
        again = LISTEN_RETRY_MS
      })
    }
    if (again !== Number.POSITIVE_INFINITY) this.#nextPhase = this.#setup.clock.after(again, () => this.#look())
  }

  /** As setEnabled(false): nothing is left behind. */
  close(): Promise<void> {
    return this.setEnabled(false)
  }

  async #listen(): Promise<void> {
    if (this.#server) return
    this.#server = await this.#bind(this.#host, this.#port)
    this.#port = (this.#server.address() as AddressInfo).port
  }

  async #bind(host: string, port: number): Promise<Server> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client))
    server.maxConnections = MAX_CONNECTIONS
    const listen = (on: string) =>
      new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, on, () => {
          server.off('error', reject)
          resolve()
        })
      })
    await listen(host)
      .catch((error: NodeJS.ErrnoException) => {
        if (host !== EVERYWHERE || error.code === 'EADDRINUSE' || error.code === 'EACCES') throw error
        return listen('0.0.0.0') // a machine without IPv6
      })
      .catch((error: NodeJS.ErrnoException) => {
        const where = `${host.includes(':') ? `[${host}]` : host}:${port}`
        if (error.code === 'EADDRINUSE') throw new ResilError('PORT_BUSY', `${this.name}: ${where} is in use`, 'choose another port, or 0 for a free one', { cause: error })
        throw new ResilError('LISTEN_FAILED', `${this.name}: cannot listen on ${where}: ${error.message}`, 'check the host and the port', { cause: error })
      })
    server.on('error', () => {}) // one connection could not be accepted (no file handles): its client sees it, the others live on
    return server
  }

  /** Takes no more connections; ends those that are open `how`, or leaves them when undefined. */
  async #shut(how: 'fin' | 'rst' | undefined): Promise<void> {
    const server = this.#server
    this.#server = undefined
    const closed = server && new Promise((resolve) => server.close(resolve))
    if (how === undefined) return // it is closed to newcomers at once, and for good when the last connection has ended
    this.#end(how)
    await closed
  }

  #end(how: 'fin' | 'rst'): void {
    for (const end of this.#copies) end()
    for (const socket of this.#early) socket.destroy()
    for (const connection of this.#connections) connection.destroy(how)
  }

  #accept(client: Socket): void {
    const number = ++this.#connectionNumber
    this.traffic.connectionsTotal++
    const address = client.remoteAddress ?? ''
    let delayMs = 0
    for (const { action, decision } of this.rules.connect({ connection: number, client: address, exchange: null, method: '', path: '', header: noHeader })) {
      decision.hit(action)
      if (action.do === 'refuse') {
        this.traffic.connectionsFailed++
        client.on('error', () => {}) // it is gone already
        reset(client)
        return
      }
      delayMs += action.ms
    }
    if (delayMs === 0) return this.#connect(client, number, address)
    client.pause()
    this.#early.add(client)
    const cancel = this.#setup.clock.after(delayMs, () => {
      this.#early.delete(client)
      client.off('error', gone).off('close', gone)
      this.#connect(client, number, address)
      client.resume()
    })
    const gone = () => {
      cancel()
      this.#early.delete(client)
    }
    client.on('error', gone).on('close', gone)
  }

  #connect(client: Socket, number: number, address: string): void {
    const connection: Connection = new Connection(this.#secure ? overTls(client, this.#secure) : client, number, {
      ...this.#setup,
      upstream: this.#upstream,
      address,
      traffic: this.traffic,
      yielding: this.#yielding,
      nextExchange: () => ++this.#exchangeNumber,
      sendCopy: (bytes, afterMs, sent) => this.#sendCopy(bytes, afterMs, sent),
      ended: () => this.#connections.delete(connection),
    })
    this.#connections.add(connection)
  }

  /** Sends a request on a connection of its own; whatever comes of it is dropped. */
  #sendCopy(bytes: Buffer, afterMs: number, sent: () => void): void {
    const { clock } = this.#setup
    const upstream = this.#upstream
    let socket: Socket | undefined
    const end = () => {
      cancel()
      socket?.destroy()
      this.#copies.delete(end)
    }
    let cancel = clock.after(afterMs, () => {
      const copy = connectTo(upstream)
      const tap = new HttpTap(() => 0, () => false)
      socket = copy
      cancel = clock.after(DRAIN_MS, end)
      tap.request(bytes)
      copy.once('connect', sent)
      copy.on('data', (answer: Buffer) => {
        if (tap.response(answer).some((piece) => piece.last && piece.part !== 'interim')) copy.end()
      })
      copy.on('error', () => {}) // nobody waits for it
      copy.on('close', end)
      copy.write(bytes)
    })
    this.#copies.add(end)
  }
}

type Yielding = Map<Rule, { connection: Connection; go(): void }>

const changeOf = (change: RulesChange) => ('added' in change ? { kind: 'added', rule: change.added } : 'removed' in change ? { kind: 'removed', rule: change.removed } : { kind: 'updated', rule: change.updated }) as { kind: 'added' | 'removed' | 'updated'; rule: Rule }

interface ConnectionSetup extends LinkSetup {
  /** The client's. */
  address: string
  traffic: Traffic
  yielding: Yielding
  nextExchange(): number
  sendCopy(bytes: Buffer, afterMs: number, sent: () => void): void
  ended(): void
}

/** An exchange on its way through this connection. */
interface Turn {
  readonly exchange: Exchange
  readonly subject: Subject
  readonly openedAt: number
  status: number
  requestIsWhole: boolean
  /** It is whole, or its rest will never be seen. */
  requestIsOver: boolean
  /** How long the request is held, and what changes in its head. */
  holdMs: number
  edits: HeaderEdit[]
  /** Lets the one go that this request overtakes, once it is whole. */
  overtaken: (() => void) | undefined
  /** The request in so far as it is to be sent again. */
  copy: { parts: Buffer[]; bytes: number; send(all: Buffer): void } | undefined
  /** What the client gets in place of an answer of the service, when its turn has come and it is ready. */
  instead: (({ do: 'answer'; response: HttpResponse } | { do: 'lose'; how: Cut }) & { ready: boolean; /** Not before this long. */ heldMs: number }) | undefined
}

/** What becomes of the body of the response that is being read; each byte comes `holdMs` late. */
type Answering =
  | { do: 'pass'; holdMs: number }
  | { do: 'drop' }
  | { do: 'truncate'; left: number; how: Cut; decision: Decision; action: ResponseAction; holdMs: number }
  /** The body is held back until it is whole, or too long. */
  | { do: 'collect'; parts: Buffer[]; bytes: number; decision: Decision; action: ResponseAction & { do: 'truncate' | 'dribble' }; holdMs: number }

const PASS: Answering = { do: 'pass', holdMs: 0 }

const EMPTY = Buffer.alloc(0)

class Connection {
  readonly #client: Socket
  readonly #service: Socket
  readonly #number: number
  readonly #setup: ConnectionSetup
  readonly #tap: HttpTap
  readonly #up: Pipe
  readonly #down: Pipe
  readonly #timers = new Set<Cancel>()
  /** Exchanges whose response has not been read to its end, in order. */
  readonly #turns: Turn[] = []
  /** Exchanges whose end the journal does not have yet. */
  readonly #open = new Map<Exchange, Turn>()
  #answering: Answering = PASS
  /** No new request is passed on. */
  #requestsStopped = false
  /** No response is passed on. */
  #responsesStopped = false
  /** The client waits for ever; it alone can end that. */
  #hanging = false
  /** Ends the client's side, once the service has the whole request whose answer is lost. */
  #onceWhole: (() => void) | undefined
  #serviceIsEnding = false
  #draining = false
  #endedBy: 'client' | 'service' | 'toxic' | undefined
  #how: 'fin' | 'rst' = 'fin'
  readonly #traffic: Traffic
  readonly #peer: string
  readonly #openedAt: number
  #connected = false
  #exchanges = 0
  #upstreamBytes = 0
  #downstreamBytes = 0
  #socketsOpen = 2

  constructor(client: Socket, number: number, setup: ConnectionSetup) {
    this.#client = client
    this.#number = number
    this.#setup = setup
    this.#tap = new HttpTap(setup.nextExchange, () => setup.rules.needsExchanges)
    const { clock, rules, log, name, address } = setup
    this.#traffic = setup.traffic
    this.#traffic.connectionsOpen++
    this.#peer = `${address.includes(':') ? `[${address}]` : address}:${client.remotePort ?? 0}`
    this.#openedAt = clock.monotonic()
    const pipe = { clock, rules, connection: number, client: address, subjectOf: (exchange: Exchange) => this.#subject(exchange), cut: (how: Cut) => this.#cutBoth(how) }
    this.#up = new Pipe({ ...pipe, stream: 'upstream', deliver: (item) => this.#toService(item) })
    this.#down = new Pipe({ ...pipe, stream: 'downstream', deliver: (item) => this.#toClient(item) })
    log.emit('connection.opened', { link: name, connection: number })

    client.on('data', (bytes: Buffer) => this.#fromClient(bytes))
    client.on('end', () => this.#clientEnded())
    client.on('error', () => this.#clientLost())
    client.on('drain', () => this.#balance())
    client.on('close', () => this.#closed())

    const service = connectTo(setup.upstream)
    this.#service = service
    const giveUp = this.#later(CONNECT_TIMEOUT_MS, () => service.destroy(new Error('connect timeout')))
    service.on(setup.upstream.tls ? 'secureConnect' : 'connect', () => {
      this.#connected = true
      giveUp()
    })
    service.on('data', (bytes: Buffer) => this.#fromService(bytes))
    service.on('end', () => this.#serviceEnded())
    service.on('error', () => this.#serviceLost())
    service.on('drain', () => this.#balance())
    service.on('close', () => this.#closed())
  }

  rulesChanged(change: RulesChange): void {
    const { kind, rule } = changeOf(change)
    const onBytes = rule.toxic.onChunk ?? rule.toxic.onEnd
    if (kind === 'added') {
      if (onBytes) this.#pipeOf(rule).add(rule)
      return
    }
    if (onBytes && kind === 'removed') this.#pipeOf(rule).remove(rule)
    else if (onBytes) this.#pipeOf(rule).update(rule)
    if (rule.toxic.onRequest) {
      this.#up.hurry()
      for (const turn of this.#turns) if (turn.instead) turn.instead.heldMs = 0
      this.#advance()
    }
    if (rule.toxic.onResponse) {
      this.#down.hurry()
      if (this.#answering.do === 'collect' && this.#answering.decision.rule === rule) this.#passCollected(this.#answering)
      else if (this.#answering.do === 'truncate' && this.#answering.decision.rule === rule) this.#answering = PASS
    }
    this.#releaseHeads()
    this.#settle()
  }

  info(): ConnectionInfo {
    return {
      number: this.#number,
      client: this.#peer,
      ageMs: Math.round(this.#setup.clock.monotonic() - this.#openedAt),
      upstreamBytes: this.#upstreamBytes,
      downstreamBytes: this.#downstreamBytes,
      exchanges: this.#exchanges,
      protocol: this.#exchanges > 0 && !this.#tap.opaque ? 'http' : 'opaque',
      state: this.#hanging ? 'hanging' : this.#client.readableEnded || this.#client.writableEnded ? 'half-closed' : 'open',
    }
  }

  /** The link goes down. */
  destroy(how: 'fin' | 'rst'): void {
    this.#endedBy ??= 'toxic'
    this.#how = how
    this.#stop()
    this.#cutExchanges(how, 'toxic')
    this.#up.discard()
    this.#down.discard()
    for (const socket of [this.#client, this.#service]) {
      if (how === 'rst' && !socket.connecting && !socket.destroyed) resetOf(socket)
      else socket.destroy()
    }
  }

  #subject(exchange: Exchange): Subject {
    const { number, method, path } = exchange
    return { connection: this.#number, client: this.#setup.address, exchange: number, method, path, header: (name) => headerIn(exchange.head, name) }
  }

  // from the client to the service

  #fromClient(bytes: Buffer): void {
    this.#upstreamBytes += bytes.length
    this.#traffic.upstream.received += bytes.length
    for (const piece of this.#tap.request(bytes)) this.#request(piece)
    this.#releaseHeads()
    this.#settle()
  }

  #request(piece: Piece): void {
    if (piece.part === 'opaque') this.#requestsOver()
    if (piece.part === 'head' && piece.exchange && !this.#requestsStopped) this.#begin(piece.exchange)
    const turn = piece.exchange ? this.#open.get(piece.exchange) ?? this.#turns.find((each) => each.exchange === piece.exchange) : undefined
    if (turn?.instead) {
      if (piece.last) this.#requestWhole(turn)
      return
    }
    // What belongs to no exchange that was begun ends with the requests; the rest of a request whose answer came early still passes.
    if (this.#requestsStopped && !turn) return
    const bytes = piece.part === 'head' && turn && turn.edits.length > 0 ? turn.edits.reduce(editedHead, piece.bytes) : piece.bytes
    this.#up.push({ is: 'bytes', bytes, exchange: piece.exchange, last: piece.last }, piece.part === 'head' ? turn?.holdMs : 0)
    if (!turn) return
    if (turn.copy) {
      turn.copy.bytes += bytes.length
      if (turn.copy.bytes > COPY_BYTES) turn.copy = undefined
      else turn.copy.parts.push(bytes)
    }
    if (piece.last) this.#requestWhole(turn)
  }

  #begin(exchange: Exchange): void {
    const { name, log, clock, rules } = this.#setup
    const subject = this.#subject(exchange)
    const turn: Turn = { exchange, subject, openedAt: clock.monotonic(), status: 0, requestIsWhole: false, requestIsOver: false, holdMs: 0, edits: [], overtaken: undefined, copy: undefined, instead: undefined }
    this.#turns.push(turn)
    this.#open.set(exchange, turn)
    this.#exchanges++
    this.#traffic.requestsTotal++
    this.#traffic.requestsInFlight++
    log.emit('exchange.opened', { link: name, connection: this.#number, exchange: exchange.number, method: exchange.method, path: exchange.path, key: exchange.key })
    for (const fate of rules.request(subject)) this.#befall(turn, fate)
  }

  #befall(turn: Turn, { action, decision }: Fate<RequestAction>): void {
    switch (action.do) {
      case 'hold':
        turn.holdMs += action.ms
        return decision.hit(action)
      case 'edit':
        turn.edits.push(action.edit)
        return decision.hit(action)
      case 'yield':
        return this.#yield(turn, decision, action)
      case 'duplicate':
        turn.copy = { parts: [], bytes: 0, send: (all) => this.#setup.sendCopy(all, turn.holdMs + action.afterMs, () => decision.hit(action)) }
        return
    }
    decision.hit(action)
    this.#tap.withdraw(turn.exchange)
    const heldMs = turn.holdMs
    turn.instead = action.do === 'answer' ? { ...action, ready: turn.exchange.expects, heldMs } : { ...action, ready: true, heldMs }
    if (action.do === 'lose') this.#requestsStopped = true
    if (heldMs > 0) {
      this.#later(heldMs, () => {
        turn.instead!.heldMs = 0
        this.#advance()
        this.#settle()
      })
    }
    this.#advance()
  }

  /** Two requests of one rule change places: the first waits until the second has gone ahead, on another connection. */
  #yield(turn: Turn, decision: Decision, action: RequestAction & { do: 'yield' }): void {
    const { yielding } = this.#setup
    const { rule } = decision
    const waiting = yielding.get(rule)
    if (waiting && waiting.connection !== this) {
      yielding.delete(rule)
      turn.overtaken = waiting.go
    } else if (!waiting) {
      turn.holdMs += action.atMostMs
      const go = () => {
        decision.hit(action)
        this.#up.hurry()
      }
      const entry = { connection: this as Connection, go }
      yielding.set(rule, entry)
      this.#later(action.atMostMs, () => {
        if (yielding.get(rule) === entry) yielding.delete(rule)
      })
    }
  }

  #requestWhole(turn: Turn): void {
    turn.requestIsWhole = true
    turn.requestIsOver = true
    turn.copy?.send(Buffer.concat(turn.copy.parts))
    turn.copy = undefined
    this.#up.settle()
    turn.overtaken?.()
    this.#cutNow()
    if (turn.instead) {
      turn.instead.ready = true
      this.#advance()
    }
  }

  #clientEnded(): void {
    this.#endedBy ??= 'client'
    if (this.#hanging || this.#up.isStuck || this.#down.isStuck) return this.#abandon()
    for (const piece of this.#tap.release('request')) this.#request(piece)
    this.#requestsOver()
    this.#up.push({ is: 'end' })
  }

  /** RST from the client, or a write that failed because of it. */
  #clientLost(): void {
    this.#endedBy ??= 'client'
    this.#how = 'rst'
    this.#cutExchanges('rst', 'client')
    this.#down.discard()
    if (this.#draining) return
    if (this.#up.isStuck) return this.#abandon()
    this.#stop()
    this.#up.push({ is: 'cut', how: 'rst', by: 'client' })
  }

  #toService(item: Item): void {
    if (item.is === 'cut') return item.both ? this.#cutBoth(item.how) : this.#reset(this.#service)
    if (this.#service.destroyed || this.#service.writableEnded) return
    if (item.is === 'end') this.#service.end()
    else if (item.bytes.length > 0) {
      this.#traffic.upstream.sent += item.bytes.length
      this.#service.write(item.bytes)
    }
    this.#balance()
  }

  // from the service to the client

  #fromService(bytes: Buffer): void {
    this.#downstreamBytes += bytes.length
    this.#traffic.downstream.received += bytes.length
    for (const piece of this.#tap.response(bytes)) this.#response(piece)
    this.#releaseHeads()
    this.#settle()
  }

  #response(piece: Piece): void {
    const turn = piece.exchange && this.#turns[0]
    // What was held back of a body goes before what was found to be none.
    if (!turn && this.#answering.do === 'collect') this.#passCollected(this.#answering)
    if (!turn || piece.part === 'interim') {
      if (!this.#responsesStopped) this.#pass(piece)
      return
    }
    if (piece.part === 'head') this.#answering = this.#responsesStopped ? { do: 'drop' } : this.#judge(turn, piece)
    this.#answer(turn, piece)
    if (piece.last) this.#responseEnded()
  }

  #judge(turn: Turn, head: Piece): Answering {
    turn.status = head.status ?? 0
    let holdMs = 0
    let bodyMs = 0
    let last: Fate<ResponseAction> | undefined
    let bytes = head.bytes
    for (const fate of this.#setup.rules.response(turn.subject)) {
      const { action, decision } = fate
      if (action.do !== 'hold' && action.do !== 'edit') {
        last = fate
        continue
      }
      decision.hit(action)
      if (action.do === 'edit') bytes = editedHead(bytes, action.edit)
      else if (action.body) bodyMs += action.ms
      else holdMs += action.ms
    }
    const { action, decision } = last ?? {}
    if (action?.do === 'lose') {
      decision!.hit(action)
      this.#stop()
      const cut = () => this.#down.push({ is: 'cut', how: action.how, by: 'toxic' }, holdMs)
      if (turn.requestIsOver) cut()
      else this.#onceWhole = cut
      return { do: 'drop' }
    }
    this.#pass(bytes === head.bytes ? head : { ...head, bytes }, holdMs)
    const body = holdMs + bodyMs
    if (!action || !decision || action.do === 'hold' || action.do === 'edit' || head.last) return { do: 'pass', holdMs: body }
    if (action.do === 'dribble') return { do: 'collect', parts: [], bytes: 0, decision, action, holdMs: body }
    if ('fraction' in action && head.bodyBytes === undefined) return { do: 'collect', parts: [], bytes: 0, decision, action, holdMs: body }
    const left = 'bytes' in action ? action.bytes : Math.floor(action.fraction * head.bodyBytes!)
    return { do: 'truncate', left, how: action.how, decision, action, holdMs: body }
  }

  #answer(turn: Turn, piece: Piece): void {
    const answering = this.#answering
    if (answering.do === 'drop' || piece.part === 'head') return // a head was passed as soon as it was judged
    if (answering.do === 'pass') return this.#pass(piece, answering.holdMs)
    if (answering.do === 'truncate') {
      if (piece.bytes.length > answering.left) return this.#truncate([piece.bytes], answering.left, answering)
      answering.left -= piece.bytes.length
      return this.#pass(piece, answering.holdMs)
    }
    answering.parts.push(piece.bytes)
    answering.bytes += piece.bytes.length
    if (piece.last || answering.bytes >= HOLD_BYTES) this.#collected(answering, turn.exchange, piece.last)
  }

  #collected(answering: Answering & { do: 'collect' }, exchange: Exchange, whole: boolean): void {
    const { action, decision, parts, bytes, holdMs } = answering
    if (action.do === 'truncate') {
      const counted = whole ? bytes : HOLD_BYTES
      const left = 'fraction' in action ? Math.floor(action.fraction * counted) : action.bytes
      if (left < bytes) return this.#truncate(parts, left, { how: action.how, decision, action, holdMs })
      return this.#passCollected(answering, whole)
    }
    if (bytes === 0) return this.#passCollected(answering, whole)
    this.#answering = PASS
    decision.hit(action)
    const all = Buffer.concat(parts)
    const size = Math.ceil(all.length / action.pieces)
    for (let i = 0; i * size < all.length; i++) {
      const from = i * size
      this.#down.push({ is: 'bytes', bytes: all.subarray(from, from + size), exchange, last: whole && from + size >= all.length }, holdMs + (action.overMs * (i + 1)) / action.pieces)
    }
  }

  /** What was held back goes as it is. */
  #passCollected(answering: Answering & { do: 'collect' }, whole = false): void {
    this.#answering = PASS
    this.#down.push({ is: 'bytes', bytes: Buffer.concat(answering.parts), exchange: this.#turns[0]!.exchange, last: whole }, answering.holdMs)
  }

  #truncate(parts: Buffer[], bytes: number, { how, decision, action, holdMs }: { how: Cut; decision: Decision; action: ResponseAction; holdMs: number }): void {
    decision.hit(action)
    this.#answering = { do: 'drop' }
    this.#down.push({ is: 'bytes', bytes: Buffer.concat(parts).subarray(0, bytes), exchange: this.#turns[0]!.exchange, last: false }, holdMs)
    this.#stop()
    this.#down.push({ is: 'cut', how, by: 'toxic' })
  }

  #pass(piece: Piece, afterMs = 0): void {
    this.#down.push({ is: 'bytes', bytes: piece.bytes, exchange: piece.exchange, last: piece.last && piece.part !== 'interim' }, afterMs)
  }

  #responseEnded(): void {
    this.#turns.shift()
    this.#answering = PASS
    this.#advance()
  }

  /** Gives those whose turn has come what they get in place of an answer; and lets go of a service that has nothing left to do for this client. */
  #advance(): void {
    for (let turn = this.#turns[0]; turn?.instead?.ready && turn.instead.heldMs === 0 && !this.#responsesStopped; turn = this.#turns[0]) {
      this.#turns.shift()
      const { exchange, instead } = turn
      if (instead.do === 'answer') {
        const keepAlive = exchange.keepAlive && turn.requestIsWhole
        turn.status = instead.response.status
        this.#down.push({ is: 'bytes', bytes: onWire(instead.response, exchange.method, keepAlive), exchange, last: true })
        if (keepAlive) continue
      }
      this.#stop()
      this.#down.push({ is: 'cut', how: instead.do === 'lose' ? instead.how : 'fin', by: 'toxic' })
    }
    if (this.#responsesStopped && !this.#onceWhole && !this.#turns.some((turn) => !turn.instead)) this.#endService()
  }

  #serviceEnded(): void {
    this.#endedBy ??= 'service'
    for (const piece of this.#tap.release('response')) this.#response(piece)
    const ended = this.#tap.responseEnded()
    if (this.#answering.do === 'collect') {
      if (ended) this.#collected(this.#answering, ended, true)
      else this.#passCollected(this.#answering)
    } else if (ended && this.#answering.do !== 'drop') {
      this.#down.push({ is: 'bytes', bytes: EMPTY, exchange: ended, last: true })
    }
    if (ended) this.#responseEnded()
    if (!this.#responsesStopped) this.#down.push({ is: 'end' })
    else if (!this.#onceWhole) this.#endService()
  }

  /** RST from the service, a write that failed because of it, or no connection to it. */
  #serviceLost(): void {
    this.#endedBy ??= 'service'
    this.#how = 'rst'
    this.#up.discard()
    if (this.#responsesStopped) return
    for (const piece of this.#tap.release('response')) this.#response(piece)
    if (this.#answering.do === 'collect') this.#passCollected(this.#answering)
    this.#stop()
    this.#down.push({ is: 'cut', how: 'rst', by: 'service' })
  }

  #toClient(item: Item): void {
    if (item.is === 'cut') return item.both ? this.#cutBoth(item.how) : this.#cutClient(item.how, item.by)
    if (this.#client.destroyed || this.#client.writableEnded) return
    if (item.is === 'end') {
      this.#cutExchanges('fin', this.#endedBy ?? 'service')
      this.#client.end()
      return
    }
    if (item.bytes.length > 0) {
      this.#traffic.downstream.sent += item.bytes.length
      this.#client.write(item.bytes)
    }
    const turn = item.last && item.exchange ? this.#open.get(item.exchange) : undefined
    if (turn) {
      const { name, log, clock } = this.#setup
      this.#open.delete(turn.exchange)
      const ms = Math.round((clock.monotonic() - turn.openedAt) * 1000) / 1000
      answered(this.#traffic, turn.status, ms)
      log.emit('exchange.answered', { link: name, exchange: turn.exchange.number, status: turn.status, ms })
    }
    this.#balance()
  }

  // how it ends

  /** Nothing new is passed on, in either direction; what is on its way goes on. */
  #stop(): void {
    this.#requestsStopped = true
    this.#responsesStopped = true
  }

  /** What is not whole of the requests will never be. */
  #requestsOver(): void {
    for (const turn of this.#turns) turn.requestIsOver = true
    this.#cutNow()
  }

  #cutNow(): void {
    if (!this.#onceWhole) return
    this.#onceWhole()
    this.#onceWhole = undefined
    this.#advance()
  }

  /** Ends the client's side. The service is left to end its work, for a while. */
  #cutClient(how: Cut, by: 'toxic' | 'client' | 'service'): void {
    if (by === 'toxic') this.#endedBy = 'toxic'
    this.#cutExchanges(how, by)
    this.#down.discard()
    this.#drain()
    if (how === 'hang') {
      this.#hanging = true
      if (this.#client.readableEnded) this.#later(LONGEST_HANG_MS, () => this.#client.destroy())
    } else if (how === 'rst') this.#reset(this.#client)
    else this.#endClient()
  }

  /** A rule on bytes ends both sides. */
  #cutBoth(how: Cut): void {
    this.#endedBy = 'toxic'
    this.#stop()
    this.#up.discard()
    this.#cutClient(how, 'toxic')
    if (how === 'rst') this.#reset(this.#service)
    else if (how === 'fin') this.#endServiceNow()
  }

  #endClient(): void {
    this.#afterFlush(this.#client, () => {
      this.#client.end()
      this.#later(LINGER_MS, () => this.#client.destroy())
    })
  }

  #endService(): void {
    if (this.#serviceIsEnding) return
    this.#serviceIsEnding = true
    this.#up.push({ is: 'end' })
  }

  #endServiceNow(): void {
    this.#serviceIsEnding = true
    if (!this.#service.destroyed && !this.#service.writableEnded) this.#service.end()
  }

  /** The client has left, and what is held for it or of it will never move. */
  #abandon(): void {
    this.#stop()
    this.#cutExchanges('fin', 'client')
    this.#up.discard()
    this.#down.discard()
    this.#client.destroy()
    this.#endServiceNow()
    this.#drain()
  }

  #drain(): void {
    if (this.#draining) return
    this.#draining = true
    this.#later(DRAIN_MS, () => this.#service.destroy())
  }

  #reset(socket: Socket): void {
    this.#how = 'rst'
    this.#afterFlush(socket, () => this.#later(RESET_GAP_MS, () => this.#later(0, () => resetOf(socket))))
  }

  /** Runs when all that was written to the socket has left, or FLUSH_MS later. */
  #afterFlush(socket: Socket, run: () => void): void {
    const latest = this.#setup.clock.monotonic() + FLUSH_MS
    const look = () => {
      if (socket.destroyed) return
      if (socket.writableLength === 0 || this.#setup.clock.monotonic() >= latest) run()
      else this.#later(RESET_GAP_MS, look)
    }
    look()
  }

  #cutExchanges(how: Cut, by: 'toxic' | 'client' | 'service'): void {
    this.#traffic.requestsInFlight -= this.#open.size
    this.#traffic.cut += this.#open.size
    for (const { exchange } of this.#open.values()) this.#setup.log.emit('exchange.cut', { link: this.#setup.name, exchange: exchange.number, how, by })
    this.#open.clear()
  }

  #closed(): void {
    if (--this.#socketsOpen > 0) return
    this.#traffic.connectionsOpen--
    if (!this.#connected) this.#traffic.connectionsFailed++
    for (const cancel of this.#timers) cancel()
    this.#up.discard()
    this.#down.discard()
    this.#cutExchanges(this.#how, this.#endedBy ?? 'client')
    const { name, log, ended } = this.#setup
    log.emit('connection.closed', { link: name, connection: this.#number, how: this.#how, upstreamBytes: this.#upstreamBytes, downstreamBytes: this.#downstreamBytes })
    ended()
  }

  // what both directions need

  #pipeOf(rule: Rule): Pipe {
    return rule.stream === 'upstream' ? this.#up : this.#down
  }

  /** Unfinished heads that no rule waits for pass at once. */
  #releaseHeads(): void {
    const needed = this.#setup.rules.needsExchanges
    if (!needed) for (const piece of this.#tap.release('response')) this.#response(piece)
    if (!needed || this.#tap.opaque) for (const piece of this.#tap.release('request')) this.#request(piece)
  }

  /** Stops reading from a side whose bytes pile up, and reads on when half of them have left. */
  #balance(): void {
    balance(this.#client, this.#up.queuedBytes + this.#service.writableLength)
    balance(this.#service, this.#down.queuedBytes + this.#client.writableLength)
  }

  /** What was read is on its way. */
  #settle(): void {
    this.#up.settle()
    this.#down.settle()
    this.#balance()
  }

  #later(ms: number, run: () => void): Cancel {
    const stop = () => {
      cancel()
      this.#timers.delete(stop)
    }
    const cancel = this.#setup.clock.after(ms, () => {
      this.#timers.delete(stop)
      run()
    })
    this.#timers.add(stop)
    return stop
  }
}

/** What carries a TLS connection: TLS itself knows no RST. */
const carriers = new WeakMap<Socket, Socket>()

function resetOf(socket: Socket): void {
  const carrier = carriers.get(socket)
  reset(carrier ?? socket)
  if (carrier) socket.destroy()
}

function connectTo({ host, port, tls }: Upstream): Socket {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
  if (!tls) return socket
  const { servername = host, ca, insecure } = tls
  const secure = connectTls({ socket, servername: isIP(servername) === 0 ? servername : undefined, ca, rejectUnauthorized: insecure !== true, ALPNProtocols: ['http/1.1'], allowHalfOpen: true } as ConnectionOptions)
  carriers.set(secure, socket)
  return secure
}

function overTls(client: Socket, secureContext: SecureContext): Socket {
  const secure = new TLSSocket(client, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'], allowHalfOpen: true } as TLSSocketOptions)
  carriers.set(secure, client)
  return secure
}

function secureContext({ name, tls }: LinkSetup): SecureContext | undefined {
  try {
    return tls && createSecureContext(tls)
  } catch (error) {
    throw new ResilError('BAD_TLS', `${name}: its certificate or key cannot be used: ${(error as Error).message}`, 'give both as PEM, and the key that belongs to the certificate', { cause: error })
  }
}

const EVERYWHERE = '::'

/** One spelling for each meaning. */
export function hostOf({ host }: Listen): string {
  if (host === undefined || host === 'localhost') return '127.0.0.1'
  return host === '' || host === '0.0.0.0' || host === '[::]' ? EVERYWHERE : host
}

function balance(source: Socket, waiting: number): void {
  if (waiting >= QUEUE_BYTES) source.pause()
  else if (waiting <= QUEUE_BYTES / 2 && source.isPaused()) source.resume()
}

function onWire(response: HttpResponse, method: string, keepAlive: boolean): Buffer {
  const body = Buffer.from(response.body)
  const headers = { ...response.headers, 'content-length': String(body.length), ...(keepAlive ? {} : { connection: 'close' }) }
  const head = `HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? 'Unassigned'}\r\n${Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  return method === 'HEAD' ? Buffer.from(head) : Buffer.concat([Buffer.from(head), body])
}
