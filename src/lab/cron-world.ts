/**
 * Schedulers in virtual time: nodes on one store in memory, the resource that their jobs act on behind a link, faults on all of it, and an audit of
 * the ledger against what really happened.
 */
import type { Clock } from '../clock.ts'
import { VirtualClock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Event } from '../events.ts'
import { EventLog } from '../events.ts'
import type { Service } from '../network.ts'
import { Random } from '../random.ts'
import type { CreateEngine } from '../engines/engine.ts'
import type { Host } from '../engines/cron/elector.ts'
import type { CronOutside, CronSettings } from '../engines/cron/engine.ts'
import { CronEngine, DEFAULTS } from '../engines/cron/engine.ts'
import { asLabJob } from '../engines/cron/lab-job.ts'
import { migrations } from '../engines/cron/migrations.ts'
import { Registry } from '../engines/cron/registry.ts'
import type { Spec } from '../engines/cron/spec.ts'
import { openSqlite } from '../engines/store/sqlite.ts'
import type { Migration, Store, Tx } from '../engines/store/store.ts'
import type { Mock } from '../proxy/mock.ts'
import type { ResourceLedger } from '../proxy/mocks/resource.ts'
import { resource } from '../proxy/mocks/resource.ts'
import { observeLedger, setTraps } from './cron-audit.ts'
import { EVIDENCE } from './judge.ts'
import { LabRunner } from './lab-runner.ts'
import { SimulatedBody } from './simulated-body.ts'
import type { Probe } from './simulated-body.ts'
import { loadCronInvariants, loadToxics } from './units.ts'
import { serviceOf } from './world.ts'

export interface CronWorldSetup {
  seed: number
  nodes: number
  settings?: Partial<CronSettings>
  /** Rate of each node's clock; 1 when absent. */
  drift?: readonly number[]
  /** Wall time at the start, ms since 1970; VIRTUAL_EPOCH_MS when absent. */
  startAt?: number
  createEngine?: (outside: CronOutside, settings: Partial<CronSettings>) => CronEngine
  probe?: Probe
  /** Whether the nodes can see each other's processes. */
  host?: boolean
  /** Codes with which a node may refuse to go on. */
  refusals?: readonly string[]
  /** The run's id. */
  id?: string
  /** Drives time more slowly, for a screen; see VirtualClock. */
  pace?: (at: number) => Promise<void> | undefined
}

/** Timers after which a world is given up as endless. */
const TIMERS = 5_000_000

/** What was seen of the nodes while they ran. */
interface Trust {
  looks: number
  /** Times at which two trusted themselves to lead. */
  twice: string[]
  /** The furthest that a wall clock was ahead of the world's. */
  aheadMs: number
}

export class CronWorld {
  readonly clock: VirtualClock
  readonly log: EventLog
  readonly events: Event[] = []
  readonly body: SimulatedBody
  readonly store: Store
  readonly registry: Registry
  readonly mock: Mock & { readonly ledger: ResourceLedger }
  readonly random: Random
  readonly nodes: readonly string[]
  readonly host: SimulatedHost
  /** Nodes that cannot reach the store. */
  readonly cut: Set<string>
  readonly ttlMs: number
  readonly #pace: CronWorldSetup['pace']
  readonly #trust: Trust
  /** The store is locked by somebody until then, monotonic ms. */
  busyUntil = 0

  private constructor(parts: Pick<CronWorld, 'clock' | 'log' | 'body' | 'store' | 'registry' | 'mock' | 'random' | 'nodes' | 'host' | 'cut' | 'ttlMs'> & Pick<CronWorldSetup, 'pace'> & { trust: Trust }, events: Event[], lock: (world: CronWorld) => void) {
    this.clock = parts.clock
    this.log = parts.log
    this.body = parts.body
    this.store = parts.store
    this.registry = parts.registry
    this.mock = parts.mock
    this.random = parts.random
    this.nodes = parts.nodes
    this.host = parts.host
    this.cut = parts.cut
    this.ttlMs = parts.ttlMs
    this.#trust = parts.trust
    this.#pace = parts.pace
    this.events = events
    lock(this)
  }

