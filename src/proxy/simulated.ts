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
import { noHeader, Rules } from './rules.ts'
import type { Fate, HostileLink, Rule, Subject } from './rules.ts'
import type { Cut, HeaderEdit, RequestAction, ResponseAction, Stream, Toxic } from './toxic.ts'

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
    if (!link.takesConnections()) return Promise.resolve(outcomeOf(new ResilError('REFUSED', `${service} refused the connection`), 0))
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
  /** A request that lets another one go ahead, by the rule that says so. */
  readonly yielding = new Map<Rule, () => void>()

  constructor(name: string, { seed, toxics, clock, log }: SimulatedSetup) {
    this.name = name
    this.rules = new Rules({ link: name, seed, toxics, clock, log })
    this.rules.watch((change) => {
      const rule = 'added' in change ? change.added : 'removed' in change ? change.removed : change.updated
      if (!('added' in change)) for (const exchange of [...this.open]) exchange.release(rule)
      if (rule.toxic.onListen) for (const exchange of [...this.open]) exchange.heedListening()
    })
  }

  takesConnections(): boolean {
    if (!this.enabled) return false
    const { by } = this.rules.listening
    if (by) this.rules.refused(by)
    return !by
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
  #request: HttpRequest
  readonly #options: CallOptions
  readonly #resolve: (outcome: Outcome<HttpResponse>) => void
  readonly #number: number
  readonly #subject: Subject
  readonly #startedAt: number
  #cancelTimeout: Cancel = () => {}
  #cancelListening: Cancel = () => {}
  /** The caller has its outcome. */
  #told = false
  readonly #gone = new AbortController()
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
    this.#subject = { connection: this.#number, client: CLIENT, exchange: this.#number, method: request.method, path: request.path, header: (name) => valueOf(request.headers, name) }
    this.#startedAt = setup.clock.monotonic()
  }

  begin(): void {
    const { method, path, headers } = this.#request
    this.#link.open.add(this)
    this.#setup.log.emit('exchange.opened', { link: this.#link.name, connection: this.#number, exchange: this.#number, method, path, key: headers['idempotency-key'] ?? null })
    this.#cancelTimeout = this.#setup.clock.after(this.#options.timeoutMs, () => this.#leave('TIMEOUT', `no answer within ${this.#options.timeoutMs} ms`))
    this.#options.signal?.addEventListener('abort', this.#abort, { once: true })
    this.heedListening()
    void this.#travel().finally(() => {
      this.#cancelListening()
      this.#link.open.delete(this)
    })
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

  /** A rule takes connections away: at once, or when its time has come. */
  heedListening(): void {
    this.#cancelListening()
    const { open, cut, forMs } = this.#link.rules.listening
    if (!open && cut) this.sever()
    else if (forMs !== Number.POSITIVE_INFINITY) this.#cancelListening = this.#setup.clock.after(forMs, () => this.heedListening())
  }

  readonly #abort = () => this.#leave('ABORTED', 'the caller gave up')

  async #travel(): Promise<void> {
    if (!(await this.#connect())) return
    this.#setup.onTurn?.(this.#link.name, this.#number, 'request')
    for (const { action, decision } of this.#link.rules.request(this.#subject)) {
      if (action.do !== 'yield') decision.hit(action)
      if (action.do === 'hold') await this.#hold(decision.rule, action.ms)
      else if (action.do === 'edit') this.#request = { ...this.#request, headers: edited(this.#request.headers, action.edit) }
      else if (action.do === 'yield') await this.#yield({ action, decision })
      else if (action.do === 'lose') return this.#cut(action.how, 'toxic')
      else if (action.do === 'answer') return this.#deliver(action.response)
      else this.#setup.clock.after(action.afterMs, () => void this.#serve()) // the copy; whatever comes of it is dropped
      if (this.#severed) return
    }
    if (!(await this.#pass('upstream'))) return
    const answer = await this.#serve()
    if (this.#told || this.#ended) return
    if (answer === 'cut') return this.#cut('rst', 'service')
    this.#setup.onTurn?.(this.#link.name, this.#number, 'response')
    let { response } = answer
    let last: Fate<ResponseAction> | undefined
    for (const fate of this.#link.rules.response(this.#subject)) {
      const { action, decision } = fate
      if (action.do !== 'hold' && action.do !== 'edit') {
        last = fate
        continue
      }
      decision.hit(action)
      if (action.do === 'edit') response = { ...response, headers: edited(response.headers, action.edit) }
      else await this.#hold(decision.rule, action.ms)
      if (this.#severed) return
    }
    if (this.#told || this.#ended) return
    const { action, decision } = last ?? {}
    if (action?.do === 'lose') {
      decision!.hit(action)
      return this.#cut(action.how, 'toxic')
    }
    const bodyBytes = this.#bodyBytes(response)
    if (action?.do === 'truncate') {
      const passing = 'bytes' in action ? action.bytes : Math.floor(action.fraction * bodyBytes)
      if (passing < bodyBytes) {
        decision!.hit(action)
        const { how } = action
        if (await this.#pass('downstream', response)) this.#cut(how, 'toxic', truncated(passing, bodyBytes))
        return
      }
    }
    if (action?.do === 'dribble' && bodyBytes > 0) {
      decision!.hit(action)
      await this.#hold(decision!.rule, action.overMs)
    }
    await this.#deliver(response, answer.threw)
  }

  /** On the way to the service; false when it does not get there. */
  async #connect(): Promise<boolean> {
    const { number, subject } = { number: this.#number, subject: this.#subject }
    for (const { action, decision } of this.#link.rules.connect({ ...subject, connection: number, exchange: null, method: '', path: '', header: noHeader })) {
      decision.hit(action)
      if (action.do === 'refuse') {
        this.#cut('rst', 'toxic')
        return false
      }
      await this.#hold(decision.rule, action.ms)
      if (this.#severed) return false
    }
    return true
  }

  /** Two requests of one rule change places: the first waits until the second is on its way. */
  async #yield({ action, decision }: { action: RequestAction & { do: 'yield' }; decision: Fate<RequestAction>['decision'] }): Promise<void> {
    const { yielding } = this.#link
    const { rule } = decision
    const waiting = yielding.get(rule)
    if (waiting) {
      yielding.delete(rule)
      this.#setup.clock.after(0, waiting) // at the end of the turn: this one has reached the service by then
      return
    }
    const go = () => {
      decision.hit(action)
      this.release(rule)
    }
    yielding.set(rule, go)
    await this.#hold(rule, action.atMostMs)
    if (yielding.get(rule) === go) yielding.delete(rule)
  }

  /** The service's part. What it throws besides CONNECTION_CUT is a fault of its own, and answered as an HTTP server would. */
  async #serve(): Promise<'cut' | { response: HttpResponse; threw?: string }> {
    const service = this.#link.enabled && !this.#severed ? this.#setup.services.get(this.#link.name) : undefined
    if (!service) return 'cut'
    try {
      return { response: await service(this.#request, this.#gone.signal) }
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
      const decision = this.#link.rules.decide(rule, this.#subject)
      const action = decision?.chunk(bytes, 0, this.#number)
      if (!action || !decision) continue
      switch (action.do) {
        case 'delay':
          await this.#hold(rule, action.ms)
          break
        case 'pace':
          await this.#hold(rule, action.bytesPerMs > 0 ? bytes / action.bytesPerMs : Number.POSITIVE_INFINITY)
          break
        case 'slice':
          await this.#hold(rule, action.everyMs * (action.sizes.length - 1))
          break
        case 'flip': // in memory a message is whole or broken: whoever reads it finds no HTTP
          this.#cut('fin', 'toxic', { code: 'MALFORMED', message: 'what came is no HTTP' })
          return false
        case 'limit':
          if (action.bytes >= bytes) break
          this.#cut(action.how, 'toxic', action.bytes > 0 && response ? truncated(action.bytes, bytes) : undefined)
          return false
        case 'drop':
          this.#cut('hang', 'toxic')
          return false
        case 'swallow':
        case 'cut':
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
    this.#gone.abort(message)
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

/** Everybody in memory calls from here. */
const CLIENT = '127.0.0.1'

const truncated = (bytes: number, of: number) => ({ code: 'TRUNCATED', message: `the answer ended after ${bytes} of ${of} bytes` })

function valueOf(headers: Record<string, string>, name: string): string | undefined {
  const key = Object.keys(headers).find((each) => each.toLowerCase() === name)
  return key === undefined ? undefined : headers[key]
}

function edited(headers: Record<string, string>, { name, value }: HeaderEdit): Record<string, string> {
  const others = Object.entries(headers).filter(([each]) => each.toLowerCase() !== name.toLowerCase())
  return Object.fromEntries(value === null ? others : [...others, [name, value]])
}

/** About what the message takes on the wire. */
function wireBytes(firstLine: string, message: { headers: Record<string, string>; body: string }): number {
  let bytes = firstLine.length + 4 + Buffer.byteLength(message.body)
  for (const name in message.headers) bytes += name.length + message.headers[name]!.length + 4
  return bytes
}
