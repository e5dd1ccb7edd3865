import type { Cost } from '../deaths.ts'
import { die, expectCheap, keepSending } from '../deaths.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const DEATHS = 30
const DEATHS_IN_REAL_TIME = 5
const EVERY_MS = 2000

export const scenario: WebhookScenario = {
  name: 'W-KILL-LOOP',
  summary: "the only node is killed every two seconds for a minute: all arrives, and no message dies of its node's deaths",
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  needsProcess: true,
  async drive(world) {
    await world.subscribe('customer-1')
    world.mood('customer-1', { kind: 'slow', ms: 300 })
    await using flow = keepSending(world, 20)
    const costs: Cost[] = []
    const deaths = world.inRealTime ? DEATHS_IN_REAL_TIME : DEATHS
    for (let n = 0; n < deaths; n++) {
      await world.clock.sleep(EVERY_MS)
      await die(world, costs, 'now', 'customer-1')
    }
    const ids = await flow.stop()
    world.expect('all comes to rest', await world.settled(60_000), JSON.stringify(await world.counts()))
    const { delivered, dead } = (await world.counts()) as { delivered: number; dead: number }
    world.expect('none is dead', dead === 0 && delivered >= ids.length, `${delivered} delivered, ${dead} dead`)
    world.expect('something was in flight each time', costs.filter(({ inFlight }) => inFlight['customer-1']! > 0).length > deaths / 2, costs.map(({ inFlight }) => inFlight['customer-1']).join(' '))
    expectCheap(world, { ids, customer: 'customer-1', costs })
  },
}
