import type { Cost } from '../deaths.ts'
import { DEATH, die, expectCheap } from '../deaths.ts'
import type { WebhookScenario } from '../stage.ts'

const DEAD = 300
const PER_SECOND = 20
/** It must not be over before the second death, on a machine on which a new life takes seconds. */
const PER_SECOND_IN_REAL_TIME = 10

export const scenario: WebhookScenario = {
  ...DEATH,
  name: 'W-KILL-7',
  summary: 'a node dies before and after a step of a replay: another goes on where it stood, and asks nothing twice',
  async drive(world) {
    await world.subscribe('customer-1')
    const { id: endpoint } = await world.subscribe('customer-2')
    world.mood('customer-2', { kind: 'error', status: 413 })
    const ids = await world.stream(DEAD, 100)
    await world.settled(60_000)
    world.mood('customer-2', { kind: 'healthy' })
    const refused = world.inbox('customer-2').length
    const job = await world.replays.ask({ filter: { dlq: true, endpoint }, perSecond: world.inRealTime ? PER_SECOND_IN_REAL_TIME : PER_SECOND, who: 'operator' })
    world.expect('all that is dead is asked for', job.matched === DEAD, `${job.matched} of ${DEAD}`)
    const costs: Cost[] = []
    await die(world, costs, { site: 'tx:replay:step', nth: 3, when: 'before' }, 'customer-2')
    await die(world, costs, { site: 'tx:replay:step', nth: 3, when: 'after' }, 'customer-2')
    world.expect('all comes to rest', await world.settled(120_000), JSON.stringify(await world.counts()))
    const { state, queued, delivered, failed } = await world.replays.show(job.id)
    world.expect('the job counts exactly', state === 'done' && queued === DEAD && delivered === DEAD && failed === 0, `${state}: ${queued} queued, ${delivered} delivered, ${failed} failed again`)
    const again = world.inbox('customer-2').length - refused
    world.expect('none is replayed twice', again <= DEAD + costs.reduce((sum, { inFlight }) => sum + inFlight['customer-2']!, 0), `${again} requests for ${DEAD}`)
    expectCheap(world, { ids, customer: 'customer-2', costs })
  },
}
