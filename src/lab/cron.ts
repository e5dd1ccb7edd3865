/** The world of the scheduler, opened for a run: in virtual time, or as processes on one database file. */
import { NodeClock, SystemClock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Event } from '../events.ts'
import { EventLog } from '../events.ts'
import { Random } from '../random.ts'
import type { PausePoint } from '../scenario.ts'
import type { CronSettings } from '../engines/cron/engine.ts'
import { DEFAULTS } from '../engines/cron/engine.ts'
import { asLabJob } from '../engines/cron/lab-job.ts'
import type { Tick } from '../engines/cron/ledger.ts'
import type { Registry } from '../engines/cron/registry.ts'
import type { Spec } from '../engines/cron/spec.ts'
import type { CronScenario, CronStage } from '../engines/cron/stage.ts'
import { empty, fold, story } from '../engines/cron/view.ts'
import type { Store } from '../engines/store/store.ts'
import type { Mock } from '../proxy/mock.ts'
import type { ResourceLedger } from '../proxy/mocks/resource.ts'
import { resource } from '../proxy/mocks/resource.ts'
import type { Toxic } from '../proxy/toxic.ts'
import { openCron } from './cron-alone.ts'
import { observeLedger, setTraps } from './cron-audit.ts'
import { comeToRest, CronWorld } from './cron-world.ts'
import type { Plan } from './plan.ts'
import type { Opened, RunOptions } from './run.ts'
import type { StageSetup } from './world.ts'
import { LabStage } from './world.ts'

/** Most nodes of one world: those of the scenario and those that a key adds. */
export const NODES_MAX = 9
/** How far a key sets a clock ahead, ms. */
const SKEW_MS = 30_000
/** How long the world may take to come to rest, ms. */
const PATIENCE_MS = 60_000
/** How long a scenario waits for what must come, ms. */
const MUST_MS = 60_000

interface Parts {
  registry: Registry
  store: Store
  ledger: ResourceLedger
  ttlMs: number
  build: number
  /** Every node fires: whoever lives stands for the leader. */
  leaderless: boolean
  lock(ms: number): Promise<void>
  reusePid(node: string): void
  partition(node: string, cut: boolean): void
}

class LabCronStage extends LabStage implements CronStage {
  readonly registry: Registry
  readonly store: Store
  readonly ttlMs: number
  /** Those that live, or would. */
  override readonly nodes: string[]
  readonly #events: Event[] = []
  readonly #parts: Parts
  readonly #settings = new Map<string, Partial<CronSettings>>()
  readonly #turns = new Map<string, Promise<void>>()
  #newest: number

