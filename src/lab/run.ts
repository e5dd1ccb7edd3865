/**
 * One run: open the world, drive the scenario, judge, close.
 *
 *   plan ──▶ world.opened ──▶ scenario.drive ──▶ findings ──▶ run.ended (verdict, story, the line that runs it again)
 */
import type { Clock } from '../clock.ts'
import { NodeClock, SystemClock, VirtualClock, within } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Sink } from '../events.ts'
import { EventLog } from '../events.ts'
import type { Finding, Invariant, Verdict } from '../invariant.ts'
import { worst } from '../invariant.ts'
import type { Service } from '../network.ts'
import { Random, chance } from '../random.ts'
import type { CreateEngine } from '../engines/engine.ts'
import type { PaymentAdapter } from '../engines/payment/adapter.ts'
import { ourFace } from '../engines/payment/adapter.ts'
import { openSqlite } from '../engines/store/sqlite.ts'
import { empty, fold, story } from '../engines/payment/view.ts'
import type { Mock } from '../proxy/mock.ts'
import type { Toxic } from '../proxy/toxic.ts'
import { auditIntent } from './audit.ts'
import { Judge } from './judge.ts'
import type { Plan } from './plan.ts'
import { RUN_LIMIT_MS } from './plan.ts'
import { adapterOf } from './subject.ts'
import type { Probe } from './simulated-body.ts'
import { SimulatedBody } from './simulated-body.ts'
import type { PaymentScenario } from './units.ts'
import { loadEngine, loadInvariants, loadScenario, loadToxics } from './units.ts'
import type { Body } from './world.ts'
import { LabWorld, openMocks } from './world.ts'

export const EXIT: Record<Verdict, 0 | 1 | 3> = { held: 0, violated: 1, undecided: 3 }

export interface Result {
  run: string
  verdict: Verdict
  story: string
  findings: (Finding & { invariant: string })[]
  /** Scheduled faults that never happened. */
  unfired: string[]
}

export interface RunOptions {
  /** The run's id, when somebody had to know it first; runId(plan) otherwise. */
  id?: string
  /** Readers of the event stream: recording, reporter, screen. */
  sinks?: readonly Sink[]
  /** Ends the run early: its verdict is undecided unless something was violated. */
  signal?: AbortSignal
  /** Paces a simulated run for a screen; see VirtualClock. */
  pace?: (at: number) => Promise<void> | undefined
  /** Gives the keys of a screen their hold on the world. */
  onOpen?(hold: Hold): void
  /** Given the world before its first node lives: an enumeration plants its faults here. */
  onWorld?(world: LabWorld): void
  /** Told about every place of a simulated world where a fault could strike. */
  probe?: Probe
  /** Mocks that answer at once, for enumerations. */
  quick?: boolean
  /** Leaves the story empty where nobody reads it: to follow it costs as much as a tenth of a simulated run. */
  untold?: boolean
}

/** What a watcher may do to a run. Each is an event of the record. */
export interface Hold {
  /** Holds or releases scripted time. */
  pause(on: boolean): void
  /** Drops the bank's next answer. */
  inject(): void
}

/** The id of a run: in `sim` it follows from the plan, so that two runs of one plan are equal to the byte. */
export function runId(plan: Plan): string {
  const of = plan.mode === 'sim' ? Random.seeded(JSON.stringify(plan)) : Random.system()
  return of.id('run').slice(4, 12)
}

interface Opened {
  body: Body
  world: LabWorld
  log: EventLog
  urls: Record<string, string>
  /** Drives time until the work is done. */
  live<T>(work: Promise<T>): Promise<T>
  script: NodeClock
}

/** What a plan names, imported. Can be used for many runs. */
export interface Loaded {
  scenario: PaymentScenario
  invariants: Invariant[]
  toxics: Record<string, Toxic>
  /** Absent where no engine lives in this process: in `wire` mode, and for a service known by its URL. */
  createEngine?: CreateEngine
}

export async function load(plan: Plan): Promise<Loaded> {
  const scenario = await loadScenario(plan.scenario)
  const invariants = await loadInvariants([...new Set([...scenario.invariants, ...plan.invariants])])
  const createEngine = plan.subject.kind === 'url' || plan.mode === 'wire' ? undefined : await loadEngine(plan.subject.kind === 'module' ? plan.subject.file : undefined)
  return { scenario, invariants, toxics: await loadToxics(), createEngine }
}

