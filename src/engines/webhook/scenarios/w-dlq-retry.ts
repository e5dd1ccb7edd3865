import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const DEAD = 100

export const scenario: WebhookScenario = {
  name: 'W-DLQ-RETRY',
  summary: 'what is replayed fails again, some of it more than once: it is tried again on the schedule like anything else, and the job counts how it ends',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    const { id: endpoint } = await world.subscribe('customer-1')
    world.mood('customer-1', { kind: 'error', status: 413 })
    const ids = await world.stream(DEAD, 100)
    await world.settled(60_000)
    world.mood('customer-1', { kind: 'reject_every', every: 2 })
    const refused = world.inbox('customer-1').length
    const job = await world.replays.ask({ filter: { dlq: true, endpoint }, who: 'operator' })
    await world.clock.sleep(20_000)
    const failed = world.inbox('customer-1').slice(refused).filter(({ status }) => status === 500).length
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('all comes to rest', await world.settled(300_000), JSON.stringify(await world.counts()))
    const after = await world.replays.show(job.id)
    world.expect('some failed again', failed > DEAD / 4, `${failed} attempts`)
    world.expect('in the end all is delivered, and counted so', after.delivered === DEAD && after.failed === 0, `${after.delivered} delivered, ${after.failed} failed again`)
    const processed = new Set(world.processed('customer-1'))
    world.expect('nothing is lost', ids.every((id) => processed.has(id)), `${processed.size} of ${ids.length}`)
  },
}
