/**
 * Every crossing of a payment node's boundary in every scenario, cut once by a crash: one run each, from the same beginning as the run without it, so that
 * the crash strikes where it was seen. What a scenario expects of its own fault need not hold under a second one; its invariants must, when all has come to rest.
 */
import { createHash } from 'node:crypto'
import type { Event } from '../events.ts'
import { Random } from '../random.ts'
import type { CrashPoint, World } from '../scenario.ts'
import type { PaymentAdapter, PayOrder } from '../engines/payment/adapter.ts'
import { GOOD_CARD, Shop } from '../engines/payment/shop.ts'
import { note } from './explore.ts'
import type { Plan, Subject } from './plan.ts'
import type { Loaded, Result } from './run.ts'
import { load, run } from './run.ts'
import type { PaymentScenario } from './units.ts'
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
/** Beyond the lease, the settle time and some look-ups: then everything has come to rest that can. */
const AFTERMATH_MS = 120_000
/** How often somebody asks who is not answered. */
const ASKED_AT_MOST = 5
/** Judges of every run, beside the scenario's own. */
const ALWAYS = ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment']
/** What scenarios break by themselves, through no fault of the engine, as they say; in D5 a stranger may ask last, and is rightly told nothing. */
const BROKEN_BY: Readonly<Record<string, string>> = { 'original-after-failover': 'at-most-one-charge', 'U11': 'answer-matches-ledger', 'D5': 'no-lost-payment' }
/** What is told last. */
const FINAL: ReadonlySet<string> = new Set(['charged', 'declined', 'review'])
/** Of scenarios with more crossings than this, a sample of so many is cut. */
export const SAMPLE = 200
/** A scenario with more is a crowd: its crashes come one after another in the same run, for each run takes seconds. */
export const CROWD = 600
/** Lives of a node in such a run. */
const CROWDED_LIVES = 12

/** The crossings of a scenario, in order; a seeded sample of them when there are more than `most`. `of` tells how many there are. */
export async function paymentCrossings(scenario: string, subject: Subject = { kind: 'reference' }, most = Number.POSITIVE_INFINITY): Promise<{ crossings: Crossing[]; of: number }> {
  const found: Crossing[] = []
  const { plan, loaded } = await prepare(scenario, subject)
  let open = true
  await run(plan, { quick: false, untold: true, probe: { crossing: (node, life, point) => void (open && found.push({ scenario, node, life, point })), exchange() {} } }, withAftermath(loaded, () => (open = false)))
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
    note(trace, event)
    if (event.type === 'node.started' && event.node === node && event['incarnation'] === life) world.killAt(point, node)
    if (event.type !== 'node.killed' || event.node !== node || event['incarnation'] !== life || event['site'] !== `${point.site}:${point.when}`) return
    struck = true
    world.clock.after(RESTART_MS, () => {
      world.restart(node).catch((error: unknown) => {
        broken ??= error
      })
    })
  }
  const result = await run(plan, { untold: true, sinks: [watch], onWorld: (opened) => (world = opened) }, withAftermath(loaded))
  if (broken !== undefined) throw broken
  return { crossing, violations: violationsOf(result), struck, trace: trace.digest('base64') }
}

export interface CrowdRun {
  scenario: string
  seed: number
  violations: string[]
  /** Crashes that came to pass. */
  crashes: number
  trace: string
}

/**
 * A crowd, and a node that dies again and again among it: each life at a crossing drawn from those that a run without crashes passes, early enough that
 * the lives after it have something left to do.
 */