/** `loaded` spares the imports when one plan is run many times. */
export async function run(plan: Plan, options: RunOptions = {}, loaded?: Loaded): Promise<Result> {
  const units = loaded ?? (await load(plan))
  const { scenario, invariants } = units
  if (scenario.needsProcess && plan.subject.kind === 'url') {
    throw new ResilError('SUBJECT_NOT_OURS', `${scenario.name} kills and restarts the service, which a URL does not allow`, 'choose another scenario: resil list scenarios')
  }
  if (scenario.takesHours && plan.mode === 'wire') {
    throw new ResilError('NEEDS_VIRTUAL_TIME', `${scenario.name} waits for hours`, 'add --sim: in virtual time they pass at once')
  }
  const id = options.id ?? runId(plan)
  const adapter = plan.face ? adapterOf(plan.face) : ourFace
  const opened = await open(plan, units, adapter, id, options)
  const { log, world, body, live } = opened

  let view = empty()
  for (const sink of options.sinks ?? []) log.subscribe(sink)
  if (!options.untold) {
    log.subscribe((event) => {
      view = fold(view, event)
    })
  }
  const judge = new Judge(log, invariants)
  const start = body.clock.monotonic()
  log.emit('lab', 'run.started', {
    scenario: scenario.name,
    summary: scenario.summary,
    mode: plan.mode,
    seed: plan.seed,
    subject: plan.subject.kind === 'url' ? plan.subject.url : plan.subject.kind === 'module' ? plan.subject.file : 'reference',
    toxics: [...scenario.toxics, ...plan.toxics],
    invariants: invariants.map(({ name }) => name),
    options: { ...plan.options, deadlineMs: adapter.deadlineMs },
  })

  const cut: string[] = []
  let injected = 0
  options.onWorld?.(world)
  const work = async () => {
    for (const node of world.nodes) if (body.mortal) await body.start(node)
    log.emit('lab', 'world.opened', { urls: opened.urls })
    for (const toxic of [...scenario.toxics, ...plan.toxics]) world.toxic(toxic)
    options.onOpen?.({
      pause: (on) => {
        log.emit('lab', 'key.pressed', { key: 'p', does: on ? 'hold the script' : 'go on' })
        if (on) opened.script.pause()
        else opened.script.resume()
      },
      inject: () => {
        log.emit('lab', 'key.pressed', { key: 'f', does: "drop the bank's next answer" })
        inject(world, ++injected)
      },
    })
    const stopped = new Promise<'interrupted'>((resolve) => options.signal?.addEventListener('abort', () => resolve('interrupted'), { once: true }))
    const driven = within(body.clock, RUN_LIMIT_MS[plan.mode], scenario.drive(world).then(() => 'done' as const))
    const end = options.signal?.aborted ? 'interrupted' : await Promise.race([driven, stopped])
    if (end !== 'done') cut.push(end === 'interrupted' ? 'the run was interrupted' : `the run did not end within ${RUN_LIMIT_MS[plan.mode] / 1000} s`)
  }
  let closed: unknown
  try {
    await live(work())
  } finally {
    await live(body.close()).catch((error: unknown) => {
      closed = error
    })
  }
  if (closed !== undefined) throw closed

  const findings = [...judge.findings(), ...world.expectations()]
  const unfired = world.unfired()
  const verdict = worst([...findings.map((finding) => finding.verdict), ...(unfired.length > 0 || cut.length > 0 ? (['undecided'] as const) : [])])
  // The story tells how it ended; what went wrong on the way must not be left out of it.
  const wrong = findings.find((finding) => finding.verdict === 'violated')?.violations[0]?.why
  const told = [...cut.map((why) => `${why[0]!.toUpperCase()}${why.slice(1)}.`), ...(options.untold ? [] : [story(view)]), ...(wrong === undefined ? [] : [`But ${wrong}.`])].join(' ')
  log.emit('lab', 'run.ended', { verdict, exit: EXIT[verdict], story: told, findings, unfired, seed: plan.seed, again: plan.again, ms: Math.round(body.clock.monotonic() - start) })
  return { run: id, verdict, story: told, findings, unfired }
}

async function open(plan: Plan, { scenario, toxics, createEngine }: Loaded, adapter: PaymentAdapter, id: string, options: RunOptions): Promise<Opened> {
  const random = Random.seeded(plan.seed)
  const nodes = Array.from({ length: scenario.nodes ?? 1 }, (_, n) => `n${n + 1}`)
  const settings = scenario.settings ?? {}
  const worldOf = (body: Body, log: EventLog, script: Clock, mocks: Record<string, Mock>) =>
    new LabWorld({ body, log, random, adapter, options: plan.options, nodes, mocks, script })

  if (plan.mode === 'sim') {
    if (!createEngine) throw new ResilError('SUBJECT_NOT_OURS', 'a service known by its URL lives in real time', 'leave --sim out')
    const clock = new VirtualClock()
    const log = new EventLog(id, clock)
    const live = <T>(work: Promise<T>) => clock.run(work, { timers: SIM_TIMERS, pace: options.pace })
    const store = await live(openSqlite(':memory:', { clock, random: random.fork('store') }))
    const mocks = openMocks(clock, random, log.from('mock'), options.quick)
    const services = new Map<string, Service>(Object.entries(mocks).map(([name, mock]) => [name, mock.handle]))
    services.set('bank', auditIntent(mocks.bank.handle, () => store, log.from('audit')))
    const body = new SimulatedBody({ clock, log, random, seed: plan.seed, toxics, services, store, createEngine, settings, nodes, probe: options.probe })
    const script = new NodeClock(clock)
    return { body, world: worldOf(body, log, script, mocks), log, urls: {}, live, script }
  }

  const { openWireBody } = await import('./wire-body.ts')
  const clock = new SystemClock()
  const log = new EventLog(id, clock)
  const mocks = openMocks(clock, random, log.from('mock'))
  const { body, urls } = await openWireBody({ clock, log, random, seed: plan.seed, toxics, mocks, subject: plan.subject, settings, nodes, db: plan.db, ports: plan.ports ?? {} })
  const script = new NodeClock(clock)
  return { body, world: worldOf(body, log, script, mocks), log, urls, live: (work) => work, script }
}

/** Timers after which a simulated run is given up as endless. */
const SIM_TIMERS = 5_000_000

/** Drops the bank's next answer; `nth` tells the presses of one run apart. */
function inject(world: LabWorld, nth: number): void {
  world.toxic({ link: 'bank', type: 'lost_response', name: `key_${nth}`, attributes: { method: 'POST', path: '/v1/charges', first: 1 } })
}

/** A seed for a run that was given none. */
export function anySeed(): number {
  return Math.floor(chance(Random.system().id('seed'), 'seed', 1) * 1_000_000)
}
