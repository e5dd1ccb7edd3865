/**
 * One run: open the world, drive the scenario, judge, close.
 *
 *   plan ──▶ world.opened ──▶ scenario.drive ──▶ findings ──▶ run.ended (verdict, story, the line that runs it again)
 */
import type { NodeClock } from '../clock.ts'
import { within } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { EventLog, Fields, Sink } from '../events.ts'
import type { Finding, Invariant, Verdict } from '../invariant.ts'
import { worst } from '../invariant.ts'
import { Random, chance } from '../random.ts'
import type { CreateEngine } from '../engines/engine.ts'
import type { Toxic } from '../proxy/toxic.ts'
import { Judge } from './judge.ts'
import type { Plan } from './plan.ts'
import { RUN_LIMIT_MS } from './plan.ts'
import type { Probe } from './simulated-body.ts'
import type { AnyScenario } from './units.ts'
import { loadEngine, loadInvariants, loadScenario, loadToxics } from './units.ts'
import type { Body, LabStage } from './world.ts'

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
  onWorld?(world: LabStage): void
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
  /** What a key of the screen does to the world; see `KEYS`. */
  press(key: string): void
}

/** The id of a run: in `sim` it follows from the plan, so that two runs of one plan are equal to the byte. */
export function runId(plan: Plan): string {
  const of = plan.mode === 'sim' ? Random.seeded(JSON.stringify(plan)) : Random.system()
  return of.id('run').slice(4, 12)
}

/** A world that is open, of whatever engine. */
export interface Opened {
  body: Body
  world: LabStage
  log: EventLog
  urls: Record<string, string>
  /** Drives time until the work is done. */
  live<T>(work: Promise<T>): Promise<T>
  /** Scripted time, that a key can hold. */
  script: NodeClock
  /** What `run.started` says of it beside the plan. */
  options: Fields
  /** Begins what lives from the start. */
  begin(): Promise<void>
  drive(): Promise<void>
  /** When the scenario is over: reads what only can be read then. */
  observe(): Promise<void>
  /** Leaves nothing behind; a bug that a node met is thrown here. */
  close(): Promise<void>
  /** A key of the screen; `nth` tells the presses of one run apart. Answers what it does, for the record, and does it when that is written. */
  press(key: string, nth: number): { does: string; act?: () => Promise<void> | void }
  /** Follows the events; the answer tells the story so far. */
  follow(): { sink: Sink; story(): string }
}

/** Keys of the screen that do something to the world, by engine. */
export const KEYS: Readonly<Record<AnyScenario['engine'], Readonly<Record<string, string>>>> = {
  payment: { f: "drop the bank's next answer" },
  webhook: { '←': 'select the customer above', '→': 'select the customer below', k: 'take it down or up', d: 'disable or enable its endpoint', r: 'replay the dead' },
  cron: { k: 'kill leader', z: 'pause leader', r: 'resume', '+': 'add node', d: 'deploy new build', c: 'skew clock' },
}

/** What a plan names, imported. Can be used for many runs. */
export interface Loaded {
  scenario: AnyScenario
  invariants: Invariant[]
  toxics: Record<string, Toxic>
  /** Absent where no engine lives in this process: in `wire` mode, and for a service known by its URL. */
  createEngine?: CreateEngine
}

export async function load(plan: Plan): Promise<Loaded> {
  const scenario = await loadScenario(plan.scenario)
  const wanted = [...new Set([...scenario.invariants, ...plan.invariants])].filter((name) => plan.mode === 'sim' || !UNSEEN_FROM_OUTSIDE.has(name))
  const invariants = await loadInvariants(scenario.engine, wanted)
  const inProcess = plan.subject.kind !== 'url' && plan.mode !== 'wire' && scenario.engine === 'payment'
  const createEngine = inProcess ? await loadEngine(plan.subject.kind === 'module' ? plan.subject.file : undefined) : undefined
  return { scenario, invariants, toxics: await loadToxics(), createEngine }
}