  static async open(setup: CronWorldSetup): Promise<CronWorld> {
    const clock = new VirtualClock(setup.startAt)
    const random = Random.seeded(setup.seed)
    const log = new EventLog(setup.id ?? `cron-${setup.seed}`, clock)
    const events: Event[] = []
    log.subscribe((event) => events.push(event))
    const inner = await clock.run(openSqlite(':memory:', { clock, random: random.fork('store') }))
    const trust: Trust = { looks: 0, twice: [], aheadMs: 0 }
    let world: CronWorld | undefined
    const store = hostileStore(inner, clock, () => world?.busyUntil ?? 0, () => {
      const trusted = nodes.filter((node) => world?.body.alive(node) && lives.get(node)?.epoch !== undefined)
      trust.looks++
      trust.aheadMs = Math.max(trust.aheadMs, ...nodes.map((node) => world?.body.aheadMs(node) ?? 0))
      if (trusted.length > 1 && trust.twice.length < TWICE_KEPT) trust.twice.push(`${trusted.join(' and ')} trust themselves at once, ${Math.round(clock.monotonic())} ms`)
    })
    const host = new SimulatedHost(log)
    const nodes = Array.from({ length: setup.nodes }, (_, n) => `n${n + 1}`)
    const mock = resource({ clock, random: random.fork('resource'), log: log.from('mock'), latency: { p50: 2, p99: 10 } })
    const services = new Map<string, Service>([['resource', mock.handle]])
    const make = setup.createEngine ?? ((outside, settings) => new CronEngine(outside, settings))
    const cut = new Set<string>()
    /** The present life of each node. */
    const lives = new Map<string, CronEngine>()
    const createEngine: CreateEngine = (outside, settings) => {
      const own = (settings ?? {}) as Partial<CronSettings>
      const engine = make({ ...outside, store: reachable(outside.store, outside.clock, () => cut.has(outside.node)), runner: new LabRunner({ ...outside, build: own.build ?? 1, block: (ms) => standStill(outside.node, ms) }), host: setup.host ? host.of(outside.node, outside.incarnation) : undefined }, own)
      lives.set(outside.node, engine)
      return engine
    }
    /** In virtual time nothing else can run while a loop is blocked: it is as if the process stood still. */
    const standStill = (node: string, ms: number) => {
      world?.body.pause(node)
      clock.after(ms, () => world?.body.resume(node))
    }
    const drift = (node: string) => setup.drift?.[Number(node.slice(1)) - 1] ?? 1
    const body = new SimulatedBody({
      clock,
      log,
      random,
      seed: setup.seed,
      toxics: await loadToxics(),
      services,
      store,
      createEngine,
      settings: { ...(setup.settings as Record<string, unknown>) },
      nodes,
      probe: setup.probe,
      refusals: setup.refusals,
      serviceOf: (node) => serviceOf(node, 'cron'),
      clockOf: (node) => ({ drift: drift(node) }),
    })
    await clock.run(inner.migrate(migrations))
    await clock.run(setTraps(inner))
    const ttlMs = setup.settings?.ttlMs ?? DEFAULTS.ttlMs
    return new CronWorld({ clock, log, body, store: inner, registry: new Registry(inner, clock, random.fork('registry')), mock, random, nodes, trust, host, cut, ttlMs, pace: setup.pace }, events, (made) => {
      world = made
    })
  }

