/** The crossings of payment nodes, cut: see crossings.ts; and crowds, whose nodes die again and again. */
import type { World } from '../scenario.ts'
import type { PaymentAdapter, PayOrder } from '../engines/payment/adapter.ts'
import { GOOD_CARD, Shop } from '../engines/payment/shop.ts'
import { Random } from '../random.ts'
import type { Crossing, CutRun, Prepared } from './crossings.ts'
import { crossingsOf, cutOnce, RESTART_MS, runWithDeaths, SEED, violationsOf } from './crossings.ts'
import { note } from './explore.ts'
import type { Plan, Subject } from './plan.ts'
import type { Loaded } from './run.ts'
import { load } from './run.ts'
import type { PaymentScenario } from './units.ts'

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
/** A scenario with more is a crowd: its crashes come one after another in the same run, for each run takes seconds. */
export const CROWD = 600
/** Lives of a node in such a run. */
const CROWDED_LIVES = 12

/** See `crossingsOf`: those while the script runs. */
export async function paymentCrossings(scenario: string, subject: Subject = { kind: 'reference' }, most = Number.POSITIVE_INFINITY): Promise<{ crossings: Crossing[]; of: number }> {
  let open = true
  return crossingsOf(await prepare(scenario, subject, () => (open = false)), () => open, most)
}

export async function cut(crossing: Crossing, subject: Subject = { kind: 'reference' }): Promise<CutRun> {
  return cutOnce(await prepare(crossing.scenario, subject), crossing, note)
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
  const armed = new Map<string, string>()
  const { result, struck, trace } = await runWithDeaths(
    { plan: { ...plan, seed }, loaded },
    (event) => {
      if (event['incarnation'] > CROWDED_LIVES) return undefined
      const { point } = random.pick(crossings)
      armed.set(event.node ?? '', `${point.site}:${point.when}`)
      return { ...point, nth: 1 + Math.floor(point.nth / (CROWDED_LIVES * (1 + 3 * random.next()))) }
    },
    (killed) => killed['site'] === armed.get(killed.node ?? ''),
    note,
  )
  return { scenario, seed, violations: violationsOf(result), crashes: struck, trace }
}

async function prepare(scenario: string, subject: Subject, over: () => void = () => {}): Promise<Prepared> {
  const plan: Plan = { scenario, mode: 'sim', seed: SEED, subject, toxics: [], invariants: ALWAYS, options: { clicks: 2, amountMinor: 9900, currency: 'USD' }, again: '' }
  const loaded = await load(plan)
  return { plan, loaded: withAftermath({ ...loaded, invariants: loaded.invariants.filter(({ name }) => name !== BROKEN_BY[scenario]) }, over) }
}

/** When the script is over, peace; then somebody asks about every order of which the last that was said is not final, so that what became of it has been. */
function withAftermath(loaded: Loaded, over: () => void): Loaded {
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
