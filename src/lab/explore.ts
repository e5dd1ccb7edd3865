/**
 * Every schedule of up to `depth` faults, each run once in simulation and judged.
 *
 *   fault-free run ──▶ its places ──▶ one run for each place and kind ──▶ their later places ──▶ ...
 *
 * A place is where something can go wrong: a life of the node crosses its boundary, a message passes the rules of a link, the bank takes a charge.
 * A schedule is continued only at places that its run passed after its last fault had struck. Up to such a place the longer run is the same run,
 * so the fault strikes there: a schedule that does not (void) is a bug of the enumeration. And since a run passes its places in one order, no two
 * schedules are the same set of faults: the enumeration is complete and without duplicates.
 */
import { createHash } from 'node:crypto'
import { ResilError } from '../errors.ts'
import type { Event } from '../events.ts'
import type { Finding, Verdict } from '../invariant.ts'
import { worst } from '../invariant.ts'
import type { CrashPoint, ToxicSpec } from '../scenario.ts'
import { workloads } from '../engines/payment/workloads.ts'
import type { Turn } from '../proxy/simulated.ts'
import type { Plan, Subject } from './plan.ts'
import type { Loaded, RunOptions } from './run.ts'
import { load, run } from './run.ts'
import type { LabStage } from './world.ts'

export type Fault =
  /** The node dies, and lives again after RESTART_MS. */
  | { kind: 'kill'; life: number; point: CrashPoint }
  /** One exchange of a link goes wrong. */
  | { kind: 'exchange'; link: string; exchange: number; how: string }
  /** The bank's n-th charge request is answered with a lie. */
  | { kind: 'lie'; nth: number; how: string }

/** How long a dead node stays dead, virtual ms. */
const RESTART_MS = 100

/** Longer than every deadline and than the engine's settle time: what comes so late was given up long ago. */
const LATE_MS = 20_000

/** What can befall an exchange, and at which of its messages. */
const EXCHANGE_FAULTS: Record<string, { turn: Turn; toxic: Pick<ToxicSpec, 'type' | 'stream' | 'attributes'> }> = {
  refused: { turn: 'request', toxic: { type: 'lost_request', attributes: { then: 'fin' } } },
  swallowed: { turn: 'request', toxic: { type: 'lost_request', attributes: { then: 'hang' } } },
  error500: { turn: 'request', toxic: { type: 'http_error', attributes: { status: 500 } } },
  twice: { turn: 'request', toxic: { type: 'duplicate_request', attributes: {} } },
  'late-request': { turn: 'request', toxic: { type: 'latency', stream: 'upstream', attributes: { latency: LATE_MS } } },
  lost: { turn: 'response', toxic: { type: 'lost_response', attributes: { then: 'rst' } } },
  silent: { turn: 'response', toxic: { type: 'lost_response', attributes: { then: 'hang' } } },
  partial: { turn: 'response', toxic: { type: 'partial_response', attributes: { bytes: 10 } } },
  'late-answer': { turn: 'response', toxic: { type: 'latency', stream: 'downstream', attributes: { latency: LATE_MS } } },
}

/** Lies of the bank about a charge: done and answered 500; done 5 s after it was answered 504. */
const LIES: Record<string, number> = { charge_then_500: 0, delayed_apply: 5000 }

/** Violating schedules that are kept: the first ones, which have the fewest faults; the rest are counted. */
const CONVICTED_KEPT = 20

export interface Conviction {
  token: string
  findings: (Finding & { invariant: string })[]
}

export interface Explored {
  depth: number
  schedules: number
  /** Schedules by number of faults, from 0. */
  byFaults: number[]
  /** Different things that happened at the boundary, whatever the ids and the times. */
  traces: number
  violations: number
  convictions: Conviction[]
  /** Schedules whose fault did not strike. Always 0, or the enumeration is wrong. */
  voids: string[]
  /** Schedules that were found and not run, because of the limit or a violation: 0 when these were all. */
  left: number
}

export interface ExploreOptions {
  depth: number
  workloads: readonly string[]
  seed: number
  subject: Subject
  /** Most schedules to run. */
  limit: number
  /** Ends at the first violation. */
  untilViolated?: boolean
  signal?: AbortSignal
  /** Called after each run. */
  onSchedule?(token: string, schedules: number): void
}

