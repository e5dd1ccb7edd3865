/**
 * Every crossing of a node's boundary in a scenario, cut once by a crash: one run each, from the same beginning as the run without it, so that the crash strikes where it was
 * seen. What a scenario expects of its own fault need not hold under a second one; its invariants must, when all has come to rest. Each engine brings what it does when the
 * script is over, and what it tells of an event in a trace.
 */
import type { Hash } from 'node:crypto'
import { createHash } from 'node:crypto'
import type { Event } from '../events.ts'
import { Random } from '../random.ts'
import type { CrashPoint } from '../scenario.ts'
import type { Plan } from './plan.ts'
import type { Loaded, Result } from './run.ts'
import { run } from './run.ts'
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

/** A scenario made ready: with its aftermath. */
export interface Prepared {
  plan: Plan
  loaded: Loaded
}

export const SEED = 1
/** How long a dead node stays dead, virtual ms. */
export const RESTART_MS = 100
/** Of scenarios with more crossings than this, a sample of so many is cut. */
export const SAMPLE = 200

/** The crossings of a scenario while `isOpen`, in order; a seeded sample of them when there are more than `most`. `of` tells how many there are. */
export async function crossingsOf({ plan, loaded }: Prepared, isOpen: () => boolean, most: number): Promise<{ crossings: Crossing[]; of: number }> {
  const { scenario } = plan
  const found: Crossing[] = []
  await run(plan, { untold: true, probe: { crossing: (node, life, point) => void (isOpen() && found.push({ scenario, node, life, point })), exchange() {} } }, loaded)
  if (found.length <= most) return { crossings: found, of: found.length }
  const random = Random.seeded(scenario)
  const places = new Set<number>()
  while (places.size < most) places.add(random.int(0, found.length - 1))
  return { crossings: [...places].toSorted((a, b) => a - b).map((place) => found[place]!), of: found.length }
}

/** Where a life of a node dies, as it begins; undefined: nowhere. */
export type Deaths = (event: Event) => CrashPoint | undefined

/**
 * One run in which nodes die where `deaths` says, and live again a moment later. `isOurs` tells such a death from others; `struck` counts them.
 * Rejects with what a restart rejected with.
 */
export async function runWithDeaths({ plan, loaded }: Prepared, deaths: Deaths, isOurs: (killed: Event) => boolean, note: (trace: Hash, event: Event) => void): Promise<{ result: Result; struck: number; trace: string }> {
  const trace = createHash('sha256')
  let struck = 0
  let world: LabStage
  let broken: unknown
  const watch = (event: Event) => {
    note(trace, event)
    const node = event.node ?? ''
    const point = event.type === 'node.started' ? deaths(event) : undefined
    if (point) world.killAt(point, node)
    if (event.type !== 'node.killed' || !isOurs(event)) return
    struck++
    world.clock.after(RESTART_MS, () => {
      world.restart(node).catch((error: unknown) => {
        broken ??= error
      })
    })
  }
  const result = await run(plan, { untold: true, sinks: [watch], onWorld: (opened) => (world = opened) }, loaded)
  if (broken !== undefined) throw broken
  return { result, struck, trace: trace.digest('base64') }
}

/** One crossing, cut. */
export async function cutOnce(prepared: Prepared, crossing: Crossing, note: (trace: Hash, event: Event) => void): Promise<CutRun> {
  const { node, life, point } = crossing
  const { result, struck, trace } = await runWithDeaths(
    prepared,
    (event) => (event.node === node && event['incarnation'] === life ? point : undefined),
    (killed) => killed.node === node && killed['incarnation'] === life && killed['site'] === `${point.site}:${point.when}`,
    note,
  )
  return { crossing, violations: violationsOf(result), struck: struck > 0, trace }
}

/** What invariants say; what the scenario expects beyond them need not hold under a second fault. */
export function violationsOf({ findings }: Result): string[] {
  return findings.filter(({ invariant, verdict }) => verdict === 'violated' && !invariant.startsWith('expected: ')).map(({ invariant, violations: [first] }) => `${invariant}: ${first?.why}`)
}
