/**
 * A bank in a storm, and the customers who walk into it.
 *
 *   ├── calm ──┤├───────── storm ─────────┤├── after ──┤├── whoever was told "pending" asks on, until he knows ──┤
 *
 * Customers come by chance, so many a second on average, and ask once; only where shops try again does somebody who is told "later". Each seed has a rate of its own and a
 * bank of its own, up to half more or less than the plan says. What became of them is said in `storm.measured`.
 */
import type { Event } from '../../events.ts'
import type { Scenario, Weather, World } from '../../scenario.ts'
import type { PaymentAdapter, PayOrder } from './adapter.ts'
import type { Reply } from './shop.ts'
import { Shop } from './shop.ts'

export interface StormPlan {
  /** Customers a second, on average over all seeds. */
  perSecond: number
  calmMs: number
  stormMs: number
  afterMs: number
  /** Of the bank in the storm, on average over all seeds. */
  slots: number
  /** Processes of clients, each of which asks again for whoever is told "later", a few times. Absent: nobody does. */
  shops?: number
  /** What must come of every seed: the least part of the payments that any policy could have had paid in time. */
  leastOfMost: number
}

/** Shares are of customers who came in the storm, unless they say otherwise; 0..1. */
export interface StormFigures {
  customers: number
  inStorm: number
  perSecond: number
  slots: number
  /** Told "charged" within the deadline. */
  paid: number
  /** Told that they were not charged and may come again. */
  notCharged: number
  pending: number
  /** Told nothing in time, or something else. */
  failed: number
  /** The most that any policy could have had paid within the deadline, also one that knows the future. */
  most: number
  /** `paid` of `most`. */
  ofMost: number
  /** Charge requests that reached the bank for each payment that was asked for, until the last customer came, and until the last knew. */
  amplification: number
  callsPerPayment: number
  /** Of the customers who came when the storm was over: told "charged" within the deadline; and of those from RECOVERY_MS on. */
  paidAfter: number
  paidRecovered: number
  /** Whoever still did not know at the end. */
  unresolved: number
  /** Of slot time in the storm: used at all, and used for calls whose payers were told in time. */
  slotsBusy: number
}

/** What half of a bank's works come to on a Black Friday. */
const HALF_FAILING = { queue: 1_000_000, latency: { p50: 1200, p99: 10_000 }, failing: 0.5, failsAtOnce: 0.5, failsAfterMs: 10_000 }
/** How often a shop asks in all, and how long it waits before the first repeat at most; each further one up to twice as long. */
const SHOP_TRIES = 4
const SHOP_WAIT_MS = 1000
/** By how much a seed differs from the plan, up or down. */
const VARIED = 0.5
/** When all must be well again after a storm. */
const RECOVERY_MS = 5000
/** Between two questions of a customer who does not know: from the first to the second. */
const ASK_FROM_MS = 2000
const ASK_TO_MS = 15_000
/** Somebody who does not know after this never will. */
const ASK_FOR_MS = 900_000

type Phase = 'calm' | 'storm' | 'after'

interface Visit {
  phase: Phase
  /** When the customer came, ms since the first could have. */
  at: number
  first: Reply
  ms: number
  last: Reply['told']
}