export async function explore(options: ExploreOptions): Promise<Explored> {
  const { depth, seed, subject, limit, signal } = options
  const traces = new Set<string>()
  const result: Explored = { depth, schedules: 0, byFaults: Array<number>(depth + 1).fill(0), traces: 0, violations: 0, convictions: [], voids: [], left: 0 }
  const units = await Promise.all(options.workloads.map(async (workload) => ({ workload, ...(await prepare(workload, seed, subject)) })))
  let level: { unit: (typeof units)[number]; faults: readonly Fault[] }[] = units.map((unit) => ({ unit, faults: [] }))
  for (let size = 0; size <= depth; size++) {
    const next: typeof level = []
    for (const { unit, faults } of level) {
      if (result.schedules >= limit || signal?.aborted || (options.untilViolated && result.violations > 0)) {
        result.left = level.length + next.length - result.byFaults[size]!
        return result
      }
      const tried = await attempt(unit.plan, unit.loaded, faults)
      result.schedules++
      result.byFaults[size]!++
      traces.add(`${unit.workload} ${tried.trace}`)
      result.traces = traces.size
      const token = writeToken(unit.workload, seed, faults)
      if (tried.struck < faults.length) result.voids.push(token)
      if (tried.verdict === 'violated') {
        result.violations++
        if (result.convictions.length < CONVICTED_KEPT) result.convictions.push({ token, findings: tried.findings.filter((finding) => finding.verdict === 'violated') })
      }
      if (size < depth) for (const fault of tried.next) next.push({ unit, faults: [...faults, fault] })
      options.onSchedule?.(token, result.schedules)
    }
    level = next
  }
  return result
}

/** Runs one schedule for a reader. Throws BAD_SCHEDULE. */
export async function replaySchedule(token: string, subject: Subject, options: Pick<RunOptions, 'sinks' | 'signal'>): Promise<{ verdict: Verdict; void: boolean }> {
  const { workload, seed, faults } = readToken(token)
  const { plan, loaded } = await prepare(workload, seed, subject)
  const tried = await attempt({ ...plan, again: again(token, subject) }, loaded, faults, options)
  return { verdict: tried.verdict, void: tried.struck < faults.length }
}

/** The command line that runs one schedule. */
export function again(token: string, subject: Subject): string {
  return `resil explore payment --schedule ${token}${subject.kind === 'module' ? ` --subject ${subject.file}` : ''}`
}

async function prepare(workload: string, seed: number, subject: Subject): Promise<{ plan: Plan; loaded: Loaded }> {
  const scenario = workloads[workload]
  if (!scenario) throw new ResilError('UNKNOWN_WORKLOAD', `there is no workload "${workload}"`, `there are ${Object.keys(workloads).join(', ')}`)
  const plan: Plan = { scenario: 'single', mode: 'sim', seed, subject, toxics: [], invariants: scenario.invariants, options: { clicks: 2, amountMinor: 9900, currency: 'USD' }, again: '' }
  const loaded = await load(plan)
  return { plan, loaded: { ...loaded, scenario } }
}

interface Attempt {
  verdict: Verdict
  findings: (Finding & { invariant: string })[]
  /** How many of the faults struck. */
  struck: number
  /** Faults that can follow the last one. */
  next: Fault[]
  trace: string
}

async function attempt(plan: Plan, loaded: Loaded, faults: readonly Fault[], options: Pick<RunOptions, 'sinks' | 'signal'> = {}): Promise<Attempt> {
  /** Places passed since the last fault struck. */
  let places: Fault[] = []
  let struck = 0
  let charges = 0
  /** A charge that the bank has just received: a place to lie once it is seen to be new. */
  let received: { key: string; nth: number; at: number } | undefined
  let world: LabStage
  let broken: unknown
  const trace = createHash('sha256')

  const strike = () => {
    struck++
    if (struck <= faults.length) places = []
    received = undefined
  }
  const watch = (event: Event) => {
    note(trace, event)
    switch (event.type) {
      case 'node.started':
        for (const fault of faults) if (fault.kind === 'kill' && fault.life === event['incarnation']) world.killAt(fault.point)
        break
      case 'node.killed':
        strike()
        world.clock.after(RESTART_MS, () => {
          world.restart().catch((error: unknown) => {
            broken ??= error
          })
        })
        break
      case 'toxic.hit':
      case 'bank.lied':
        strike()
        break
      case 'bank.received': {
        received = undefined
        if (event['ask'] !== 'charge') break
        const nth = ++charges
        const lie = faults.find((fault) => fault.kind === 'lie' && fault.nth === nth)
        if (lie?.kind === 'lie') world.lie('bank', lie.how, { ms: LIES[lie.how]! })
        else received = { key: event['key'], nth, at: places.length }
        break
      }
      case 'bank.charged':
        // The bank speaks next only when it did what it was asked: a replay, a refusal and a delayed charge are no places for these lies.
        if (received?.key === event['key']) places.splice(received!.at, 0, ...Object.keys(LIES).map((how): Fault => ({ kind: 'lie', nth: received!.nth, how })))
        received = undefined
        break
      case 'bank.replayed':
      case 'bank.declined':
        received = undefined
    }
  }
  const result = await run(
    plan,
    {
      ...options,
      sinks: [watch, ...(options.sinks ?? [])],
      quick: true,
      untold: options.sinks === undefined,
      onWorld: (opened) => {
        world = opened
        faults.forEach((fault, n) => {
          if (fault.kind !== 'exchange') return
          const { toxic } = EXCHANGE_FAULTS[fault.how]!
          world.toxic({ ...toxic, link: fault.link, name: `fault_${n + 1}`, attributes: { ...toxic.attributes, exchange: fault.exchange } })
        })
      },
      probe: {
        crossing: (_, life, point) => void places.push({ kind: 'kill', life, point }),
        exchange: (link, exchange, turn) => {
          for (const how in EXCHANGE_FAULTS) if (EXCHANGE_FAULTS[how]!.turn === turn) places.push({ kind: 'exchange', link, exchange, how })
        },
      },
    },
    loaded,
  )
  if (broken !== undefined) throw broken
  return { verdict: worst(result.findings.map((finding) => finding.verdict)), findings: result.findings, struck, next: places, trace: trace.digest('base64') }
}

