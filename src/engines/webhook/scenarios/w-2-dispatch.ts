import { allCame, attemptsAt, expectCheap, inFlightAt, keepSending, VICTIM } from '../deaths.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario, WebhookStage } from '../stage.ts'

const STILL_MS = 60_000
const STILL_IN_REAL_TIME_MS = 8000

export const scenario: WebhookScenario = {
  name: 'W-2-DISPATCH',
  summary: 'a node stands still for a minute with requests in flight and goes on as if nothing had been: what it says of a lane that is no longer its own is refused',
  engine: 'webhook',
  nodes: 2,
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'engine', mode: 'timing' }],
  needsProcess: true,
  async drive(world) {
    await world.subscribe('customer-1')
    await world.subscribe('customer-2')
    world.mood('customer-2', { kind: 'slow', ms: 1500 })
    await using flow = keepSending(world, 10, 'n2')
    await world.clock.sleep(5000)
    // Between two requests: one that is about to be sent is sent by whoever wakes up, and was not in flight.
    await world.must((event) => event.type === 'exchange.opened' && event['link'] === 'customer-2')
    await world.clock.sleep(20)
    // Under the lock, so that the node does not stop with it: that would stop everybody.
    await world.store.transaction('stop', async (tx) => {
      await tx.query('SELECT 1')
      world.pause(VICTIM)
    })
    await allCame(world)
    const inFlight = await inFlightAt(world, 'customer-2')
    await world.must((event) => event.type === 'lanes.taken' && event.node === 'n2', 20_000)
    world.mood('customer-2', { kind: 'healthy' })
    await world.clock.sleep(world.inRealTime ? STILL_IN_REAL_TIME_MS : STILL_MS)
    const { owner } = (await world.endpoints.list())[1]!
    const before = await endsOf(world)
    world.resume(VICTIM)
    const fenced = await world.until((event) => event.type === 'lane.fenced' && event.node === VICTIM, 10_000)
    world.expect('what it says is refused', fenced !== undefined, fenced ? 'by the fence' : 'nobody refused it')
    const after = await endsOf(world, before.at(-1)?.delivery)
    world.expect('what another has written stays', JSON.stringify(after) === JSON.stringify(before), `${before.length} attempts`)
    world.expect('another had the lane', owner !== null, String(owner))
    await world.clock.sleep(5000)
    const ids = await flow.stop()
    world.expect('all comes to rest', await world.settled(60_000), JSON.stringify(await world.counts()))
    world.expect('something was in flight', inFlight > 0, `${inFlight} requests`)
    expectCheap(world, { ids, customer: 'customer-2', costs: [], allowed: inFlight })
    const logged = await attemptsAt(world, 'customer-2')
    const seen = world.inbox('customer-2').length
    world.expect('all but those has its attempt written down', seen - logged <= inFlight, `${seen} requests, ${logged} attempts`)
  },
}

/** Ends of attempts, up to one delivery. */
function endsOf(world: WebhookStage, upTo = Number.MAX_SAFE_INTEGER): Promise<{ delivery: number; n: number; at: number; outcome: string }[]> {
  return world.store.transaction('look', (tx) => tx.query('SELECT a.delivery, a.n, a.at, a.outcome FROM attempt a JOIN delivery d ON d.id = a.delivery WHERE d.lane = 2 AND a.delivery <= :upTo ORDER BY a.delivery, a.n', { upTo }))
}
