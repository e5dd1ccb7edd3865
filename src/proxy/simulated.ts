/**
 * The network in memory: the same services, rules and toxics as the links over sockets, carried out on whole messages.
 *
 *   opened ──[request rules]──[bytes, upstream]── service ──[response rules]──[bytes, downstream]── answered
 *      │            │                 │              │              │                  │
 *      └── the caller may leave at any time; what was sent goes on without it ─────────┘
 *
 * Every exchange is a connection of its own, with the same number. A rule on bytes sees each message as one chunk, so bandwidth counts per
 * exchange. Time passes only where a toxic or a service takes it; without either the only timer is the caller's timeout.
 * The caller is told with the codes of HttpNetwork: REFUSED, TIMEOUT, ABORTED, RESET (before the answer, by RST or FIN), TRUNCATED (inside its body).
 */
import type { Cancel, Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Log } from '../events.ts'
import { outcomeOf, problem } from '../network.ts'
import type { CallOptions, HttpRequest, HttpResponse, Network, Outcome, Service } from '../network.ts'
import { Rules } from './rules.ts'
import type { HostileLink, Rule, Subject } from './rules.ts'
import type { Cut, Stream, Toxic } from './toxic.ts'

/** Which message of an exchange passes the rules. */
export type Turn = 'request' | 'response'

export interface SimulatedSetup {
  clock: Clock
  /** Bound to src `proxy`. */
  log: Log
  seed: number | string
  /** By name on the wire. */
  toxics: Record<string, Toxic>
  /** Looked up for every request, so that an entry may be replaced while the network runs: a restarted node. */
  services: ReadonlyMap<string, Service>
  /** Told when a message is about to pass the rules, for enumerations. */
  onTurn?: (link: string, exchange: number, turn: Turn) => void
}

export class SimulatedNetwork implements Network {
  readonly #setup: SimulatedSetup
  readonly #links = new Map<string, SimulatedLink>()

  constructor(setup: SimulatedSetup) {
    this.#setup = setup
  }

  /** The link to a service; the same one every time. Throws UNKNOWN_SERVICE. */
  link(service: string): HostileLink {
    return this.#link(service)
  }