  /** Drives virtual time until the work is done. */
  live<T>(work: Promise<T>): Promise<T> {
    return this.clock.run(work, { timers: TIMERS, pace: this.#pace })
  }

  put(name: string, expr: string, job: string, spec: Partial<Spec> = {}): Promise<number> {
    return this.registry.put(name, { ...spec, expr, job: asLabJob(job) })
  }

  startAll(): Promise<void> {
    return this.nodes.reduce((before, node) => before.then(() => this.body.start(node)), Promise.resolve())
  }

  /** The node that was elected last, and lives. */
  get leader(): string | undefined {
    const last = this.events.findLast((event) => event.type === 'leader.elected')
    return last?.node !== undefined && last.node !== null && this.body.alive(last.node) ? last.node : undefined
  }

  of(type: string): Event[] {
    return this.events.filter((event) => event.type === type)
  }

  until(wanted: string | ((event: Event) => boolean)): Promise<Event> {
    return this.log.until(wanted)
  }

  /** No faults any more; every node lives. Resolves when nothing waits or runs, or after `patienceMs`. */
  async heal(patienceMs: number): Promise<void> {
    this.busyUntil = 0
    this.body.disarm()
    for (const link of this.body.links) link.rules.removeAll()
    this.mock.heal()
    for (const node of this.nodes) {
      this.body.resume(node)
      if (!this.body.alive(node)) await this.body.start(node)
    }
    await comeToRest(this, patienceMs)
  }

  /** Says what the ledger holds, how far clocks were ahead, and who trusted himself beside another. */
  async observe(): Promise<void> {
    const { aheadMs, ...trust } = this.#trust
    this.log.emit('audit', 'clocks.observed', { aheadMs })
    this.log.emit('audit', 'trust.observed', trust)
    await observeLedger(this.log, this.store, this.ttlMs)
  }

  async close(): Promise<void> {
    await this.body.close()
  }
}

/** Lets no new slot come, and waits until nothing waits or runs, or `patienceMs` have passed. */
export async function comeToRest({ clock, registry, store }: { clock: Clock; registry: Registry; store: Store }, patienceMs: number): Promise<void> {
  const until = clock.monotonic() + patienceMs
  for (const { name } of await registry.list()) await registry.setPaused(name, true)
  while (clock.monotonic() < until) {
    const [left] = await store.transaction('rest', (tx) => tx.query<{ n: number }>("SELECT COUNT(*) AS n FROM tick WHERE state IN ('queued', 'running')"))
    if (left!.n === 0) return
    await clock.sleep(REST_EVERY_MS)
  }
}

/** Between two looks whether the world has come to rest. */
const REST_EVERY_MS = 250

/** Processes of one host, that end with the lives of their nodes; a number is used again when somebody says so. */
export class SimulatedHost {
  readonly #born = new Map<number, string>()
  readonly #pids = new Map<string, number>()

  constructor(log: EventLog) {
    log.subscribe(({ type, node }) => {
      if ((type === 'node.killed' || type === 'node.terminated') && node !== null) this.#born.delete(this.#pids.get(node) ?? 0)
    })
  }

  of(node: string, incarnation: number): Host {
    const pid = 1000 * Number(node.slice(1)) + incarnation
    const self = { pid, born: `${incarnation}`, host: 'one' }
    this.#pids.set(node, pid)
    this.#born.set(pid, self.born)
    return { self, alive: (other) => this.#born.get(other.pid) === other.born }
  }

  /** Another program gets the number that a node's last process had. */
  reuse(node: string): void {
    this.#born.set(this.#pids.get(node) ?? 0, 'another')
  }
}

/** Violations of trust that are kept. */
const TWICE_KEPT = 100

/** Locked while the world says so; and before every transaction somebody looks. */
function hostileStore(inner: Store, clock: Clock, busyUntil: () => number, look: () => void): Store {
  return {
    get insideTransaction() {
      return inner.insideTransaction
    },
    async transaction<T>(name: string, work: (tx: Tx) => Promise<T>): Promise<T> {
      const since = clock.monotonic()
      while (clock.monotonic() < busyUntil()) {
        if (clock.monotonic() - since >= BUSY_LIMIT_MS) throw new ResilError('STORE_BUSY', 'the laboratory holds the lock')
        await clock.sleep(Math.min(BUSY_LIMIT_MS, busyUntil() - clock.monotonic()))
      }
      look()
      return inner.transaction(name, work)
    },
    migrate: (all: readonly Migration[]) => inner.migrate(all),
    close: () => inner.close(),
  }
}

/** A store on the far side of a network: not there while `isCut`. */
function reachable(inner: Store, clock: Clock, isCut: () => boolean): Store {
  return {
    get insideTransaction() {
      return inner.insideTransaction
    },
    async transaction<T>(name: string, work: (tx: Tx) => Promise<T>): Promise<T> {
      if (isCut()) {
        await clock.sleep(UNREACHABLE_MS)
        throw new ResilError('STORE_BUSY', 'the store cannot be reached')
      }
      return inner.transaction(name, work)
    },
    migrate: (all: readonly Migration[]) => inner.migrate(all),
    close: () => inner.close(),
  }
}

/** Until a node gives up to reach it. */
const UNREACHABLE_MS = 1000

/** As the real store's. */
const BUSY_LIMIT_MS = 5000

/** Reads the ledger and lets every invariant judge. Answers what is violated, one sentence each, that begins with the invariant's number. */
export async function judgeCron(world: CronWorld): Promise<string[]> {
  await world.observe()
  const checkers = (await loadCronInvariants()).map(({ name, start }) => ({ name, checker: start() }))
  for (const event of world.events) if (EVIDENCE.has(event.src)) for (const { checker } of checkers) checker.on(event)
  return checkers
    .filter(({ name }) => name !== 'i12-in-time') // for worlds whose store and nodes are let live
    .flatMap(({ name, checker }) => checker.end().violations.map(({ why }) => `${name.slice(0, name.indexOf('-')).toUpperCase()}: ${why}`))
}
