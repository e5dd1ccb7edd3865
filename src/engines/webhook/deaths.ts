/** Deaths of a node in the midst of its work, and what they cost: for the scenarios that place them. */
import type { CrashPoint } from '../../scenario.ts'
import type { WebhookScenario, WebhookStage } from './stage.ts'
import { ALWAYS } from './stage.ts'

/** The node that dies. Of two, n1 has the lanes with even numbers, n2 the others. */
export const VICTIM = 'n1'
/** Beyond the lease: a beat until the silence is seen, one until somebody acts on it, and a poll. */
const BEATS_MS = 2500
/** Beyond that in real time: what a machine adds that has other things to do, ms. */
const BUSY_MACHINE_MS = 5000
/** How long a death may be waited for, ms. */
const DEATH_WITHIN_MS = 60_000
const LOOK_EVERY_MS = 250
/** What a node had sent before it died may still be on its way: it has come when at so many looks in a row nothing new had. */
const STILL_EVERY_MS = 20
const STILL_LOOKS = 6
/** How long that may take, ms: less than until another node goes on. */
const STILL_WITHIN_MS = 5000

/** What scenarios of a death among two nodes and two customers have in common. */
export const DEATH: Omit<WebhookScenario, 'name' | 'summary' | 'drive'> = {
  engine: 'webhook',
  nodes: 2,
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  needsProcess: true,
}
/** Events a second that keep coming meanwhile. */
const PER_SECOND = 20

/** Both customers listen. */
export async function bothListen(world: WebhookStage): Promise<void> {
  await world.subscribe('customer-1')
  await world.subscribe('customer-2')
}

/** Events keep coming while `deaths` happen; then all must come to rest within `restMs`, and have cost little. Answers the ids that were accepted. `stopped` runs when no more come. */
export async function underFire(world: WebhookStage, deaths: (costs: Cost[]) => Promise<void>, restMs = 60_000, stopped: () => Promise<void> = async () => {}): Promise<readonly string[]> {
  await using flow = keepSending(world, PER_SECOND)
  const costs: Cost[] = []
  await deaths(costs)
  const ids = await flow.stop()
  await stopped()
  world.expect('all comes to rest', await world.settled(restMs), JSON.stringify(await world.counts()))
  for (const customer of world.customers) expectCheap(world, { ids, customer, costs })
  return ids
}

export interface Cost {
  site: string
  /** By customer, requests that had no end in the store when the node died, and never will: what may come twice. */
  inFlight: Readonly<Record<string, number>>
  /** From the death, or from the next life where there is no other node, until the customer is sent something again, ms. */
  resumedMs: number
  /** Of that, the most that is promised. */
  promisedMs: number
}

/**
 * One more death, which is put to `costs`. The victim dies at `point`, or at once, while events for `customer`, whose lane is the victim's, keep coming. It comes back when the customer has heard
 * something again: from another node, whose lease on patience has run out; or, where there is no other, from its next life.
 */
export async function die(world: WebhookStage, costs: Cost[], point: CrashPoint | 'now', customer: string): Promise<Cost> {
  await owned(world, customer)
  const death = world.must((event) => event.type === 'node.killed' && event.node === VICTIM, DEATH_WITHIN_MS)
  if (point === 'now') await world.kill(VICTIM)
  else world.killAt(point, VICTIM)
  const { t } = await death
  await allCame(world)
  const inFlight: Record<string, number> = {}
  for (const each of world.customers) inFlight[each] = (await inFlightAt(world, each)) - costs.reduce((sum, cost) => sum + cost.inFlight[each]!, 0)
  const next = world.until((event) => event.type === 'exchange.opened' && event['link'] === customer, DEATH_WITHIN_MS)
  const alone = world.nodes.length === 1
  let from = t
  if (alone) {
    const begun = world.must((event) => event.type === 'node.started' && event.node === VICTIM, DEATH_WITHIN_MS)
    await world.restart(VICTIM)
    from = (await begun).t
  }
  const resumedMs = Math.max(0, ((await next)?.t ?? Number.POSITIVE_INFINITY) - from)
  if (!alone) await world.restart(VICTIM)
  const cost = { site: point === 'now' ? 'now' : `${point.site}:${point.when}`, inFlight, resumedMs: Math.round(resumedMs), promisedMs: (alone ? 0 : world.settings.leaseMs) + BEATS_MS + (world.inRealTime ? BUSY_MACHINE_MS : 0) }
  costs.push(cost)
  return cost
}

