import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-60',
  summary: 'the store is locked for ten seconds: nothing is fired, the leader lets go in time, and all is made up for',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'store', mode: 'omission' }],
  takesHours: true,
  async drive(world) {
    const leader = await usual(world)
    await world.clock.sleep(CALM)
    const since = world.clock.monotonic()
    const lost = world.until(({ type, node }) => type === 'leader.lost' && node === leader, 10_000).then((event) => event && world.clock.monotonic() - since)
    const recorded = world.tally(({ type }) => type === 'tick.recorded')
    await world.lockStore(10_000)
    const during = recorded()
    const lostMs = await lost
    await world.clock.sleep(2 * CALM)
    await world.heal()
    world.expect('nothing is fired meanwhile', during === 0, `${during} ticks`)
    world.expect('the leader lets go when its trust ends', lostMs !== undefined && lostMs <= world.ttlMs, `after ${Math.round(lostMs ?? 0)} ms`)
    world.expect('all is made up for', recorded() >= 10, `${recorded()} ticks afterwards`)
  },
}
