import type { Cost } from '../deaths.ts'
import { die, expectCheap } from '../deaths.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const DEAD = 1000

export const scenario: WebhookScenario = {
  name: 'W-DLQ-KILL',
  summary: 'the only node dies again and again during a replay: it goes on where it stood, and no message is asked for twice in one job',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  needsProcess: true,
  async drive(world) {
    const { id: endpoint } = await world.subscribe('customer-1')
    world.mood('customer-1', { kind: 'error', status: 413 })
    const ids = await world.stream(DEAD, 200)
    await world.settled(60_000)
    world.mood('customer-1', { kind: 'healthy' })
    const refused = world.inbox('customer-1').length
    const job = await world.replays.ask({ filter: { dlq: false, endpoint }, perSecond: 50, newestFirst: true, who: 'operator' })
    const costs: Cost[] = []
    for (const site of ['tx:replay:step', 'tx:finish', 'tx:claim']) for (const when of ['before', 'after'] as const) await die(world, costs, { site, nth: 2, when }, 'customer-1')
    world.expect('all comes to rest', await world.settled(120_000), JSON.stringify(await world.counts()))
    const { state, matched, queued, delivered, failed } = await world.replays.show(job.id)
    world.expect('each was asked for once', state === 'done' && matched === DEAD && queued === DEAD && delivered === DEAD && failed === 0, `${state}: ${matched} matched, ${queued} queued, ${delivered} delivered, ${failed} failed again`)
    const again = world.inbox('customer-1').length - refused
    const inFlight = costs.reduce((sum, cost) => sum + cost.inFlight['customer-1']!, 0)
    world.expect('what comes twice was in flight when it died', again <= DEAD + inFlight, `${again} requests for ${DEAD}, ${inFlight} in flight`)
    expectCheap(world, { ids, customer: 'customer-1', costs })
  },
}
