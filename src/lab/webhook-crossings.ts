/**
 * Every crossing of a webhook node's boundary in every scenario, cut once by a crash: one run each, from the same beginning as the run without it, so that
 * the crash strikes where it was seen. What a scenario expects of its own fault need not hold under a second one; its invariants must, when all has come to rest.
 */
import { createHash } from 'node:crypto'
import { ResilError } from '../errors.ts'
import type { Event } from '../events.ts'
import { Random } from '../random.ts'
import type { CrashPoint } from '../scenario.ts'
import type { WebhookScenario, WebhookStage } from '../engines/webhook/stage.ts'
import type { Plan, Subject } from './plan.ts'
import type { Loaded } from './run.ts'
import { load, run } from './run.ts'
import type { LabStage } from './world.ts'

export interface Crossing {
  scenario: string
  node: string
  /** Of the node, from 1. */
  life: number
  point: CrashPoint
}

export interface CutRun {
  crossing: Crossing
  violations: string[]
  /** Whether the crash came to pass: always, or the enumeration is wrong. */
  struck: boolean
  /** Digest of what happened at the boundary. */
  trace: string
}

const SEED = 1
/** How long a dead node stays dead, virtual ms. */
const RESTART_MS = 100
/** Beyond the schedule's first delays, an outage's longest probe and the longest that a receiver may ask to be left alone: by then all has come to rest that can. */
const AFTERMATH_MS = 3_900_000
/** Of scenarios with more crossings than this, a sample of so many is cut. */
export const SAMPLE = 200
/** What a trace tells of an event: no ids and no times, for those differ where nothing else does. */
const TRACED = ['customer', 'sequence', 'status', 'signed', 'duplicate', 'processed', 'told', 'site', 'state', 'reason'] as const
const SOURCES: ReadonlySet<string> = new Set(['mock', 'client', 'audit'])

/** The crossings of a scenario while its script runs, in order; a seeded sample of them when there are more than `most`. `of` tells how many there are. */
export async function webhookCrossings(scenario: string, subject: Subject = { kind: 'reference' }, most = Number.POSITIVE_INFINITY): Promise<{ crossings: Crossing[]; of: number }> {
  const found: Crossing[] = []
  const { plan, loaded } = await prepare(scenario, subject)
  let open = true
  await run(plan, { untold: true, probe: { crossing: (node, life, point) => void (open && found.push({ scenario, node, life, point })), exchange() {} } }, withAftermath(loaded, () => (open = false)))
  if (found.length <= most) return { crossings: found, of: found.length }
  const random = Random.seeded(scenario)
  const places = new Set<number>()
  while (places.size < most) places.add(random.int(0, found.length - 1))
  return { crossings: [...places].toSorted((a, b) => a - b).map((place) => found[place]!), of: found.length }
}

export async function cut(crossing: Crossing, subject: Subject = { kind: 'reference' }): Promise<CutRun> {
  const { node, life, point } = crossing
  const { plan, loaded } = await prepare(crossing.scenario, subject)
  const trace = createHash('sha256')
  let struck = false
  let world: LabStage
  let broken: unknown
  const watch = (event: Event) => {
    if (SOURCES.has(event.src)) trace.update(`${event.type} ${TRACED.map((field) => String(event[field] ?? '')).join(' ')}\n`)
    if (event.type === 'node.started' && event.node === node && event['incarnation'] === life) world.killAt(point, node)
    if (event.type !== 'node.killed' || event.node !== node || event['incarnation'] !== life || event['site'] !== `${point.site}:${point.when}`) return
    struck = true
    world.clock.after(RESTART_MS, () => {
      world.restart(node).catch((error: unknown) => {
        broken ??= error
      })
    })
  }
  const { findings } = await run(plan, { untold: true, sinks: [watch], onWorld: (opened) => (world = opened) }, withAftermath(loaded))
  if (broken !== undefined) throw broken
  const violations = findings.filter(({ invariant, verdict }) => verdict === 'violated' && !invariant.startsWith('expected: ')).map(({ invariant, violations: [first] }) => `${invariant}: ${first?.why}`)
  return { crossing, violations, struck, trace: trace.digest('base64') }
}

async function prepare(scenario: string, subject: Subject): Promise<{ plan: Plan; loaded: Loaded }> {
  const plan: Plan = { scenario, mode: 'sim', seed: SEED, subject, toxics: [], invariants: [], again: '' }
  return { plan, loaded: await load(plan) }
}

/** When the script is over, or cannot go on because of the crash, peace: and time for all that waits. */
function withAftermath(loaded: Loaded, over: () => void = () => {}): Loaded {
  const scenario = loaded.scenario as WebhookScenario
  return {
    ...loaded,
    scenario: {
      ...scenario,
      async drive(world: WebhookStage) {
        try {
          await scenario.drive(world)
        } catch (error) {
          if (!(error instanceof ResilError) || error.code !== 'SCENARIO_STUCK') throw error
        }
        over()
        await world.heal()
        await world.settled(AFTERMATH_MS)
      },
    },
  }
}
