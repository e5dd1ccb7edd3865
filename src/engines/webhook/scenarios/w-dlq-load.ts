import { ALWAYS, percentile } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

/** A thirtieth of what an operator may well have: the time that it takes grows with it, and nothing else. */
const DEAD = 1500
const REPLAYED_PER_SECOND = 200
/** A million an hour. */
const LIVE_PER_SECOND = 278

export const scenario: WebhookScenario = {
  name: 'W-DLQ-LOAD',
  summary: 'thousands are replayed beside live traffic of a million an hour: live events are as quick as before, and the replay has the pace that was asked for',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    const { id: endpoint } = await world.subscribe('customer-1')
    world.mood('customer-1', { kind: 'error', status: 413 })
    const dead = await world.stream(DEAD, 400, (n) => ({ type: 'order.created', data: { n } }))
    await world.settled(60_000)
    world.mood('customer-1', { kind: 'healthy' })
    const before = world.clock.monotonic()
    await world.stream(LIVE_PER_SECOND * 5, LIVE_PER_SECOND)
    await world.settled(60_000)
    const baseline = percentile(world.lags('customer-1', before), 0.99)
    const job = await world.replays.ask({ filter: { dlq: true, endpoint }, perSecond: REPLAYED_PER_SECOND, who: 'operator' })
    const asked = world.clock.monotonic()
    const over = (async () => {
      while ((await world.replays.show(job.id)).state === 'running') await world.clock.sleep(100)
      return world.clock.monotonic()
    })()
    await world.stream(LIVE_PER_SECOND * (DEAD / REPLAYED_PER_SECOND), LIVE_PER_SECOND)
    const took = ((await over) - asked) / 1000
    await world.settled(60_000)
    const live = world.lags('customer-1', asked)
    const p99 = percentile(live, 0.99)
    world.expect('live events are as quick as before', p99 <= 1.5 * baseline, `p99 ${Math.round(p99)} ms, before ${Math.round(baseline)} ms`)
    const rate = DEAD / took
    world.expect('the replay has its pace', rate >= 0.9 * REPLAYED_PER_SECOND && rate <= 1.1 * REPLAYED_PER_SECOND, `${rate.toFixed(1)} a second, asked for ${REPLAYED_PER_SECOND}`)
    const { matched, queued, delivered, failed } = await world.replays.show(job.id)
    world.expect('all of it arrives', matched === DEAD && queued === DEAD && delivered === DEAD && failed === 0, `${delivered} of ${matched}`)
    const processed = new Set(world.processed('customer-1'))
    world.expect('nothing is lost', dead.every((id) => processed.has(id)), `${dead.length} events`)
  },
}
