/**
 * Schedulers in virtual time: nodes on one store in memory, the resource that their jobs act on behind a link, faults on all of it, and an audit of
 * the ledger against what really happened.
 */
import { VirtualClock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Event } from '../events.ts'
import { EventLog } from '../events.ts'
import type { HttpResponse, Network, Outcome, Service } from '../network.ts'
import { Random } from '../random.ts'
import type { CreateEngine, Outside } from '../engines/engine.ts'
import type { CronOutside, CronSettings } from '../engines/cron/engine.ts'
import { CronEngine } from '../engines/cron/engine.ts'
import { Registry } from '../engines/cron/registry.ts'
import type { Job, Spec } from '../engines/cron/spec.ts'
import type { Ended, Run, Runner } from '../engines/cron/worker.ts'
import type { Clock } from '../clock.ts'
import { openSqlite } from '../engines/store/sqlite.ts'
import type { Migration, Store, Tx } from '../engines/store/store.ts'
import { migrations } from '../engines/cron/migrations.ts'
import type { Mock } from '../proxy/mock.ts'
import type { ResourceLedger } from '../proxy/mocks/resource.ts'
import { resource } from '../proxy/mocks/resource.ts'
import { SimulatedBody } from './simulated-body.ts'
import type { Probe } from './simulated-body.ts'
import { loadToxics } from './units.ts'

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
}

export const serviceOfNode = (node: string) => (node === 'n1' ? 'cron' : `cron-${node.slice(1)}`)

/** Timers after which a world is given up as endless. */
const TIMERS = 5_000_000

/**
 * Jobs of a simulated world: `sim:ms=200,steps=4` takes 200 ms a step, does one effect a step under `KEY/STEP`, and commits it; without steps it does
 * one effect under its key.
 */
export class SimulatedRunner implements Runner {
  readonly #clock: Clock
  readonly #network: Network

  constructor({ clock, network }: Outside) {
    this.#clock = clock
    this.#network = network
  }

  knows(job: Job): boolean {
    return job.kind === 'module' && job.file.startsWith('sim:')
  }

  async run(job: Job, run: Run): Promise<Ended> {
    const options = new Map((job.kind === 'module' ? job.file.slice(4) : '').split(',').map((part) => part.split('=') as [string, string]))
    const ms = Number(options.get('ms') ?? 0)
    const steps = Number(options.get('steps') ?? 0)
    for (let step = run.step + 1; step <= Math.max(1, steps); step++) {
      if (ms > 0) await this.#clock.sleep(ms, run.signal)
      if (run.signal.aborted) return { ok: false, output: 'stopped' }
      if (options.get('fail') === '1') return { ok: false, output: 'it failed' }
      const outcome = await this.#effect(steps > 0 ? `${run.key}/${step}` : run.key, run)
      if (outcome.kind !== 'ok' || outcome.value.status >= 300) return { ok: false, output: outcome.kind === 'ok' ? `${outcome.value.status}` : outcome.error.message }
      if (steps > 0) {
        await run.commit(String(step))
        run.progress((100 * step) / steps)
      }
    }
    return { ok: true, output: 'done' }
  }

