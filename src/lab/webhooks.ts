/** The world of webhooks, opened for a run: in virtual time, or on sockets and processes. */
import type { Clock } from '../clock.ts'
import { NodeClock, SystemClock, VirtualClock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Event } from '../events.ts'
import { EventLog, silentLog } from '../events.ts'
import type { Network, Service } from '../network.ts'
import { parseJson } from '../network.ts'
import { Random } from '../random.ts'
import type { Endpoint, Endpoints, NewEndpoint } from '../engines/webhook/endpoints.ts'
import type { CreateWebhook } from '../engines/webhook/engine.ts'
import { createEngine as reference } from '../engines/webhook/engine.ts'
import type { NewEvent } from '../engines/webhook/events.ts'
import { migrations } from '../engines/webhook/migrations.ts'
import type { Replays } from '../engines/webhook/replay.ts'
import type { WebhookSettings } from '../engines/webhook/settings.ts'
import { publicKeyOf } from '../engines/webhook/signature.ts'
import { DEFAULTS } from '../engines/webhook/settings.ts'
import type { Arrival, Evil, MoodSpec, Told, WebhookScenario, WebhookStage } from '../engines/webhook/stage.ts'
import { empty, fold, story } from '../engines/webhook/view.ts'
import { openSqlite } from '../engines/store/sqlite.ts'
import type { Store } from '../engines/store/store.ts'
import type { Mood } from '../proxy/customer/mood.ts'
import type { Customer } from '../proxy/mocks/customer.ts'
import { customer as openCustomer, typicalLatency } from '../proxy/mocks/customer.ts'
import type { Toxic } from '../proxy/toxic.ts'
import type { EvilMachines } from './evil-machines.ts'
import { EvilNetwork } from './evil-network.ts'
import type { Plan } from './plan.ts'
import type { Opened, RunOptions } from './run.ts'
import { SimulatedBody } from './simulated-body.ts'
import { observeDeliveries } from './webhook-audit.ts'
import { labKey, openWebhooks } from './webhook-alone.ts'
import type { StageSetup } from './world.ts'
import { LabStage, serviceOf } from './world.ts'

/** Timers after which a simulated run is given up as endless. */
const SIM_TIMERS = 50_000_000
/** How long a scenario waits for what must come, ms. */
const MUST_MS = 60_000
/** How long a producer waits for an answer, and goes on asking, ms. */
const PRODUCER_MS = 5000
const PRODUCER_PATIENCE_MS = 60_000
/** Between two looks whether all has come to rest, ms. */
const REST_EVERY_MS = 250
/** Until a lane is taken, ms: a beat and a little. */
const TAKEN_WITHIN_MS = 60_000
/** How long the world may take to come to rest, ms. */
const PATIENCE_MS = 120_000
/** Producers' requests of one stream at the same time. */
const STREAM_AT_ONCE = 64
/** Who an audit says it was. */
const SCREEN = 'the screen'
/** A producer asks again after this, ms. */
const AGAIN_MS = 250

/** What a laboratory's nodes are set to unless a scenario says otherwise. */
export const QUICK: Partial<WebhookSettings> = { leaseMs: 6000, beatMs: 1000, drainMs: 5000, observed: true }

interface Parts {
  endpoints: Endpoints
  replays: Replays
  store: Store
  customers: ReadonlyMap<string, Customer>
  settings: WebhookSettings
  inRealTime: boolean
  evil: EvilMachines
  /** Where a customer is. */
  urlOf(customer: string): string
}

class LabWebhookStage extends LabStage implements WebhookStage {
  readonly endpoints: Endpoints
  readonly replays: Replays
  readonly store: Store
  readonly settings: WebhookSettings
  readonly customers: readonly string[]
  readonly inRealTime: boolean
  readonly #parts: Parts
  readonly #events: Event[] = []
  readonly #secrets = new Map<string, string[]>()
  readonly #customerOf = new Map<string, string>()
  /** When each event was accepted, ms since the run began. */
  readonly #acceptedAt = new Map<string, number>()
  readonly #lags = new Map<string, { t: number; ms: number }[]>()
  #sent = 0
  #selected: string | undefined
  /** Endpoints that the engine has disabled, and those that a key has. */
  readonly #disabled = new Set<string>()
  readonly #held = new Set<string>()