/** Invariants that need a look into the nodes, which processes of their own do not allow: there, what they protect is judged by its effects. */
const UNSEEN_FROM_OUTSIDE: ReadonlySet<string> = new Set(['i7-one-acts'])

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
  const opened = await open(plan, units, id, options)
  const { log, world, body, live } = opened

  for (const sink of options.sinks ?? []) log.subscribe(sink)
  const told = options.untold ? undefined : opened.follow()
  if (told) log.subscribe(told.sink)
  const judge = new Judge(log, invariants)
  const start = body.clock.monotonic()
  log.emit('lab', 'run.started', {
    scenario: scenario.name,
    summary: scenario.summary,
    mode: plan.mode,
    seed: plan.seed,
    subject: plan.subject.kind === 'url' ? plan.subject.url : plan.subject.kind === 'module' ? plan.subject.file : plan.subject.kind === 'command' ? plan.subject.argv.join(' ') : 'reference',
    toxics: [...scenario.toxics, ...plan.toxics],
    invariants: invariants.map(({ name }) => name),
    options: opened.options,
  })

  const cut: string[] = []
  let pressed = 0
  options.onWorld?.(world)
  const work = async () => {
    await opened.begin()
    log.emit('lab', 'world.opened', { urls: opened.urls })
    for (const toxic of [...scenario.toxics, ...plan.toxics]) world.toxic(toxic)
    let broken: (error: unknown) => void = () => {}
    const keysFailed = new Promise<never>((_, reject) => {
      broken = reject
    })
    keysFailed.catch(() => {}) // told by the race below
    options.onOpen?.({
      pause: (on) => {
        log.emit('lab', 'key.pressed', { key: 'p', does: on ? 'hold the script' : 'go on' })
        if (on) opened.script.pause()
        else opened.script.resume()
      },
      press: (key) => {
        const { does, act } = opened.press(key, ++pressed)
        log.emit('lab', 'key.pressed', { key, does })
        act?.()?.catch(broken)
      },
    })
    const stopped = new Promise<'interrupted'>((resolve) => options.signal?.addEventListener('abort', () => resolve('interrupted'), { once: true }))
    const driven = within(body.clock, RUN_LIMIT_MS[plan.mode], opened.drive().then(() => 'done' as const))
    const stuck = (error: unknown) => {
      if (!(error instanceof ResilError) || error.code !== 'SCENARIO_STUCK') throw error
      cut.push(error.message)
      return 'stuck' as const
    }
    const end = options.signal?.aborted ? 'interrupted' : await Promise.race([driven, stopped, keysFailed]).catch(stuck)
    if (end === 'interrupted') cut.push('the run was interrupted')
    else if (end === undefined) cut.push(`the run did not end within ${RUN_LIMIT_MS[plan.mode] / 1000} s`)
    else if (end === 'done') await opened.observe()
  }
  let closed: unknown
  try {
    await live(work())
  } finally {
    await live(opened.close()).catch((error: unknown) => {
      closed = error
    })
  }
  if (closed !== undefined) throw closed

  const findings = [...judge.findings(), ...world.expectations()]
  const unfired = world.unfired()
  const verdict = worst([...findings.map((finding) => finding.verdict), ...(unfired.length > 0 || cut.length > 0 ? (['undecided'] as const) : [])])
  // The story tells how it ended; what went wrong on the way must not be left out of it.
  const wrong = findings.find((finding) => finding.verdict === 'violated')?.violations[0]?.why
  const ending = [...cut.map((why) => `${why[0]!.toUpperCase()}${why.slice(1)}.`), ...(told ? [told.story()] : []), ...(wrong === undefined ? [] : [`But ${wrong}.`])].join(' ')
  log.emit('lab', 'run.ended', { verdict, exit: EXIT[verdict], story: ending, findings, unfired, seed: plan.seed, again: plan.again, ms: Math.round(body.clock.monotonic() - start) })
  return { run: id, verdict, story: ending, findings, unfired }
}

async function open(plan: Plan, units: Loaded, id: string, options: RunOptions): Promise<Opened> {
  const { scenario } = units
  if (scenario.engine === 'cron' && scenario.needsSubject) return (await import('./prove.ts')).openProof(plan, scenario, units.toxics, id)
  if (scenario.engine === 'cron') return (await import('./cron.ts')).openCronRun(plan, scenario, units.toxics, id, options)
  if (scenario.engine === 'webhook') return (await import('./webhooks.ts')).openWebhookRun(plan, scenario, units.toxics, id, options)
  return (await import('./payments.ts')).openPayments(plan, { ...units, scenario }, id, options)
}

/** A seed for a run that was given none. */
export function anySeed(): number {
  return Math.floor(chance(Random.system().id('seed'), 'seed', 1) * 1_000_000)
}
