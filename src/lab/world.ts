/**
 * The world of one run: clients on this side, mocks on that side, links with faults between, and the subject in the middle.
 * Real and simulated worlds differ only in their Body: who carries messages and what a node is.
 */
import type { Clock } from '../clock.ts'
import { ResilError, assert } from '../errors.ts'
import type { Event, EventLog, Fields, Log } from '../events.ts'
import type { Finding } from '../invariant.ts'
import type { HttpRequest, HttpResponse, Network, Outcome, Service } from '../network.ts'
import type { Random } from '../random.ts'
import type { CrashPoint, ScenarioFacts, Stage, StoreFault, ToxicSpec, Weather, World } from '../scenario.ts'
import type { PaymentAdapter } from '../engines/payment/adapter.ts'
import type { Forced } from '../engines/payment/operator.ts'
import { forceBreaker } from '../engines/payment/operator.ts'
import { reconcile } from '../engines/payment/reconcile.ts'
import type { Store } from '../engines/store/store.ts'
import type { Mock } from '../proxy/mock.ts'
import type { Bank } from '../proxy/mocks/bank.ts'
import { bank, typicalLatency as bankLatency } from '../proxy/mocks/bank.ts'
import { fraud, typicalLatency as fraudLatency } from '../proxy/mocks/fraud.ts'
import { notification, typicalLatency as notificationLatency } from '../proxy/mocks/notification.ts'
import type { HostileLink, Rule } from '../proxy/rules.ts'
import { fateOf, mostInTime } from '../proxy/weather.ts'
import type { FaultPoint } from './crash.ts'

/** What carries a world. */
export interface Body {
  /** Real or virtual time of the whole world. */
  readonly clock: Clock
  /** The clients' way to the subject. */
  readonly clients: Network
  /** Throws UNKNOWN_LINK. */
  link(name: string): HostileLink
  readonly links: readonly HostileLink[]
  /** False for a subject that cannot be killed. */
  readonly mortal: boolean
  /** Begins a new life; resolves when it can be spoken to. `settings` are this life's own, on top of the run's. */
  start(node: string, settings?: Record<string, unknown>): Promise<void>
  kill(node: string, site: string): Promise<void>
  terminate(node: string): Promise<void>
  pause(node: string): void
  resume(node: string): void
  /** The wall clock of a node's machine is set, by `ms` forward or back: for its present life and those to come. */
  step(node: string, ms: number): void
  alive(node: string): boolean
  /** Dies, or has its store spoilt, at a crossing of its present or next life. */
  arm(node: string, point: FaultPoint): void
  /** Leaves nothing behind; a bug that a node met is thrown here. */
  close(): Promise<void>
}

/** One whose store the laboratory can get at. */
export interface PaymentBody extends Body {
  /** Keeps the nodes' store as it is now; what is answered puts that in its place, while no node lives. */
  backUp(): Promise<() => Promise<void>>
  /** Opens the nodes' store beside them, for as long as `look` takes. */
  withStore<T>(look: (store: Store) => Promise<T>): Promise<T>
}

export const SERVICES = ['fraud', 'bank', 'notification'] as const

/** The three, and a second acquirer where one is asked for. */
export interface Mocks extends Record<string, Mock> {
  fraud: Mock
  bank: Bank
  notification: Mock
}

/** `quick` answers at once, for enumerations in which time is not the subject. Throws UNKNOWN_DIALECT. */
export function openMocks(clock: Clock, random: Random, log: Log, quick = false, { dialect, second = false }: NonNullable<ScenarioFacts['bank']> = {}): Mocks {
  const now = { p50: 0, p99: 0 }
  const bankNamed = (name: string) => bank({ clock, random: random.fork(name), log, latency: quick ? now : bankLatency }, { name, dialect })
  return {
    fraud: fraud({ clock, random: random.fork('fraud'), log, latency: quick ? now : fraudLatency }),
    bank: bankNamed('bank'),
    ...(second && { 'bank-2': bankNamed('bank-2') }),
    notification: notification({ clock, random: random.fork('notification'), log, latency: quick ? now : notificationLatency }),
  }
}

/** How long a subject may take to answer one attempt of a webhook, ms: as Stripe's some ten seconds, without the patience. */
const WEBHOOK_TIMEOUT_MS = 5000

/** Lets the mocks tell the subject what happened: to the first node that lives, over its link. The answer ends that. */
export function bindWebhooks(mocks: Mocks, body: Body, nodes: readonly string[]): () => void {
  const send = (request: HttpRequest) => body.clients.call(serviceOf(nodes.find((node) => body.alive(node)) ?? nodes[0]!), request, { timeoutMs: WEBHOOK_TIMEOUT_MS })
  const stops = Object.values(mocks).map((mock) => mock.webhooks?.(send))
  return () => stops.forEach((stop) => stop?.())
}

/** The service name, and so the link's, of a node: `payments` for the first, `payments-2` for the second. */
export function serviceOf(node: string, service = 'payments'): string {
  const n = Number(node.slice(1))
  return n === 1 ? service : `${service}-${n}`
}

