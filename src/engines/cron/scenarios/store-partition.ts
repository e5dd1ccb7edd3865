import type { CronScenario } from '../stage.ts'
import { ALWAYS } from '../stage.ts'
import { CALM, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'store-partition',
  summary: 'the leader cannot reach the store for three leases, and its jobs still reach the resource: it lets go, and nothing takes effect twice',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'network', mode: 'omission' }],
  takesHours: true,
  async drive(world) {
    const leader = await usual(world)
    await world.clock.sleep(CALM)
    await world.must(({ type, node }) => type === 'attempt.started' && node === leader)
    world.partition(leader, true)
    const since = world.clock.monotonic()
    const lost = await world.must(({ type, node }) => type === 'leader.lost' && node === leader)
    const lostMs = world.clock.monotonic() - since
    await world.must(({ type, node }) => type === 'leader.elected' && node !== leader)
    await world.clock.sleep(2 * world.ttlMs)
    world.partition(leader, false)
    await world.clock.sleep(2 * CALM)
    await world.heal()
    world.expect('the leader lets go before its lease has run out', lostMs <= world.ttlMs, `after ${Math.round(lostMs)} ms: ${lost['why']}`)
    world.expect('what it was running is taken by another', world.of('attempt.abandoned').length > 0, `${world.of('attempt.abandoned').length} runs`)
  },
}