/** Events that keep coming until they are stopped, or whoever asked for them ends, so many a second, to `node` or to any that lives; the answer of `stop` are the ids of those that were accepted. */
export function keepSending(world: WebhookStage, perSecond: number, node?: string): AsyncDisposable & { stop(): Promise<readonly string[]> } {
  let stopped = false
  const ids: string[] = []
  const flow = (async () => {
    const sent: Promise<void>[] = []
    for (let n = 0; !stopped; n++) {
      sent.push(world.produce({ type: 'order.created', data: { n } }, { node }).then(({ id }) => void (id !== null && ids.push(id))))
      await world.clock.sleep(1000 / perSecond)
    }
    await Promise.all(sent)
    return ids
  })()
  flow.catch(() => {}) // told by stop
  const stop = () => {
    stopped = true
    return flow
  }
  return { stop, [Symbol.asyncDispose]: () => stop().then(() => {}, () => {}) }
}

export interface Bill {
  /** Events that were accepted. */
  ids: readonly string[]
  customer: string
  costs: readonly Cost[]
  /** How many requests may have come twice for another reason. */
  allowed?: number
}

/** What a death may cost: time, and some requests twice; never an event. */
export function expectCheap(world: WebhookStage, { ids, customer, costs, allowed = 0 }: Bill): void {
  const processed = new Set(world.processed(customer))
  const lost = ids.filter((id) => !processed.has(id))
  world.expect(`nothing is lost at ${customer}`, lost.length === 0 && ids.length > 0, `${lost.length} of ${ids.length} never came${lost.length > 0 ? `: ${lost[0]}` : ''}`)
  // One that is refused comes again for that reason, and not for a death.
  const twice = world.inbox(customer).filter(({ duplicate, status }) => duplicate && status >= 200 && status < 300).length
  const most = costs.reduce((sum, { inFlight }) => sum + inFlight[customer]!, allowed)
  world.expect('what comes twice was in flight', twice <= most, `${twice} came twice, ${most} were in flight`)
  for (const { site, resumedMs, promisedMs } of costs) world.expect(`after a death at ${site} it goes on within the lease`, resumedMs <= promisedMs, `${resumedMs} ms, promised are ${promisedMs}`)
}

/** Waits until all has come that the victim, which is dead or stands still, had sent to the customers whose lanes it had: until they are another's, nobody else sends them anything. */
export async function allCame(world: WebhookStage): Promise<void> {
  const ids = await lanesOfVictim(world)
  const theirs = world.customers.filter((customer) => endpointsOf(world, customer).some((id) => ids.has(id)))
  const came = world.tally((event) => (event.type === 'connection.opened' || event.type === 'exchange.opened') && theirs.includes(event['link']))
  const until = world.clock.monotonic() + STILL_WITHIN_MS
  for (let still = 0, before = came(); still < STILL_LOOKS && world.clock.monotonic() < until; before = came()) {
    await world.clock.sleep(STILL_EVERY_MS)
    still = came() === before ? still + 1 : 0
  }
}

/** Waits until the victim has the customer's lane. */
async function owned(world: WebhookStage, customer: string): Promise<void> {
  const until = world.clock.monotonic() + DEATH_WITHIN_MS
  for (;;) {
    const ids = await lanesOfVictim(world)
    if (endpointsOf(world, customer).some((id) => ids.has(id)) || world.clock.monotonic() >= until) return
    await world.clock.sleep(LOOK_EVERY_MS)
  }
}

/** Endpoints whose lanes are the victim's, or were when it died and are nobody's yet. */
async function lanesOfVictim(world: WebhookStage): Promise<ReadonlySet<string>> {
  const rows = await world.store.transaction('look', (tx) => tx.query<{ id: string }>('SELECT e.id FROM lane l JOIN endpoint e ON e.lane = l.lane JOIN node n ON n.life = l.owner WHERE n.name = :victim', { victim: VICTIM }))
  return new Set(rows.map(({ id }) => id))
}

function endpointsOf(world: WebhookStage, customer: string): string[] {
  return world.of('endpoint.added').filter((event) => event['customer'] === customer).map((event) => event['endpoint'] as string)
}

/** Requests to a customer that have no end in the store. */
export async function inFlightAt(world: WebhookStage, customer: string): Promise<number> {
  return requestsTo(world, customer) - (await attemptsAt(world, customer))
}

/** Requests that were sent to a customer. */
export function requestsTo(world: WebhookStage, customer: string): number {
  return world.of('exchange.opened').filter((event) => event['link'] === customer).length
}

/** Attempts at a customer that are written down. */
export async function attemptsAt(world: WebhookStage, customer: string): Promise<number> {
  const [row] = await world.store.transaction('look', (tx) =>
    tx.query<{ n: number }>('SELECT COUNT(*) AS n FROM attempt a JOIN delivery d ON d.id = a.delivery JOIN endpoint p ON p.lane = d.lane WHERE p.id IN (SELECT value FROM json_each(:endpoints))', { endpoints: JSON.stringify(endpointsOf(world, customer)) }),
  )
  return row!.n
}