  constructor(setup: StageSetup, parts: Parts) {
    super(setup)
    this.#parts = parts
    this.registry = parts.registry
    this.store = parts.store
    this.ttlMs = parts.ttlMs
    this.nodes = [...setup.nodes]
    this.#newest = parts.build
    setup.log.subscribe((event) => this.#events.push(event))
  }

  put(name: string, expr: string, job: string, spec: Partial<Spec> = {}, minBuild = 0): Promise<number> {
    return this.registry.put(name, { attempts: 20, ...spec, expr, job: asLabJob(job) }, minBuild)
  }

  leader(): string | undefined {
    if (this.#parts.leaderless) return this.nodes.find((node) => this.body.alive(node) && !this.paused.has(node))
    const last = this.#events.findLast(({ type }) => type === 'leader.elected')?.node
    return last != null && this.body.alive(last) ? last : undefined
  }

  async elected(timeoutMs = MUST_MS): Promise<string> {
    return this.leader() ?? (await this.must('leader.elected', timeoutMs)).node!
  }

  of(type: string): Event[] {
    return this.#events.filter((event) => event.type === type)
  }

  async must(wanted: string | ((event: Event) => boolean), timeoutMs = MUST_MS): Promise<Event> {
    const event = await this.until(typeof wanted === 'string' ? ({ type }) => type === wanted : wanted, timeoutMs)
    if (!event) throw new ResilError('SCENARIO_STUCK', `what the scenario waits for did not come within ${timeoutMs} ms: ${typeof wanted === 'string' ? wanted : 'an event'}`, 'run it again with --json and look at the last events')
    return event
  }

  async ticks(schedule?: string): Promise<Tick[]> {
    return (await this.registry.history(READ_MAX, schedule)).reverse()
  }

  effects(prefix: string): number {
    return this.#parts.ledger.effects.filter(({ key }) => key?.startsWith(prefix)).length
  }

  step(node: string, ms: number): void {
    this.body.step(node, ms)
  }

  lockStore(ms: number): Promise<void> {
    this.note('store.locked', { ms })
    return this.#parts.lock(ms)
  }

  reusePid(node: string): void {
    this.note('pid.reused', { of: node })
    this.#parts.reusePid(node)
  }

  partition(node: string, cut: boolean): void {
    this.note(cut ? 'store.cut' : 'store.joined', { from: node })
    this.#parts.partition(node, cut)
  }

  pauseAt(point: PausePoint, node: string): void {
    this.body.arm(node, point)
  }

  async deploy(node: string, settings: Partial<CronSettings>): Promise<void> {
    this.#settings.set(node, { ...this.#settings.get(node), ...settings })
    this.#newest = Math.max(this.#newest, settings.build ?? 0)
    this.note('node.deployed', { deployed: node, ...settings })
    if (this.paused.has(node)) this.resume(node) // it could not hear that it shall end
    await this.terminate(node)
    await this.restart(node)
  }

  override restart(node = this.nodes[0]!): Promise<void> {
    return this.#turn(node, async () => {
      if (!this.body.alive(node)) await this.body.start(node, this.#settings.get(node) as Record<string, unknown> | undefined)
    })
  }

  override kill(node = this.nodes[0]!): Promise<void> {
    return this.#turn(node, () => super.kill(node))
  }

  override terminate(node = this.nodes[0]!): Promise<void> {
    return this.#turn(node, () => super.terminate(node))
  }

  /** One thing after the other for each node: keys come while the script is at work. */
  #turn(node: string, work: () => Promise<void>): Promise<void> {
    const done = (this.#turns.get(node) ?? Promise.resolve()).then(work)
    this.#turns.set(node, done.catch(() => {})) // told by whoever asked for it
    return done
  }

  async startAll(): Promise<void> {
    await Promise.all(this.nodes.map((node) => this.restart(node)))
  }

  /** Those that stand still go on, those that are dead live again. */
  async resumeAll(): Promise<void> {
    for (const node of [...this.paused]) this.resume(node)
    await this.startAll()
  }

  async add(): Promise<void> {
    const node = `n${this.nodes.length + 1}`
    this.nodes.push(node)
    await this.restart(node)
  }

  /** Every node, one after the other, on a build newer than all. */
  async deployAll(): Promise<void> {
    const build = this.#newest + 1
    for (const node of [...this.nodes]) await this.deploy(node, { build })
  }

  override async heal(): Promise<void> {
    await super.heal()
    await comeToRest(this, PATIENCE_MS)
  }
}

/** What a key does to the world. */
function press(world: LabCronStage, key: string): ReturnType<Opened['press']> {
  const leader = world.leader()
  if (key === '+') return world.nodes.length < NODES_MAX ? { does: 'add node', act: () => world.add() } : { does: `${NODES_MAX} nodes are all there is room for` }
  if (key === 'd') return { does: 'deploy new build', act: () => world.deployAll() }
  if (key === 'r') return { does: 'resume', act: () => world.resumeAll() }
  if (leader === undefined) return { does: 'nobody leads' }
  if (key === 'k') return { does: `kill leader ${leader}`, act: () => world.kill(leader) }
  if (key === 'z') return { does: `pause leader ${leader}`, act: () => world.pause(leader) }
  return { does: `set the clock of ${leader} ${SKEW_MS / 1000} s ahead`, act: () => world.step(leader, SKEW_MS) }
}

/** What a laboratory's nodes are set to unless a scenario says otherwise: a take-over is a matter of seconds. */
const QUICK: Partial<CronSettings> = { ttlMs: 3000, watchMs: 100, pollMs: 500, beatMs: 1000, workerLeaseMs: 5000, drainMs: 5000 }

/** Rows of the ledger that a scenario looks at. */
const READ_MAX = 200_000

export async function openCronRun(plan: Plan, scenario: CronScenario, toxics: Record<string, Toxic>, id: string, options: RunOptions): Promise<Opened> {
  const nodes = Array.from({ length: plan.nodes ?? scenario.nodes ?? 3 }, (_, n) => `n${n + 1}`)
  const settings: Partial<CronSettings> = { ...QUICK, ...scenario.settings, ...(plan.leaderless ? { mode: 'none' as const } : {}) }
  const ttlMs = settings.ttlMs ?? DEFAULTS.ttlMs
  const build = settings.build ?? DEFAULTS.build
  const opened = (setup: Omit<StageSetup, 'nodes'>, parts: Parts, more: Pick<Opened, 'urls' | 'live' | 'script' | 'observe' | 'close'>): Opened => {
    const world = new LabCronStage({ ...setup, nodes }, parts)
    return {
      body: setup.body,
      world,
      log: setup.log,
      ...more,
      options: { nodes: nodes.length, ttlMs, leaderless: settings.mode === 'none' },
      begin: () => (scenario.startsAlone ? Promise.resolve() : world.startAll()),
      drive: () => scenario.drive(world),
      press: (key) => press(world, key),
      follow() {
        let view = empty()
        return {
          sink: (event) => {
            view = fold(view, event)
          },
          story: () => story(view),
        }
      },
    }
  }

  if (plan.mode === 'sim') {
    const startAt = scenario.startAt === undefined ? undefined : Date.parse(scenario.startAt)
    const all = Array.from({ length: NODES_MAX }, (_, n) => `n${n + 1}`)
    const sim = await CronWorld.open({ seed: plan.seed, nodes: all.length, settings, drift: scenario.drift, startAt, probe: options.probe, host: scenario.host, refusals: scenario.refusals, id, pace: options.pace })
    const { body, log, random, clock, registry, store, mock } = sim
    const lock = (ms: number) => {
      sim.busyUntil = clock.monotonic() + ms
      return clock.sleep(ms)
    }
    const script = new NodeClock(clock)
    return opened({ body, log, random, mocks: { resource: mock }, script }, { registry, store, ledger: mock.ledger, ttlMs, build, leaderless: settings.mode === 'none', lock, reusePid: (node) => sim.host.reuse(node), partition: (node, cut) => void (cut ? sim.cut.add(node) : sim.cut.delete(node)) }, { urls: {}, live: (work) => sim.live(work), script, observe: () => sim.observe(), close: () => body.close() })
  }

  const { openWireBody } = await import('./wire-body.ts')
  const clock = new SystemClock()
  const log = new EventLog(id, clock)
  const random = Random.seeded(plan.seed)
  const mock: Mock & { readonly ledger: ResourceLedger } = resource({ clock, random: random.fork('resource'), log: log.from('mock'), latency: { p50: 2, p99: 10 } })
  const all = Array.from({ length: NODES_MAX }, (_, n) => `n${n + 1}`)
  const { body, urls } = await openWireBody({ clock, log, random, seed: plan.seed, toxics, mocks: { resource: mock }, subject: plan.subject, engine: 'cron', refusals: scenario.refusals, settings: settings as Record<string, unknown>, nodes: all, db: plan.db, ports: plan.ports ?? {} })
  const { registry, store, close } = await openCron(body.db, clock).catch(async (error: unknown) => {
    await body.close()
    throw error
  })
  await setTraps(store)
  const virtual = (what: string) => new ResilError('NEEDS_VIRTUAL_TIME', `${what} in virtual time only`, 'add --sim')
  const lock = () => Promise.reject(virtual('the lock of the store is held'))
  const never = (what: string) => () => {
    throw virtual(what)
  }
  const script = new NodeClock(clock)
  return opened({ body, log, random, mocks: { resource: mock }, script }, { registry, store, ledger: mock.ledger, ttlMs, build, leaderless: settings.mode === 'none', lock, reusePid: never('a process number is used again'), partition: never('there is a network before the store') }, { urls, live: (work) => work, script, observe: () => observeLedger(log, store, ttlMs), close: () => close().finally(() => body.close()) })
}