  constructor(setup: StageSetup, parts: Parts) {
    super(setup)
    this.#parts = parts
    this.endpoints = parts.endpoints
    this.replays = parts.replays
    this.store = parts.store
    this.settings = parts.settings
    this.customers = [...parts.customers.keys()]
    this.inRealTime = parts.inRealTime
    setup.log.subscribe((event) => {
      this.#events.push(event)
      if (event.type === 'endpoint.disabled') this.#disabled.add(event['endpoint'])
      if (event.type === 'event.accepted') this.#acceptedAt.set(event['event'], event['askedAt'])
      if (event.type !== 'customer.received' || event['status'] < 200 || event['status'] >= 300) return
      const from = this.#acceptedAt.get(event['id']) ?? this.#askedAt.get(event['id'])
      const lags = this.#lags.get(event['customer']) ?? []
      this.#lags.set(event['customer'], lags)
      if (from !== undefined && !event['duplicate']) lags.push({ t: from, ms: event.t - from })
    })
  }

  readonly #askedAt = new Map<string, number>()

  customerOf(endpoint: string): string | undefined {
    return this.#customerOf.get(endpoint)
  }

  async subscribe(customer: string, spec: Partial<NewEndpoint> = {}): Promise<Endpoint> {
    this.#customer(customer)
    const { endpoint, secret } = await this.endpoints.add({ url: this.#parts.urlOf(customer), ...spec })
    this.#customerOf.set(endpoint.id, customer)
    this.trust(customer, [...(this.#secrets.get(customer) ?? []), secret.startsWith('whsk_') ? publicKeyOf(secret) : secret])
    this.note('endpoint.added', { endpoint: endpoint.id, customer })
    const until = this.clock.monotonic() + TAKEN_WITHIN_MS
    while (this.nodes.some((node) => this.body.alive(node)) && this.clock.monotonic() < until) {
      const shown = await this.endpoints.show(endpoint.id)
      if (shown.owner !== null) return shown
      await this.clock.sleep(REST_EVERY_MS)
    }
    return this.endpoints.show(endpoint.id)
  }

  trust(customer: string, secrets: readonly string[]): void {
    this.#secrets.set(customer, [...secrets])
    this.#customer(customer).trust(secrets)
  }

  mood(customer: string, mood: MoodSpec): void {
    this.#customer(customer).mood(mood as Mood)
  }

  async evil(customer: string, mood: Evil | null): Promise<void> {
    this.#customer(customer)
    if (mood !== null) this.mustFire(`${customer}:${mood}`, (event) => event.type === 'toxic.hit' && event['link'] === customer && event['toxic'] === mood)
    await this.#parts.evil.become(customer, mood)
    this.note('customer.spoilt', { customer, mood })
  }

  skew(customer: string, ms: number): void {
    this.#customer(customer).skew(ms)
    this.note('customer.skewed', { customer, ms })
  }

  inbox(customer: string): readonly Arrival[] {
    this.#customer(customer)
    return this.of('customer.received')
      .filter((event) => event['customer'] === customer)
      .map((event) => ({ id: event['id'], sequence: event['sequence'], type: event['what'] ?? null, key: event['key'] ?? null, signed: event['signed'], status: event['status'], processed: event['processed'], duplicate: event['duplicate'], t: event.t }))
  }

  processed(customer: string): readonly string[] {
    return this.#customer(customer).processed()
  }

  forget(customer: string, n: number): readonly string[] {
    return this.#customer(customer).forget(n, this.random.fork(`forget/${customer}`))
  }

  async send(event: NewEvent, { node, timeoutMs = PRODUCER_MS }: { node?: string; timeoutMs?: number } = {}): Promise<Told> {
    const to = node ?? this.nodes.find((name) => this.body.alive(name)) ?? this.nodes[0]!
    const { idempotencyKey, ...body } = event
    const start = this.body.clock.monotonic()
    const nth = ++this.#sent
    this.log.emit('event.sent', { nth, what: event.type, key: event.key ?? null, idempotencyKey: idempotencyKey ?? null })
    const headers: Record<string, string> = { 'content-type': 'application/json', ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }) }
    const outcome = await this.body.clients.call(serviceOf(to, 'webhooks'), { method: 'POST', path: '/v1/events', headers, body: JSON.stringify(body) }, { timeoutMs })
    const ms = this.body.clock.monotonic() - start
    const fields = (outcome.kind === 'ok' ? (parseJson(outcome.value.body) as { id?: string; deliveries?: number } | undefined) : undefined) ?? {}
    const status = outcome.kind === 'ok' ? outcome.value.status : 0
    const told: Told = { told: status >= 200 && status < 300 ? 'accepted' : status >= 400 && status < 500 ? 'refused' : 'unknown', status, id: fields.id ?? null, deliveries: fields.deliveries ?? 0 }
    if (told.told === 'accepted') {
      const asked = this.#events.at(-1)!.t
      this.log.emit('event.accepted', { nth, event: told.id, deliveries: told.deliveries, what: event.type, key: event.key ?? null, ms: Math.round(ms * 10) / 10, askedAt: Math.max(0, Math.round((asked - ms) * 10) / 10) })
    } else this.log.emit('event.refused', { nth, told: told.told, status, why: outcome.kind === 'ok' ? null : outcome.error.code })
    return told
  }

  async produce(event: NewEvent, options: { node?: string } = {}): Promise<Told> {
    const keyed = { idempotencyKey: this.random.id('key'), ...event }
    const until = this.clock.monotonic() + PRODUCER_PATIENCE_MS
    for (;;) {
      const told = await this.send(keyed, options)
      if (told.told !== 'unknown' || this.clock.monotonic() >= until) return told
      await this.clock.sleep(AGAIN_MS)
    }
  }

  async stream(count: number, perSecond: number, make: (n: number) => NewEvent = (n) => ({ type: 'order.created', data: { n } })): Promise<readonly string[]> {
    const ids: string[] = []
    const under = new Set<Promise<void>>()
    const start = this.clock.monotonic()
    for (let n = 0; n < count; n++) {
      if (perSecond > 0) await this.clock.sleep(Math.max(0, start + (n * 1000) / perSecond - this.clock.monotonic()))
      const one = this.produce(make(n)).then(({ id }) => {
        if (id !== null) ids.push(id)
      })
      const tracked = one.finally(() => under.delete(tracked))
      under.add(tracked)
      if (perSecond === 0 || under.size >= STREAM_AT_ONCE) await Promise.race(under)
    }
    await Promise.all(under)
    return ids
  }

  async ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<{ status: number; body: unknown }> {
    const to = this.nodes.find((name) => this.body.alive(name)) ?? this.nodes[0]!
    const outcome = await this.body.clients.call(serviceOf(to, 'webhooks'), { method, path, headers: { 'content-type': 'application/json', ...headers }, body: body === undefined ? '' : JSON.stringify(body) }, { timeoutMs: PRODUCER_MS })
    return outcome.kind === 'ok' ? { status: outcome.value.status, body: parseJson(outcome.value.body) } : { status: 0, body: undefined }
  }

  async settled(timeoutMs: number): Promise<boolean> {
    const until = this.clock.monotonic() + timeoutMs
    for (;;) {
      const [left] = await this.store.transaction('rest', (tx) =>
        tx.query<{ n: number }>("SELECT (SELECT COUNT(*) FROM lane l JOIN endpoint e ON e.lane = l.lane WHERE e.state = 'enabled' AND l.seq > l.delivered + l.dead + l.cancelled) + (SELECT COUNT(*) FROM replay WHERE state = 'running') AS n"),
      )
      if (left!.n === 0) return true
      if (this.clock.monotonic() >= until) return false
      await this.clock.sleep(REST_EVERY_MS)
    }
  }

  async counts(endpoint?: string): Promise<Readonly<Record<string, number>>> {
    const rows = await this.store.transaction('counts', (tx) =>
      tx.query<{ state: string; n: number }>(`SELECT d.state, COUNT(*) AS n FROM delivery d ${endpoint === undefined ? '' : 'JOIN endpoint e ON e.lane = d.lane WHERE e.id = :endpoint'} GROUP BY d.state`, endpoint === undefined ? {} : { endpoint }),
    )
    return { pending: 0, chained: 0, delivered: 0, dead: 0, cancelled: 0, ...Object.fromEntries(rows.map(({ state, n }) => [state, n])) }
  }

  of(type: string): Event[] {
    return this.#events.filter((event) => event.type === type)
  }

  async must(wanted: string | ((event: Event) => boolean), timeoutMs = MUST_MS): Promise<Event> {
    const event = await this.until(typeof wanted === 'string' ? ({ type }) => type === wanted : wanted, timeoutMs)
    if (!event) throw new ResilError('SCENARIO_STUCK', `what the scenario waits for did not come within ${timeoutMs} ms: ${typeof wanted === 'string' ? wanted : 'an event'}`, 'run it again with --json and look at the last events')
    return event
  }

  step(node: string, ms: number): void {
    this.body.step(node, ms)
  }

  lags(customer: string, since = 0): readonly number[] {
    return (this.#lags.get(customer) ?? []).filter(({ t }) => t >= since).map(({ ms }) => ms).toSorted((a, b) => a - b)
  }

  /** What a key of the screen does to the customer that is selected. */
  press(key: string): ReturnType<Opened['press']> {
    const known = [...this.#customerOf.values()]
    const at = Math.max(0, known.indexOf(this.#selected ?? ''))
    const chosen = known[at]
    if (chosen === undefined) return { does: 'nobody is told anything yet' }
    const step = key === '←' ? -1 : key === '→' ? 1 : 0
    if (step !== 0) {
      const next = known[(at + step + known.length) % known.length]!
      return {
        does: `select ${next}`,
        act: () => {
          this.#selected = next
          this.note('customer.selected', { customer: next })
        },
      }
    }
    if (key === 'k') return this.isDown(chosen) ? { does: `take ${chosen} up`, act: () => this.up(chosen) } : { does: `take ${chosen} down`, act: () => this.down(chosen) }
    if (key === 'r') return { does: 'replay the dead', act: () => this.replays.ask({ filter: { dlq: true }, who: SCREEN }).then(() => {}) }
    const endpoint = [...this.#customerOf].find(([, customer]) => customer === chosen)![0]
    const state = this.#held.has(endpoint) || this.#disabled.has(endpoint) ? 'enabled' : 'disabled'
    return {
      does: `${state === 'enabled' ? 'enable' : 'disable'} the endpoint of ${chosen}`,
      act: async () => {
        this.#disabled.delete(endpoint)
        if (state === 'enabled') this.#held.delete(endpoint)
        else this.#held.add(endpoint)
        await this.endpoints.setState(endpoint, state, { who: SCREEN, why: 'a key was pressed' })
      },
    }
  }

  override async heal(): Promise<void> {
    await super.heal()
    for (const endpoint of [...this.#held]) {
      this.#held.delete(endpoint)
      await this.endpoints.setState(endpoint, 'enabled', { who: SCREEN, why: 'all is made well' })
    }
    await this.#parts.evil.heal()
    for (const name of this.customers) this.mood(name, { kind: 'healthy' })
    await this.settled(PATIENCE_MS)
  }

  #customer(name: string): Customer {
    const found = this.#parts.customers.get(name)
    if (!found) throw new ResilError('UNKNOWN_MOCK', `there is no customer "${name}"`, `there are ${this.customers.join(', ')}`)
    return found
  }
}

export async function openWebhookRun(plan: Plan, scenario: WebhookScenario, toxics: Record<string, Toxic>, id: string, options: RunOptions): Promise<Opened> {
  const random = Random.seeded(plan.seed)
  const nodes = Array.from({ length: scenario.nodes ?? 1 }, (_, n) => `n${n + 1}`)
  const own = { ...QUICK, ...scenario.settings, ...(plan.mode === 'wire' && scenario.settingsInRealTime) }
  const settings: WebhookSettings = { ...DEFAULTS, ...own }
  const masterKey = labKey(plan.seed)
  const place = { masterKeys: [masterKey], allow: ['127.0.0.1/32'], plainHttp: true, version: 'laboratory' }
  const names = Array.from({ length: scenario.customers }, (_, n) => `customer-${n + 1}`)
  const customersOf = (clock: Clock, log: EventLog) =>
    new Map(names.map((name) => [name, openCustomer({ clock, random: random.fork(name), log: log.from('mock'), latency: typicalLatency }, { name, dedupe: scenario.naive !== true, receipts: scenario.receipts })] as const))

  const opened = (setup: Omit<StageSetup, 'nodes' | 'random' | 'mocks'>, parts: Parts, rest: Pick<Opened, 'urls' | 'live' | 'close'> & { script: NodeClock }): Opened => {
    const world = new LabWebhookStage({ ...setup, random, nodes, mocks: Object.fromEntries(parts.customers) }, parts)
    const silences = [...parts.customers.values()].map((customer) => customer.webhooks((request) => setup.body.clients.call(serviceOf(nodes.find((node) => setup.body.alive(node)) ?? nodes[0]!, 'webhooks'), request, { timeoutMs: PRODUCER_MS })))
    return {
      body: setup.body,
      world,
      log: setup.log,
      urls: rest.urls,
      live: rest.live,
      script: rest.script,
      options: { customers: names.length },
      async begin() {
        world.note('delays.promised', { schedule: parts.settings.schedule, jitter: parts.settings.jitter, breakerFailures: parts.settings.breakerFailures })
        for (const node of nodes) await setup.body.start(node)
      },
      drive: () => scenario.drive(world),
      observe: () => observeDeliveries(parts.store, setup.log.from('audit'), (endpoint) => world.customerOf(endpoint)),
      async close() {
        for (const silence of silences) silence()
        for (const customer of parts.customers.values()) customer.close?.()
        await rest.close()
      },
      press: (key) => world.press(key),
      follow() {
        let view = empty()
        return { sink: (event) => void (view = fold(view, event)), story: () => story(view) }
      },
    }
  }
  if (plan.mode === 'sim') {
    const create = await createOf(plan)
    const clock = new VirtualClock()
    const log = new EventLog(id, clock)
    const live = <T>(work: Promise<T>) => clock.run(work, { timers: SIM_TIMERS, pace: options.pace })
    const store = await live(openSqlite(':memory:', { clock, random: random.fork('store') }))
    await live(store.migrate(migrations))
    const customers = customersOf(clock, log)
    const services = new Map<string, Service>([...customers].map(([name, customer]) => [name, customer.handle]))
    const evil = new EvilNetwork(log.from('proxy'))
    const body: SimulatedBody = new SimulatedBody({
      clock, log, random, seed: plan.seed, toxics, services, store, nodes,
      settings: own as Record<string, unknown>,
      probe: options.probe,
      refusals: scenario.refusals,
      serviceOf: (node) => serviceOf(node, 'webhooks'),
      createEngine: (outside, given) => create({ ...outside, ...place, network: byHost(evil.before(outside.network, outside.clock)) }, given as Partial<WebhookSettings>),
    })
    const { endpoints, replays } = create({ clock, random: random.fork('operator'), store, ...place, network: nobody, log: silentLog, node: 'operator', incarnation: 1 }, settings)
    const script = new NodeClock(clock)
    return opened({ body, log, script }, { endpoints, replays, store, customers, settings, inRealTime: false, evil, urlOf: (name) => `https://${name}.example/hook` }, { urls: {}, live, script, close: () => body.close() })
  }

  const [{ openWireBody }, { EvilSockets }] = await Promise.all([import('./wire-body.ts'), import('./evil-sockets.ts')])
  const clock = new SystemClock()
  const log = new EventLog(id, clock)
  const customers = customersOf(clock, log)
  const { body, urls } = await openWireBody({ clock, log, random, seed: plan.seed, toxics, mocks: Object.fromEntries(customers), subject: plan.subject, engine: 'webhook', refusals: scenario.refusals, settings: own as Record<string, unknown>, nodes, db: plan.db, ports: plan.ports ?? {} })
  const evil = new EvilSockets({ clock, log, customers, tls: scenario.tls === true, divert: (name, port) => body.divert(name, port) })
  const beside = await evil
    .start()
    .then(() => openWebhooks(body.db, { ...place, keys: () => place.masterKeys }, clock))
    .catch(async (error: unknown) => {
      await evil.close()
      await body.close()
      throw error
    })
  const script = new NodeClock(clock)
  const close = async () => {
    await beside.close()
    await body.close().finally(() => evil.close())
  }
  const urlOf = (name: string) => `${scenario.tls ? urls[name]!.replace('http:', 'https:') : urls[name]}/hook`
  return opened({ body, log, script }, { endpoints: beside.engine.endpoints, replays: beside.engine.replays, store: beside.store, customers, settings, inRealTime: true, evil, urlOf }, { urls, live: (work) => work, script, close })
}

const nobody: Network = { call: () => Promise.reject(new Error('an operator sends nothing')) }

/** In a simulated world a host's first word is the name of its service. */
function byHost(network: Network): Network {
  return { call: (origin, request, options) => network.call(new URL(origin).hostname.split('.', 1)[0]!, request, options) }
}

async function createOf(plan: Plan): Promise<CreateWebhook> {
  if (plan.subject.kind === 'reference') return reference
  if (plan.subject.kind !== 'module') throw new ResilError('SUBJECT_NOT_OURS', 'a service of your own lives in real time', 'leave --sim out')
  const { loadModule } = await import('./units.ts')
  return (await loadModule<{ createEngine: CreateWebhook }>(plan.subject.file, 'createEngine')).createEngine
}