/** Wraps what a mock answers, e.g. to look into a store first. */
export type Around = (name: string, service: Service) => Service

export interface StageSetup {
  body: Body
  log: EventLog
  random: Random
  nodes: readonly string[]
  mocks: Record<string, Mock>
  /** Scripted time; the body's clock, unless a key may hold it. */
  script: Clock
}

/** Something that was scheduled to go wrong: it must, or the run proves nothing. */
interface Scheduled {
  name: string
  fired(): boolean
}

/** What worlds of all engines share: faults, deaths, expectations. */
export class LabStage implements Stage {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly nodes: readonly string[]
  protected readonly body: Body
  readonly #events: EventLog
  protected readonly mocks: Record<string, Mock>
  readonly #scheduled: Scheduled[] = []
  readonly #paused = new Set<string>()
  readonly #down = new Set<string>()
  readonly #expected = new Map<string, Finding>()

  constructor({ body, log, random, nodes, mocks, script }: StageSetup) {
    this.body = body
    this.#events = log
    this.mocks = mocks
    this.clock = script
    this.random = random.fork('scenario')
    this.log = log.from('client')
    this.nodes = nodes
  }

  /** Nodes that stand still. */
  get paused(): ReadonlySet<string> {
    return this.#paused
  }

  /** Scheduled faults that never happened. */
  unfired(): string[] {
    return this.#scheduled.filter((fault) => !fault.fired()).map((fault) => fault.name)
  }

  toxic(spec: ToxicSpec): () => void {
    const link = this.body.link(spec.link)
    const rule: Rule = link.rules.add(spec)
    this.#scheduled.push({ name: `${spec.link}:${rule.name}`, fired: () => rule.hits > 0 })
    return () => void link.rules.remove(rule.name)
  }

