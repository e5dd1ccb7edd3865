/** Three schedulers for a minute of virtual time, with faults that a seed chooses; then peace, and the audit. */
import { createHash } from 'node:crypto'
import { Random } from '../random.ts'
import type { CronSettings } from '../engines/cron/engine.ts'
import type { CronWorldSetup } from './cron-world.ts'
import { CronWorld, judgeCron } from './cron-world.ts'

/** Of the nodes, their clocks and their store; at least three of them strike in every seed. */
const CORE = ['crash', 'crash at a crossing', 'pause', 'skew', 'drift', 'busy store', 'full disk', 'lost acknowledgement'] as const
/** And of the network before the resource. */
const NETWORK = ['lost request', 'lost response', 'duplicate request'] as const
export type CronFault = (typeof CORE)[number] | (typeof NETWORK)[number]
const LEAST_FAULTS = 3

export interface SeedResult {
  seed: number
  violations: string[]
  /** Of what happened, whatever the times: equal for runs in which the same things happened in the same order. */
  trace: string
  faults: Partial<Record<CronFault, number>>
  /** Of the nodes, their clocks and their store. */
  fired: number
}

/** Virtual ms under faults. */
export const HOSTILE_MS = 60_000
/** Virtual ms that the world has to come to rest. */
const PATIENCE_MS = 120_000
/** Most that a node's wall clock is set forward or back. */
const MOST_SKEW_MS = 5000

const SETTINGS: Partial<CronSettings> = { ttlMs: 3000, watchMs: 750, pollMs: 1500, beatMs: 2000, workerLeaseMs: 6000, drainMs: 2000 }

/** Sites at which a node may die or have its store spoilt, as often as they are passed. */
const SITES = ['tx:fire', 'tx:claim', 'tx:complete', 'tx:checkpoint', 'tx:lease:renew', 'tx:lease:take', 'tx:beat', 'tx:reap', 'call:resource'] as const

/** `leaderless`: every node fires, there is no election. */
export async function runCronSeed(seed: number, createEngine?: CronWorldSetup['createEngine'], leaderless = false): Promise<SeedResult> {
  const random = Random.seeded(seed).fork('faults')
  const faults: Partial<Record<CronFault, number>> = {}
  let fired = 0
  const strike = (fault: CronFault) => {
    faults[fault] = (faults[fault] ?? 0) + 1
    if ((CORE as readonly string[]).includes(fault)) fired++
  }
  const drifting = random.next() < 0.5
  const drift = [1, 1, 1].map(() => (drifting ? 0.9 + 0.2 * random.next() : 1))
  const world = await CronWorld.open({ seed, nodes: 3, settings: leaderless ? { ...SETTINGS, mode: 'none' } : SETTINGS, drift, createEngine })
  if (drifting) strike('drift')

  world.log.subscribe((event) => {
    if (event.type === 'node.paused') strike('pause')
    else if (event.type === 'node.killed' && event['site'] !== 'sweep') strike('crash at a crossing')
    else if (event.type === 'store.spoilt') strike(event['how'] === 'full' ? 'full disk' : 'lost acknowledgement')
    else if (event.type === 'toxic.hit') strike(event['toxicType'] === 'lost_request' ? 'lost request' : event['toxicType'] === 'lost_response' ? 'lost response' : 'duplicate request')
  })

  const hurt = async () => {
    const node = random.pick(world.nodes)
    const kind = random.int(1, 9)
    if (kind === 1) {
      if (!world.body.alive(node)) return
      await world.body.kill(node, 'sweep')
      strike('crash')
    } else if (kind === 2) {
      world.body.arm(node, { site: random.pick(SITES), nth: random.int(1, 4), when: random.pick(['before', 'after'] as const) })
    } else if (kind === 3) {
      if (!world.body.alive(node)) return
      world.body.pause(node)
      world.clock.after(random.int(200, 12_000), () => world.body.resume(node))
    } else if (kind === 4) {
      world.body.step(node, random.int(-MOST_SKEW_MS, MOST_SKEW_MS))
      strike('skew')
    } else if (kind === 5) {
      world.busyUntil = world.clock.monotonic() + random.int(100, 9000)
      strike('busy store')
    } else if (kind === 6) world.body.arm(node, { site: random.pick(SITES.slice(0, -1)), nth: random.int(1, 3), how: 'full' })
    else if (kind === 7) world.body.arm(node, { site: random.pick(SITES.slice(0, -1)), nth: random.int(1, 3), how: 'in_doubt' })
    else if (kind === 8) world.body.arm(node, { site: random.pick(SITES), nth: random.int(1, 4), when: random.pick(['before', 'after'] as const), pauseMs: random.int(2000, 12_000) })
    else world.body.link('resource').rules.add({ link: 'resource', type: random.pick(['lost_request', 'lost_response', 'duplicate_request']), name: `sweep_${random.id('r')}`, attributes: { after: random.int(0, 3), first: random.int(1, 3) } })
  }

  const work = async () => {
    await world.put('tick', '*/2 * * * * *', 'ms=50', { overlap: 'allow', attempts: 50 })
    await world.put('steps', '*/7 * * * * *', 'ms=400,steps=4', { overlap: 'queue_all', attempts: 50 })
    await world.put('late', '*/5 * * * * *', 'ms=20', { overlap: 'skip', attempts: 50, misfire: 'all', graceMs: 4000 })
    await world.put('once', '*/3 * * * * *', 'ms=20', { overlap: 'allow', attempts: 50, misfire: 'once', graceMs: 2500 })
    await world.startAll()
    const until = world.clock.monotonic() + HOSTILE_MS
    while (world.clock.monotonic() < until || fired < LEAST_FAULTS) {
      await world.clock.sleep(random.int(500, 8000))
      await hurt()
      for (const node of world.nodes) if (!world.body.alive(node) && random.next() < 0.5) await world.body.start(node)
    }
    await world.heal(PATIENCE_MS)
    return judgeCron(world)
  }
  const violations = await world.live(work())
  await world.live(world.close())
  const trace = createHash('sha256')
  for (const event of world.events) trace.update(`${event.type} ${event.node} ${event['tick'] ?? ''} ${event['state'] ?? ''} ${event['why'] ?? ''}\n`)
  return { seed, violations, trace: trace.digest('base64'), faults, fired }
}