/** Drives it, says what became of all, and holds it against what must come of it. */
export async function driveStorm(world: World<PaymentAdapter>, plan: StormPlan): Promise<StormFigures> {
  const { clock, adapter } = world
  const chance = world.random.fork('storm')
  const varied = (mean: number) => mean * (1 - VARIED + 2 * VARIED * chance.next())
  const perSecond = varied(plan.perSecond)
  const weather: Weather = { ...HALF_FAILING, slots: Math.round(varied(plan.slots)), seed: chance.int(1, 1_000_000) }
  const bank = watchBank(world)
  const shop = new Shop(world)
  const begun = clock.monotonic()
  const visits: Promise<Visit>[] = []
  const phase = async (name: Phase, ms: number) => {
    const end = clock.monotonic() + ms
    for (;;) {
      const wait = (-Math.log(1 - chance.next()) * 1000) / perSecond
      if (clock.monotonic() + wait >= end) return clock.sleep(end - clock.monotonic())
      await clock.sleep(wait)
      visits.push(visit(world, shop, shop.order(), name, clock.monotonic() - begun, plan.shops === undefined ? undefined : visits.length % plan.shops))
    }
  }
  await phase('calm', plan.calmMs)
  world.weather('bank', weather)
  const stormed = clock.monotonic() - begun
  await phase('storm', plan.stormMs)
  world.weather('bank', null)
  const over = clock.monotonic() - begun
  await phase('after', plan.afterMs)
  const askedSoFar = bank.asked
  const all = await Promise.all(visits)

  const inTime = ({ first, ms }: Visit) => first.told === 'charged' && ms <= adapter.deadlineMs
  const stormy = all.filter((one) => one.phase === 'storm')
  const after = all.filter((one) => one.phase === 'after')
  const share = (of: Visit[], counts: (visit: Visit) => boolean) => (of.length === 0 ? 0 : of.filter(counts).length / of.length)
  const told = (word: Reply['told']) => share(stormy, ({ first }) => first.told === word)
  const most = world.mostInTime(weather, stormy.map(({ at }) => at), adapter.deadlineMs)
  const paid = share(stormy, inTime)
  const figures: StormFigures = {
    customers: all.length,
    inStorm: stormy.length,
    perSecond: Math.round(perSecond),
    slots: weather.slots,
    paid,
    notCharged: told('not_charged'),
    pending: told('pending'),
    failed: 1 - paid - told('not_charged') - told('pending'),
    most: stormy.length === 0 ? 0 : most / stormy.length,
    ofMost: most === 0 ? 0 : (paid * stormy.length) / most,
    amplification: askedSoFar / all.length,
    callsPerPayment: bank.asked / all.length,
    paidAfter: share(after, inTime),
    paidRecovered: share(after.filter(({ at }) => at >= over + RECOVERY_MS), inTime),
    unresolved: all.filter(({ last }) => last === 'pending' || last === 'nothing').length,
    slotsBusy: bank.busyMs(stormed + begun, over + begun) / (weather.slots * (over - stormed)),
  }
  world.note('storm.measured', Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Math.round(value * 10_000) / 10_000])))
  return figures
}

/** Black Friday as a scenario. */
export function blackFriday(facts: Pick<Scenario<PaymentAdapter>, 'name' | 'summary'>, plan: StormPlan): Scenario<PaymentAdapter> {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`
  return {
    ...facts,
    engine: 'payment',
    invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
    toxics: [],
    failures: [{ component: 'bank', mode: 'timing' }, { component: 'bank', mode: 'omission' }],
    async drive(world) {
      const { ofMost, paid, most, amplification, paidRecovered, unresolved } = await driveStorm(world, plan)
      world.expect(`at least ${percent(plan.leastOfMost)} of the payments that any policy could have had paid in time are paid in time`, ofMost >= plan.leastOfMost, `${percent(ofMost)}: ${percent(paid)} of the customers, and ${percent(most)} were possible`)
      world.expect('the bank is asked no more than 1.1 times for each payment', amplification <= 1.1, `${amplification.toFixed(2)} times`)
      world.expect('five seconds after the storm at least 95 % are paid in time', paidRecovered >= 0.95, percent(paidRecovered))
      world.expect('every unknown outcome is known in the end', unresolved === 0, `${unresolved} are not`)
    },
  }
}

async function visit(world: World<PaymentAdapter>, shop: Shop, order: PayOrder, phase: Phase, at: number, process: number | undefined): Promise<Visit> {
  const { clock, random } = world
  const client = process === undefined ? 'customer' : `shop ${process + 1}`
  const start = clock.monotonic()
  const first = await shop.pay(order, client)
  const ms = clock.monotonic() - start
  let last = first.told
  for (let tries = 2; process !== undefined && last === 'not_charged' && tries <= SHOP_TRIES; tries++) {
    await clock.sleep(random.next() * SHOP_WAIT_MS * 2 ** (tries - 2))
    last = (await shop.pay(order, client)).told
  }
  for (let wait = ASK_FROM_MS; (last === 'pending' || last === 'nothing') && clock.monotonic() - start < ASK_FOR_MS; wait = Math.min(ASK_TO_MS, 2 * wait)) {
    await clock.sleep(wait)
    last = (await shop.ask(order, client)).told
  }
  return { phase, at, first, ms, last }
}

/** Counts what the bank is asked, and adds up how long its slots are taken. */
function watchBank(world: World<PaymentAdapter>) {
  const works: { begunAt: number; endedAt: number }[] = []
  const offsetMs = world.clock.monotonic()
  let asked = 0
  let first: number | undefined
  world.tally((event: Event) => {
    first ??= event.t
    if (event.type === 'bank.received' && event['ask'] === 'charge') asked++
    if (event.type === 'bank.worked') works.push({ begunAt: event.t - event['ms'] - first + offsetMs, endedAt: event.t - first + offsetMs })
    return false
  })
  return {
    get asked() {
      return asked
    },
    busyMs: (from: number, to: number) => works.reduce((sum, { begunAt, endedAt }) => sum + Math.max(0, Math.min(to, endedAt) - Math.max(from, begunAt)), 0),
  }
}