  lie(mock: string, kind: string, { times = 1, after = 0, ms = 0 }: { times?: number; after?: number; ms?: number } = {}): void {
    this.#mock(mock).lie({ kind, times, after, ms })
    let told = false
    this.#events.subscribe((event) => {
      if (event['lie'] === kind && saidBy(event, mock, 'lied')) told = true
    })
    this.#scheduled.push({ name: `${mock}:${kind}`, fired: () => told })
  }

  weather(mock: string, weather: Weather | null): void {
    const target = this.#mock(mock)
    if (!target.weather) throw new ResilError('NO_WEATHER', `${mock} knows no weather`, 'the bank, the fraud service and the notification service do')
    target.weather(weather)
    this.note('weather.changed', { mock, weather })
    if (!weather) return
    let met = false
    this.#events.subscribe((event) => {
      if (saidBy(event, mock, 'worked')) met = true
    })
    this.#scheduled.push({ name: `${mock}:weather`, fired: () => met })
  }

  mostInTime(weather: Weather, arrivals: readonly number[], deadlineMs: number, callsPerPayment?: number): number {
    return mostInTime({ arrivals, slots: weather.slots, fateOf: (ordinal) => fateOf(weather, ordinal), deadlineMs, callsPerPayment })
  }

  /** Whether connections to it are refused. */
  isDown(link: string): boolean {
    return this.#down.has(link)
  }

  down(link: string): void {
    this.#down.add(link)
    void this.body.link(link).setEnabled(false)
    this.note('link.downed', { link })
  }

  up(link: string): void {
    this.#down.delete(link)
    void this.body.link(link).setEnabled(true)
    this.note('link.raised', { link })
  }

  async kill(node = this.nodes[0]!): Promise<void> {
    this.refuseImmortal()
    await this.body.kill(node, 'scenario')
  }

  killAt(point: CrashPoint, node = this.nodes[0]!): void {
    this.refuseImmortal()
    const name = `${point.site}#${point.nth}:${point.when}`
    let fired = false
    this.#events.subscribe((event) => {
      if (event.type === 'node.killed' && event.node === node && event['site'] === `${point.site}:${point.when}`) fired = true
    })
    this.#scheduled.push({ name: `${node} ${name}`, fired: () => fired })
    this.body.arm(node, point)
  }

  spoil(fault: StoreFault, node = this.nodes[0]!): void {
    this.refuseImmortal()
    let fired = false
    this.#events.subscribe((event) => {
      if (event.type === 'store.spoilt' && event.node === node && event['site'] === fault.site && event['how'] === fault.how) fired = true
    })
    this.#scheduled.push({ name: `${node} ${fault.site}#${fault.nth}:${fault.how}`, fired: () => fired })
    this.body.arm(node, fault)
  }

  async restart(node = this.nodes[0]!, settings?: Record<string, unknown>): Promise<void> {
    this.refuseImmortal()
    if (!this.body.alive(node)) await this.body.start(node, settings)
  }

  async terminate(node = this.nodes[0]!): Promise<void> {
    this.refuseImmortal()
    await this.body.terminate(node)
  }

  pause(node = this.nodes[0]!): void {
    this.refuseImmortal()
    this.#paused.add(node)
    this.body.pause(node)
  }

  resume(node = this.nodes[0]!): void {
    this.#paused.delete(node)
    this.body.resume(node)
  }

  until(wanted: (event: Event) => boolean, timeoutMs: number): Promise<Event | undefined> {
    return new Promise((resolve) => {
      const done = (event: Event | undefined) => {
        cancel()
        stop()
        resolve(event)
      }
      const cancel = this.body.clock.after(timeoutMs, () => done(undefined))
      const stop = this.#events.subscribe((event) => {
        if (wanted(event)) done(event)
      })
    })
  }

  tally(wanted: (event: Event) => boolean): () => number {
    let seen = 0
    this.#events.subscribe((event) => {
      if (wanted(event)) seen++
    })
    return () => seen
  }

  expect(name: string, holds: boolean, why: string): void {
    const { seq } = this.#events.emit('lab', holds ? 'expectation.met' : 'expectation.failed', { name, why })
    const before = this.#expected.get(name)
    if (before?.verdict === 'violated') return
    this.#expected.set(name, { verdict: holds ? 'held' : 'violated', looked: why, violations: holds ? [] : [{ why, witness: [seq] }] })
  }

  /** What was expected, in the form of findings; the first failure of each counts. */
  expectations(): (Finding & { invariant: string })[] {
    return [...this.#expected].map(([name, finding]) => ({ invariant: `expected: ${name}`, ...finding }))
  }

  async heal(): Promise<void> {
    for (const link of this.body.links) link.rules.removeAll()
    for (const mock of Object.values(this.mocks)) {
      mock.heal()
      mock.weather?.(null)
    }
    for (const link of [...this.#down]) this.up(link)
    for (const node of [...this.#paused]) this.resume(node)
    if (this.body.mortal) for (const node of this.nodes) await this.restart(node)
    this.note('world.healed')
  }

  /** A fault of an engine's own world: that it happened is told by an event. */
  protected mustFire(name: string, isIt: (event: Event) => boolean): void {
    let fired = false
    this.#events.subscribe((event) => {
      if (isIt(event)) fired = true
    })
    this.#scheduled.push({ name, fired: () => fired })
  }

  note(type: string, fields: Fields = {}): void {
    this.#events.emit('lab', type, fields)
  }

  #mock(name: string): Mock {
    const mock = this.mocks[name]
    if (!mock) throw new ResilError('UNKNOWN_MOCK', `there is no mock "${name}"`, `there are ${Object.keys(this.mocks).join(', ')}`)
    return mock
  }

  protected refuseImmortal(): void {
    if (!this.body.mortal) throw new ResilError('SUBJECT_NOT_OURS', 'a service known by its URL cannot be killed or restarted', 'choose a scenario that does not need it, or let resil start the service')
  }
}

/** Whether a mock says that `what` was done; a second acquirer speaks as the bank, and names itself, as customers do. */
function saidBy(event: Event, mock: string, what: string): boolean {
  for (const kind of ['bank', 'customer']) if (event[kind] !== undefined) return event[kind] === mock && event.type === `${kind}.${what}`
  return event.type === `${mock}.${what}`
}

/** The world of payments. */
export class PaymentWorld extends LabStage implements World<PaymentAdapter> {
  readonly adapter: PaymentAdapter
  readonly options: World['options']
  readonly #body: PaymentBody

  constructor(setup: StageSetup & { body: PaymentBody; adapter: PaymentAdapter; options: World['options'] }) {
    super(setup)
    this.#body = setup.body
    this.adapter = setup.adapter
    this.options = setup.options
  }

  async forceBreaker(name: string, forced: Forced | null): Promise<void> {
    this.refuseImmortal()
    await this.#body.withStore((store) => forceBreaker(store, this.body.clock, name, forced, { who: 'the scenario', why: 'it is part of it' }))
    this.note('breaker.forced', { name, forced })
  }

  async send(request: HttpRequest, { timeoutMs, node }: { timeoutMs: number; node?: string }): Promise<Outcome<HttpResponse>> {
    const to = node ?? this.nodes.find((name) => this.body.alive(name)) ?? this.nodes[0]!
    return this.body.clients.call(serviceOf(to), request, { timeoutMs })
  }

  step(node: string, ms: number): void {
    this.refuseImmortal()
    this.body.step(node, ms)
  }

  async backUp(): Promise<() => Promise<void>> {
    this.refuseImmortal()
    const restore = await this.#body.backUp()
    this.note('store.backed_up')
    return async () => {
      assert(this.nodes.every((node) => !this.body.alive(node)), 'a store is restored while no node lives')
      await restore()
      this.note('store.restored')
    }
  }

  async reconcile(bank = 'bank'): Promise<readonly { kind: string; reference: string; charge: string | null }[]> {
    this.refuseImmortal()
    const { clock } = this.body
    const handle = this.mocks[bank]!.handle
    const network: Network = { call: async (_service, request) => ({ kind: 'ok', value: await handle(request) }) }
    const { differences } = await this.#body.withStore((store) => reconcile({ clock, network, store, acquirer: bank, since: 0, until: clock.now() + 1 }))
    for (const difference of differences) this.note('books.differed', { ...difference })
    return differences.map((difference) => ({ kind: difference.kind, reference: difference.reference, charge: 'charge' in difference ? difference.charge : null }))
  }
}
