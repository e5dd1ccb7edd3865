import { inFlightAt, requestsTo } from '../deaths.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const EVENTS = 100
const DRAIN_MS = 10_000
/** Ends while the node drains, and does not. */
const QUICK_MS = 2000
const SLOW_MS = 13_000

export const scenario: WebhookScenario = {
  name: 'W-SHUTDOWN',
  summary: 'a node is told to end with requests in flight: what ends in time is written down, the rest is let go within ten seconds, and only that comes twice',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'engine', mode: 'omission' }],
  needsProcess: true,
  settings: { drainMs: DRAIN_MS },
  async drive(world) {
    await world.subscribe('customer-1')
    await world.subscribe('customer-2')
    world.mood('customer-1', { kind: 'slow', ms: QUICK_MS })
    world.mood('customer-2', { kind: 'slow', ms: SLOW_MS })
    const ids = await world.stream(EVENTS, 50)
    await world.clock.sleep(500)
    const begun = requestsTo(world, 'customer-1')
    const flying = { 'customer-1': await inFlightAt(world, 'customer-1'), 'customer-2': await inFlightAt(world, 'customer-2') }
    const from = world.clock.monotonic()
    await world.terminate('n1')
    const tookMs = world.clock.monotonic() - from
    world.expect('something was in flight', flying['customer-1'] > 0 && flying['customer-2'] > 0, JSON.stringify(flying))
    world.expect('it ends within ten seconds', tookMs <= DRAIN_MS + 500, `${Math.round(tookMs)} ms`)
    world.expect('and begins nothing more', requestsTo(world, 'customer-1') === begun, `${requestsTo(world, 'customer-1') - begun} requests`)
    world.expect('what ended in time is written down', (await inFlightAt(world, 'customer-1')) === 0, `${await inFlightAt(world, 'customer-1')} are not`)
    const owners = (await world.endpoints.list()).filter(({ owner }) => owner !== null).length
    world.expect('its lanes are free', owners === 0, `${owners} are not`)
    world.mood('customer-2', { kind: 'healthy' })
    await world.restart('n1')
    world.expect('all comes to rest', await world.settled(60_000), JSON.stringify(await world.counts()))
    const processed = world.customers.map((customer) => new Set(world.processed(customer)))
    world.expect('nothing is lost', processed.every((set) => ids.every((id) => set.has(id))), `${ids.length} events`)
    for (const customer of world.customers) {
      const most = customer === 'customer-1' ? 0 : flying['customer-2']
      const twice = world.inbox(customer).filter(({ duplicate }) => duplicate).length
      world.expect(`at ${customer} only what was cut off comes twice`, twice <= most, `${twice} came twice, ${most} were cut off`)
    }
  },
}