  call(service: string, request: HttpRequest, options: CallOptions): Promise<Outcome<HttpResponse>> {
    let link: SimulatedLink
    try {
      link = this.#link(service)
    } catch (error) {
      return Promise.reject(error)
    }
    if (options.signal?.aborted) return Promise.resolve(outcomeOf(new ResilError('ABORTED', `${request.method} ${request.path} to ${service} was given up before it was sent`), 0))
    if (!link.enabled) return Promise.resolve(outcomeOf(new ResilError('REFUSED', `${service} refused the connection`), 0))
    return new Promise((resolve) => new Exchange(this.#setup, link, request, options, resolve).begin())
  }

  #link(service: string): SimulatedLink {
    let link = this.#links.get(service)
    if (link) return link
    if (!this.#setup.services.has(service)) throw new ResilError('UNKNOWN_SERVICE', `there is no service "${service}"`, `there are ${[...this.#setup.services.keys()].join(', ')}`)
    link = new SimulatedLink(service, this.#setup)
    this.#links.set(service, link)
    return link
  }
}

class SimulatedLink implements HostileLink {
  readonly name: string
  readonly rules: Rules
  readonly open = new Set<Exchange>()
  enabled = true
  exchanges = 0

  constructor(name: string, { seed, toxics, log }: SimulatedSetup) {
    this.name = name
    this.rules = new Rules({ link: name, seed, toxics, log })
    this.rules.watch((change) => {
      if ('removed' in change) for (const exchange of [...this.open]) exchange.release(change.removed)
    })
  }

  setEnabled(on: boolean): Promise<void> {
    this.enabled = on
    if (!on) for (const exchange of [...this.open]) exchange.sever()
    return Promise.resolve()
  }
}

class Exchange {
  readonly #setup: SimulatedSetup
  readonly #link: SimulatedLink
  readonly #request: HttpRequest
  readonly #options: CallOptions
  readonly #resolve: (outcome: Outcome<HttpResponse>) => void
  readonly #number: number
  readonly #subject: Subject
  readonly #startedAt: number
  #cancelTimeout: Cancel = () => {}
  /** The caller has its outcome. */
  #told = false
  /** The journal has the end of it. */
  #ended = false
  /** The link went down under it: nothing of it arrives any more. */
  #severed = false
  /** The rule that holds it now, and how it lets go. */
  #held: { rule: Rule; forEver: boolean; go: () => void } | undefined

  constructor(setup: SimulatedSetup, link: SimulatedLink, request: HttpRequest, options: CallOptions, resolve: (outcome: Outcome<HttpResponse>) => void) {
    this.#setup = setup
    this.#link = link
    this.#request = request
    this.#options = options
    this.#resolve = resolve
    this.#number = ++link.exchanges
    this.#subject = { connection: this.#number, exchange: this.#number, method: request.method, path: request.path }
    this.#startedAt = setup.clock.monotonic()
  }

  begin(): void {
    const { method, path, headers } = this.#request
    this.#link.open.add(this)
    this.#setup.log.emit('exchange.opened', { link: this.#link.name, connection: this.#number, exchange: this.#number, method, path, key: headers['idempotency-key'] ?? null })
    this.#cancelTimeout = this.#setup.clock.after(this.#options.timeoutMs, () => this.#leave('TIMEOUT', `no answer within ${this.#options.timeoutMs} ms`))
    this.#options.signal?.addEventListener('abort', this.#abort, { once: true })
    void this.#travel().finally(() => this.#link.open.delete(this))
  }

  /** A rule was taken away: what it held passes. */
  release(rule: Rule): void {
    if (this.#held?.rule === rule) this.#held.go()
  }

  sever(): void {
    this.#severed = true
    this.#held?.go()
    this.#cut('rst', 'toxic')
  }

  readonly #abort = () => this.#leave('ABORTED', 'the caller gave up')

  async #travel(): Promise<void> {
    this.#setup.onTurn?.(this.#link.name, this.#number, 'request')
    const fate = this.#link.rules.request(this.#subject)
    if (fate) {
      fate.decision.hit(fate.action)
      if (fate.action.do === 'lose') return this.#cut(fate.action.how, 'toxic')
      if (fate.action.do === 'answer') return this.#deliver(fate.action.response)
      this.#setup.clock.after(fate.action.afterMs, () => void this.#serve()) // the copy; whatever comes of it is dropped
    }
    if (!(await this.#pass('upstream'))) return
    const answer = await this.#serve()
    if (this.#told || this.#ended) return
    if (answer === 'cut') return this.#cut('rst', 'service')
    const { response, threw } = answer
    this.#setup.onTurn?.(this.#link.name, this.#number, 'response')
    const loss = this.#link.rules.response(this.#subject)
    if (loss?.action.do === 'lose') {
      loss.decision.hit(loss.action)
      return this.#cut(loss.action.how, 'toxic')
    }
    const bodyBytes = this.#bodyBytes(response)
    if (loss?.action.do === 'truncate') {
      const passing = 'bytes' in loss.action ? loss.action.bytes : Math.floor(loss.action.fraction * bodyBytes)
      if (passing < bodyBytes) {
        loss.decision.hit(loss.action)
        const { how } = loss.action
        if (await this.#pass('downstream', response)) this.#cut(how, 'toxic', { code: 'TRUNCATED', message: `the answer ended after ${passing} of ${bodyBytes} bytes` })
        return
      }
    }
    if (loss?.action.do === 'dribble' && bodyBytes > 0) {
      loss.decision.hit(loss.action)
      await this.#hold(loss.decision.rule, loss.action.overMs)
    }
    await this.#deliver(response, threw)
  }

  /** The service's part. What it throws besides CONNECTION_CUT is a fault of its own, and answered as an HTTP server would. */
  async #serve(): Promise<'cut' | { response: HttpResponse; threw?: string }> {
    const service = this.#link.enabled && !this.#severed ? this.#setup.services.get(this.#link.name) : undefined
    if (!service) return 'cut'
    try {
      return { response: await service(this.#request) }
    } catch (error) {
      if (error instanceof ResilError && error.code === 'CONNECTION_CUT') return 'cut'
      return { response: problem(500, 'internal', 'Something broke here', { code: 'INTERNAL' }), threw: String(error) }
    }
  }

  async #deliver(response: HttpResponse, threw?: string): Promise<void> {
    if (!(await this.#pass('downstream', response)) || this.#told || this.#ended) return
    this.#ended = true
    const ms = Math.round((this.#setup.clock.monotonic() - this.#startedAt) * 1000) / 1000
    this.#setup.log.emit('exchange.answered', { link: this.#link.name, exchange: this.#number, status: response.status, ms, ...(threw === undefined ? {} : { threw }) })
    this.#tell({ kind: 'ok', value: response })
  }

  /** Takes one message through the rules on bytes; false when it does not arrive. */
  async #pass(stream: Stream, response?: HttpResponse): Promise<boolean> {
    const chain = this.#link.rules.chain(stream)
    if (chain.length === 0) return true
    const bytes = response ? wireBytes(`HTTP/1.1 ${response.status}`, response) : wireBytes(`${this.#request.method} ${this.#request.path} HTTP/1.1`, this.#request)
    for (const rule of [...chain]) {
      const action = this.#link.rules.decide(rule, this.#subject)?.chunk(bytes, this.#number)
      if (!action) continue
      if (action.do === 'delay') await this.#hold(rule, action.ms)
      else if (action.do === 'pace') await this.#hold(rule, action.bytesPerMs > 0 ? bytes / action.bytesPerMs : Number.POSITIVE_INFINITY)
      else {
        await this.#hold(rule, action.do === 'cut' ? action.afterMs : (action.closeAfterMs ?? Number.POSITIVE_INFINITY))
        this.#cut(action.do === 'cut' ? action.how : 'fin', 'toxic')
        return false
      }
      if (this.#severed) return false
    }
    return true
  }

  /** Waits until the time has passed or the rule is gone. What is held for ever stays when its caller leaves. */
  #hold(rule: Rule, ms: number): Promise<void> {
    if (ms <= 0) return Promise.resolve()
    const forEver = ms === Number.POSITIVE_INFINITY
    if (forEver && this.#told) {
      this.#link.open.delete(this)
      return new Promise(() => {}) // nobody will see it any more: the garbage collector may have it
    }
    return new Promise((resolve) => {
      const go = () => {
        cancel()
        this.#held = undefined
        resolve()
      }
      const cancel = forEver ? () => {} : this.#setup.clock.after(ms, go)
      this.#held = { rule, forEver, go }
    })
  }

  #cut(how: Cut, by: 'toxic' | 'service', told = { code: 'RESET', message: 'the connection ended before the answer' }): void {
    if (this.#ended) return
    this.#ended = true
    this.#setup.log.emit('exchange.cut', { link: this.#link.name, exchange: this.#number, how, by })
    if (how === 'hang') return // until the caller's own patience ends
    this.#tell(outcomeOf(new ResilError(told.code, `${this.#link.name}: ${told.message}`), 1))
  }

  /** The caller waits no longer; its request has been sent, so what comes of it is unknown. */
  #leave(code: string, message: string): void {
    if (!this.#ended) {
      this.#ended = true
      this.#setup.log.emit('exchange.cut', { link: this.#link.name, exchange: this.#number, how: 'fin', by: 'client' })
    }
    this.#tell(outcomeOf(new ResilError(code, `${this.#link.name}: ${message}`), 1))
    if (this.#held?.forEver) this.#link.open.delete(this)
  }

  #tell(outcome: Outcome<HttpResponse>): void {
    if (this.#told) return
    this.#told = true
    this.#cancelTimeout()
    this.#options.signal?.removeEventListener('abort', this.#abort)
    this.#resolve(outcome)
  }

  #bodyBytes(response: HttpResponse): number {
    return this.#request.method === 'HEAD' || response.status === 204 || response.status === 304 ? 0 : Buffer.byteLength(response.body)
  }
}

/** About what the message takes on the wire. */
function wireBytes(firstLine: string, message: { headers: Record<string, string>; body: string }): number {
  let bytes = firstLine.length + 4 + Buffer.byteLength(message.body)
  for (const name in message.headers) bytes += name.length + message.headers[name]!.length + 4
  return bytes
}