  #effect(key: string, run: Run): Promise<Outcome<HttpResponse>> {
    return this.#network.call('resource', { method: 'POST', path: '/v1/effects', headers: { 'content-type': 'application/json', 'idempotency-key': key, 'resil-fencing-token': String(run.token) }, body: JSON.stringify({ what: run.schedule }) }, { timeoutMs: 1000 })
  }
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
  /** Violations that were seen while it ran. */
  readonly seen: string[]
  /** The store is locked by somebody until then, monotonic ms. */
  busyUntil = 0

  private constructor(parts: Pick<CronWorld, 'clock' | 'log' | 'body' | 'store' | 'registry' | 'mock' | 'random' | 'nodes' | 'seen'>, events: Event[], lock: (world: CronWorld) => void) {
    this.clock = parts.clock
    this.log = parts.log
    this.body = parts.body
    this.store = parts.store
    this.registry = parts.registry
    this.mock = parts.mock
    this.random = parts.random
    this.nodes = parts.nodes
    this.seen = parts.seen
    this.events = events
    lock(this)
  }

  static async open(setup: CronWorldSetup): Promise<CronWorld> {
    const clock = new VirtualClock(setup.startAt)
    const random = Random.seeded(setup.seed)
    const log = new EventLog(`cron-${setup.seed}`, clock)
    const events: Event[] = []
    log.subscribe((event) => events.push(event))
    const inner = await clock.run(openSqlite(':memory:', { clock, random: random.fork('store') }))
    const seen: string[] = []
    let world: CronWorld | undefined
    const store = hostileStore(inner, clock, () => world?.busyUntil ?? 0, seen, () => {
      // I7: nobody acts beside another who may.
      const trusted = nodes.filter((node) => world?.body.alive(node) && lives.get(node)?.epoch !== undefined)
      if (trusted.length > 1 && seen.length < SEEN_MAX) seen.push(`I7: ${trusted.join(' and ')} trust themselves at once, ${Math.round(clock.monotonic())} ms`)
    })
    const nodes = Array.from({ length: setup.nodes }, (_, n) => `n${n + 1}`)
    const mock = resource({ clock, random: random.fork('resource'), log: log.from('mock'), latency: { p50: 2, p99: 10 } })
    const services = new Map<string, Service>([['resource', mock.handle]])
    const make = setup.createEngine ?? ((outside, settings) => new CronEngine(outside, settings))
    /** The present life of each node. */
    const lives = new Map<string, CronEngine>()
    const createEngine: CreateEngine = (outside, settings) => {
      const engine = make({ ...outside, runner: new SimulatedRunner(outside) }, (settings ?? {}) as Partial<CronSettings>)
      lives.set(outside.node, engine)
      return engine
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
      serviceOf: serviceOfNode,
      clockOf: (node) => ({ drift: drift(node) }),
    })
    await clock.run(inner.migrate(migrations))
    for (const trap of TRAPS) await clock.run(inner.transaction('trap', (tx) => tx.query(trap)))
    return new CronWorld({ clock, log, body, store: inner, registry: new Registry(inner, clock, random.fork('registry')), mock, random, nodes, seen }, events, (made) => {
      world = made
    })
  }

  /** Drives virtual time until the work is done. */
  live<T>(work: Promise<T>): Promise<T> {
    return this.clock.run(work, { timers: TIMERS })
  }

  put(name: string, expr: string, job: string, spec: Partial<Spec> = {}): Promise<number> {
    return this.registry.put(name, { ...spec, expr, job: { kind: 'module', file: `sim:${job}` } })
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
    for (const link of this.body.links) link.rules.removeAll()
    this.mock.heal()
    for (const node of this.nodes) {
      this.body.resume(node)
      if (!this.body.alive(node)) await this.body.start(node)
    }
    const until = this.clock.monotonic() + patienceMs
    for (const { name } of await this.registry.list()) await this.registry.setPaused(name, true)
    while (this.clock.monotonic() < until) {
      const [left] = await this.store.transaction('rest', (tx) => tx.query<{ n: number }>("SELECT COUNT(*) AS n FROM tick WHERE state IN ('queued', 'running')"))
      if (left!.n === 0) return
      await this.clock.sleep(250)
    }
  }

  async close(): Promise<void> {
    await this.body.close()
  }
}

/** Set in the store itself, where the order of things is certain: what a run writes after it was another's, or after it had ended. */
const TRAPS = [
  'CREATE TABLE trapped (why TEXT NOT NULL)',
  `CREATE TRIGGER late_checkpoint AFTER INSERT ON checkpoint
     WHEN NOT EXISTS (SELECT 1 FROM tick t WHERE t.schedule = NEW.schedule AND t.slot_at = NEW.slot_at AND t.kind = NEW.kind AND t.seq = NEW.seq AND t.token = NEW.token AND t.state = 'running')
     BEGIN INSERT INTO trapped (why) VALUES ('I8: step ' || NEW.ord || ' of ' || NEW.schedule || ' was committed by token ' || NEW.token || ', which was over'); END`,
  `CREATE TRIGGER late_end AFTER UPDATE OF state ON tick
     WHEN NEW.state IN ('succeeded', 'failed', 'dead') AND OLD.state <> 'running'
     BEGIN INSERT INTO trapped (why) VALUES ('I8: ' || NEW.schedule || ' ended as ' || NEW.state || ' though it was ' || OLD.state); END`,
]

