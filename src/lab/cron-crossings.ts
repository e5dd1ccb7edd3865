/**
 * Every crossing of a scheduler node's boundary, cut once by a crash and once by a pause longer than the lease: one run each, from the same beginning
 * as the run without faults, so that the fault strikes where it was seen.
 */
import type { CrashPoint } from '../scenario.ts'
import type { CronWorldSetup } from './cron-world.ts'
import { CronWorld, judgeCron } from './cron-world.ts'

export interface Crossing {
  node: string
  point: CrashPoint
}

export interface CutRun {
  crossing: Crossing
  how: 'crash' | 'pause'
  violations: string[]
  /** Whether the fault came to pass: always, or the enumeration is wrong. */
  struck: boolean
}

const TTL_MS = 2000
/** Virtual ms of the workload. */
const WORK_MS = 8000
/** How long a dead node stays dead. */
const RESTART_MS = 500
const PAUSE_MS = 2 * TTL_MS

const SETTINGS = { ttlMs: TTL_MS, watchMs: 250, pollMs: 500, beatMs: 1000, workerLeaseMs: 3000, drainMs: 500 }

/** Two nodes; slots every two seconds, and a job with steps. */
async function world(setup: Pick<CronWorldSetup, 'probe' | 'createEngine'>, prepare: (world: CronWorld) => void): Promise<{ world: CronWorld; violations: string[] }> {
  const made = await CronWorld.open({ seed: 1, nodes: 2, settings: SETTINGS, ...setup })
  prepare(made)
  const violations = await made.live(
    (async () => {
      await made.put('tick', '*/2 * * * * *', 'ms=20', { overlap: 'allow', attempts: 20 })
      await made.put('steps', '*/4 * * * * *', 'ms=300,steps=3', { overlap: 'queue_all', attempts: 20 })
      await made.startAll()
      await made.clock.sleep(WORK_MS)
      await made.heal(60_000)
      return judgeCron(made)
    })(),
  )
  await made.live(made.close())
  return { world: made, violations }
}

/** All crossings of the workload, in order, of each node's first life. */
export async function crossings(createEngine?: CronWorldSetup['createEngine']): Promise<Crossing[]> {
  const found: Crossing[] = []
  let open = true
  const { violations } = await world({ createEngine, probe: { crossing: (node, incarnation, point) => void (open && incarnation === 1 && found.push({ node, point })), exchange: () => {} } }, (made) => {
    made.clock.after(WORK_MS, () => {
      open = false
    })
  })
  if (violations.length > 0) throw new Error(`without any fault: ${violations.join('; ')}`)
  return found
}

export async function cut(crossing: Crossing, how: CutRun['how'], createEngine?: CronWorldSetup['createEngine']): Promise<CutRun> {
  const { node, point } = crossing
  const { world: made, violations } = await world({ createEngine }, (prepared) => {
    prepared.body.arm(node, how === 'crash' ? point : { ...point, pauseMs: PAUSE_MS })
    prepared.log.subscribe((event) => {
      if (event.type === 'node.killed') prepared.clock.after(RESTART_MS, () => void (prepared.body.alive(node) || prepared.body.start(node)))
    })
  })
  return { crossing, how, violations, struck: made.events.some((event) => event.type === (how === 'crash' ? 'node.killed' : 'node.paused') && event.node === node) }
}