export async function cutCrowd(scenario: string, seed: number, crossings: readonly Crossing[], subject: Subject = { kind: 'reference' }): Promise<CrowdRun> {
  const { plan, loaded } = await prepare(scenario, subject)
  const random = Random.seeded(`${scenario}/${seed}`)
  const trace = createHash('sha256')
  let crashes = 0
  let world: LabStage
  let broken: unknown
  const armed = new Map<string, string>()
  const watch = (event: Event) => {
    note(trace, event)
    const node = event.node ?? ''
    if (event.type === 'node.started' && event['incarnation'] <= CROWDED_LIVES) {
      const { point } = random.pick(crossings)
      const nth = 1 + Math.floor(point.nth / (CROWDED_LIVES * (1 + 3 * random.next())))
      armed.set(node, `${point.site}:${point.when}`)
      world.killAt({ ...point, nth }, node)
    }
    if (event.type !== 'node.killed' || event['site'] !== armed.get(node)) return
    crashes++
    world.clock.after(RESTART_MS, () => {
      world.restart(node).catch((error: unknown) => {
        broken ??= error
      })
    })
  }
  const result = await run({ ...plan, seed }, { untold: true, sinks: [watch], onWorld: (opened) => (world = opened) }, withAftermath(loaded))
  if (broken !== undefined) throw broken
  return { scenario, seed, violations: violationsOf(result), crashes, trace: trace.digest('base64') }
}

/** What invariants say; what the scenario expects beyond them need not hold under a second fault. */
function violationsOf({ findings }: Result): string[] {
  return findings.filter(({ invariant, verdict }) => verdict === 'violated' && !invariant.startsWith('expected: ')).map(({ invariant, violations: [first] }) => `${invariant}: ${first?.why}`)
}

async function prepare(scenario: string, subject: Subject): Promise<{ plan: Plan; loaded: Loaded }> {
  const plan: Plan = { scenario, mode: 'sim', seed: SEED, subject, toxics: [], invariants: ALWAYS, options: { clicks: 2, amountMinor: 9900, currency: 'USD' }, again: '' }
  const loaded = await load(plan)
  return { plan, loaded: { ...loaded, invariants: loaded.invariants.filter(({ name }) => name !== BROKEN_BY[scenario]) } }
}

/** When the script is over, peace; then somebody asks about every order of which the last that was said is not final, so that what became of it has been. */
function withAftermath(loaded: Loaded, over: () => void = () => {}): Loaded {
  const scenario = loaded.scenario as PaymentScenario
  return {
    ...loaded,
    scenario: {
      ...scenario,
      async drive(world: World<PaymentAdapter>) {
        const orders = new Map<string, PayOrder>()
        const settled = new Set<string>()
        world.tally((event) => {
          if (event.type === 'client.sent' && !event['changed'] && !orders.has(event['order'])) orders.set(event['order'], { order: event['order'], key: event['key'], amount: event['amount'], currency: event['currency'], card: GOOD_CARD })
          if (event.type !== 'client.told') return false
          if (FINAL.has(event['told'])) settled.add(event['order'])
          else settled.delete(event['order'])
          return false
        })
        await scenario.drive(world)
        over()
        await world.heal()
        await world.clock.sleep(AFTERMATH_MS)
        const auditor = new Shop(world)
        for (const order of orders.values()) {
          if (settled.has(order.order)) continue
          const request = world.adapter.status(order, null)
          const seen = request && (await untilHeard(world, () => world.send(request, { timeoutMs: 5000 }), ({ kind }) => kind === 'ok'))
          // Another caller's payments are not shown to this one.
          if (seen?.kind === 'ok' && world.adapter.read(seen.value).told !== 'not_found') await untilHeard(world, () => auditor.ask(order, 'auditor'), ({ told }) => told !== 'nothing')
        }
      },
    },
  }
}

/** Asked again a few times: a crowd's last crash may strike whoever asks afterwards. */
async function untilHeard<T>(world: World<PaymentAdapter>, ask: () => Promise<T>, isHeard: (answer: T) => boolean): Promise<T> {
  for (let tries = 1; ; tries++) {
    const answer = await ask()
    if (isHeard(answer) || tries === ASKED_AT_MOST) return answer
    await world.clock.sleep(RESTART_MS)
  }
}