/** Locked while the world says so; and looked at after every claim. */
function hostileStore(inner: Store, clock: Clock, busyUntil: () => number, seen: string[], look: () => void): Store {
  const crowded = "SELECT schedule, COUNT(*) AS n FROM tick WHERE state = 'running' AND overlap <> 'allow' GROUP BY schedule HAVING COUNT(*) > 1"
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
      if (name !== 'claim') return inner.transaction(name, work)
      return inner.transaction(name, async (tx) => {
        const result = await work(tx)
        for (const { schedule, n } of await tx.query<{ schedule: string; n: number }>(crowded)) if (seen.length < SEEN_MAX) seen.push(`I10: ${n} runs of ${schedule} at once`)
        return result
      })
    },
    migrate: (all: readonly Migration[]) => inner.migrate(all),
    close: () => inner.close(),
  }
}

/** Violations that are kept while a world runs. */
const SEEN_MAX = 100

/** As the real store's. */
const BUSY_LIMIT_MS = 5000

export interface AuditOptions {
  /** The slots that a schedule must have in the ledger, in order: enumerated by whoever asks, not by the engine. */
  slots: (schedule: string, fromAt: number, toAt: number) => number[]
  /** Of the wall clocks, ms: nothing is due more than that early. */
  mostSkewMs?: number
  /** Steps of the jobs of a schedule; 0 for one effect under the key itself. */
  steps?: (schedule: string) => number
}