/** Who says at the boundary what happened there; what was done to it is not what happened. */
const BOUNDARY = new Set(['client', 'mock', 'proxy'])
const FAULT_EVENTS = new Set(['toxic.added', 'toxic.removed', 'toxic.hit', 'bank.lied'])
const TRACED = ['link', 'client', 'ask', 'outcome', 'told', 'status', 'why', 'method', 'how', 'amount', 'decision', 'found', 'duplicate'] as const

/** Takes what happened at the boundary into a digest, whatever the ids and the times. */
export function note(trace: ReturnType<typeof createHash>, event: Event): void {
  if (!BOUNDARY.has(event.src) || FAULT_EVENTS.has(event.type)) return
  let line = event.type
  for (const field of TRACED) if (event[field] !== undefined) line += ` ${String(event[field])}`
  trace.update(`${line}\n`)
}

// ── tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** `double-click:1:kill/1/tx:intent/1/after+bank/2/lost`: the workload, the seed, and the faults in their order; no shell has to be told to leave it alone. */
export function writeToken(workload: string, seed: number, faults: readonly Fault[]): string {
  return [workload, seed, faults.map(writeFault).join('+') || 'none'].join(':')
}

function writeFault(fault: Fault): string {
  if (fault.kind === 'kill') return `kill/${fault.life}/${fault.point.site}/${fault.point.nth}/${fault.point.when}`
  return fault.kind === 'lie' ? `lie/${fault.nth}/${fault.how}` : `${fault.link}/${fault.exchange}/${fault.how}`
}

/** Throws BAD_SCHEDULE. */
export function readToken(token: string): { workload: string; seed: number; faults: Fault[] } {
  const match = /^([a-z-]+):(\d{1,16}):(.+)$/.exec(token)
  if (!match) throw badSchedule(token)
  const [, workload, seed, list] = match as unknown as [string, string, string, string]
  return { workload, seed: Number(seed), faults: list === 'none' ? [] : list.split('+').map((text) => readFault(text, token)) }
}

function readFault(text: string, token: string): Fault {
  const [head, ...rest] = text.split('/')
  const count = (digits: string | undefined) => {
    if (!/^[1-9]\d{0,5}$/.test(digits ?? '')) throw badSchedule(token)
    return Number(digits)
  }
  if (head === 'kill' && rest.length === 4 && (rest[3] === 'before' || rest[3] === 'after')) {
    return { kind: 'kill', life: count(rest[0]), point: { site: rest[1]!, nth: count(rest[2]), when: rest[3] } }
  }
  const [n, how] = rest as [string, string]
  if (head === 'lie' && rest.length === 2 && Object.hasOwn(LIES, how)) return { kind: 'lie', nth: count(n), how }
  if (rest.length === 2 && Object.hasOwn(EXCHANGE_FAULTS, how)) return { kind: 'exchange', link: head!, exchange: count(n), how }
  throw badSchedule(token)
}

function badSchedule(token: string): ResilError {
  return new ResilError('BAD_SCHEDULE', `"${token.slice(0, 200)}" is no schedule`, 'copy it from the output of resil explore payment, for example double-click:1:bank/1/lost')
}