/** What the ledger, the lease and the resource say when all has come to rest. Answers violations, one sentence each. */
export async function auditCron(world: CronWorld, { slots, mostSkewMs = 0, steps = () => 0 }: AuditOptions): Promise<string[]> {
  const wrong = [...world.seen]
  const { ticks, schedules, checkpoints, definitions } = await world.store.transaction('audit', async (tx) => ({
    ticks: await tx.query<{ schedule: string; slot_at: number; until_at: number; slots: number; kind: string; seq: number; state: string; reason: string; epoch: number; recorded_at: number }>('SELECT * FROM tick ORDER BY rowid'),
    schedules: await tx.query<{ name: string; cursor_at: number; created_at: number }>('SELECT * FROM schedule'),
    checkpoints: await tx.query<{ schedule: string; slot_at: number; ord: number; token: number }>('SELECT * FROM checkpoint ORDER BY schedule, slot_at, kind, seq, ord'),
    definitions: await tx.query<{ schedule: string; created_at: number }>('SELECT schedule, MIN(created_at) AS created_at FROM definition GROUP BY schedule'),
  }))
  for (const { name, cursor_at } of schedules) {
    const since = definitions.find((each) => each.schedule === name)!.created_at
    const mine = ticks.filter((tick) => tick.schedule === name && tick.kind === 'cron').sort((a, b) => a.slot_at - b.slot_at)
    // I1, I2: every slot is in one row, and no row stands for none.
    const wanted = slots(name, since, cursor_at)
    let at = 0
    for (const row of mine) {
      const covered = wanted.slice(at, at + row.slots)
      if (covered[0] !== row.slot_at || covered.at(-1) !== row.until_at) wrong.push(`I2: ${name} has a row for ${iso(row.slot_at)} where ${covered[0] === undefined ? 'no slot' : iso(covered[0])} was due`)
      at += row.slots
    }
    if (at < wanted.length) wrong.push(`I2: ${name} has no row for ${wanted.length - at} slots from ${iso(wanted[at]!)}`)
    // I6: an old leader's write never stands behind a new one's.
    let epoch = 0
    for (const row of ticks) {
      if (row.schedule !== name || row.kind !== 'cron' || row.epoch === 0) continue
      if (row.epoch < epoch) wrong.push(`I6: ${name} ${iso(row.slot_at)} was written in epoch ${row.epoch}, behind epoch ${epoch}`)
      epoch = row.epoch
    }
  }
  const effects = new Map<string, number>()
  for (const { key } of world.mock.ledger.effects) effects.set(key!, (effects.get(key!) ?? 0) + 1)
  const expected = new Set<string>()
  for (const tick of ticks) {
    // I3: every tick ends, and says why when it did not run.
    if (tick.state === 'queued' || tick.state === 'running') wrong.push(`I3: ${tick.schedule} ${iso(tick.slot_at)} is still ${tick.state}`)
    if (!['succeeded', 'queued', 'running'].includes(tick.state) && tick.reason === '') wrong.push(`I3: ${tick.schedule} ${iso(tick.slot_at)} is ${tick.state} for no reason`)
    const base = `${tick.schedule}@${new Date(tick.slot_at).toISOString().replace('.000Z', 'Z')}${tick.kind === 'cron' ? '' : `!${tick.kind}${tick.seq > 0 ? `.${tick.seq}` : ''}`}`
    const n = steps(tick.schedule)
    for (const key of n === 0 ? [base] : Array.from({ length: n }, (_, i) => `${base}/${i + 1}`)) {
      expected.add(key)
      const times = effects.get(key) ?? 0
      // I13: one effect for each tick that ran.
      if (tick.state === 'succeeded' && times !== 1) wrong.push(`I13: ${key} succeeded with ${times} effects`)
      if (times > 1) wrong.push(`I13: ${key} has ${times} effects`)
      if (times > 0 && ['skipped_overlap', 'skipped_late', 'skipped_paused', 'coalesced'].includes(tick.state)) wrong.push(`I13: ${key} was ${tick.state} and has an effect`)
    }
  }
  for (const { key, at } of world.mock.ledger.effects) {
    if (!expected.has(key!)) wrong.push(`I13: an effect for ${key}, which is in no ledger`)
    // I11
    const slot = Date.parse(/@([^!/]+)/.exec(key!)?.[1] ?? '')
    if (at < slot - mostSkewMs) wrong.push(`I11: ${key} took effect ${slot - at} ms early`)
  }
  // I4: a tick succeeds once.
  const succeeded = new Set<string>()
  for (const event of world.of('attempt.ended')) {
    if (event['state'] !== 'succeeded') continue
    if (succeeded.has(event['tick'])) wrong.push(`I4: ${event['tick']} succeeded twice`)
    succeeded.add(event['tick'])
  }
  // I8: what an old token writes does not stand.
  wrong.push(...(await world.store.transaction('trapped', (tx) => tx.query<{ why: string }>('SELECT why FROM trapped'))).map(({ why }) => why))
  // I9: a committed step is never begun by a newer token.
  const committed = new Map<string, number>()
  for (const event of world.events) {
    if (event.type === 'attempt.checkpointed') committed.set(`${event['tick']}/${event['step']}`, event['token'])
    else if (event.type === 'resource.asked' && event['token'] > (committed.get(event['key']) ?? Number.POSITIVE_INFINITY)) wrong.push(`I9: ${event['key']} was begun again by token ${event['token']}`)
  }
  // I5: an epoch has one holder, and epochs grow.
  const epochs = world.of('leader.elected').map((event) => ({ epoch: event['epoch'] as number, node: event.node }))
  const holders = new Map<number, string | null>()
  for (const { epoch, node } of epochs) {
    if (holders.has(epoch) && holders.get(epoch) !== node) wrong.push(`I5: epoch ${epoch} had ${holders.get(epoch)} and ${node}`)
    holders.set(epoch, node)
  }
  // I9: steps follow each other, and tokens grow with them.
  let last: (typeof checkpoints)[number] | undefined
  for (const row of checkpoints) {
    const same = last?.schedule === row.schedule && last.slot_at === row.slot_at
    if (row.ord !== (same ? last!.ord + 1 : 1)) wrong.push(`I9: ${row.schedule} ${iso(row.slot_at)} has step ${row.ord} behind ${same ? last!.ord : 'none'}`)
    if (same && row.token < last!.token) wrong.push(`I9: ${row.schedule} ${iso(row.slot_at)} has step ${row.ord} of token ${row.token} behind token ${last!.token}`)
    last = row
  }
  return wrong
}

const iso = (at: number) => new Date(at).toISOString()
