import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-13',
  summary: 'a job keeps the leader\'s loop busy for two leases: it loses the lead, and what it would fire late is refused',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'job', mode: 'timing' }],
  async drive(world) {
    const leader = await usual(world)
    await world.put('hog', '@every 24h', 'block=6000,ms=10', { overlap: 'allow' })
    while (!world.of('attempt.started').some((event) => event['schedule'] === 'hog' && event.node === world.leader())) {
      await world.registry.trigger('hog')
      await world.must((event) => event.type === 'attempt.started' && event['schedule'] === 'hog')
      await world.clock.sleep(world.ttlMs / 2)
    }
    await world.clock.sleep(4 * world.ttlMs)
    await world.heal()
    const lost = world.of('leader.lost').length + world.of('leader.fenced').length
    world.expect('another node leads while the loop is blocked', world.of('leader.elected').length >= 2, `${world.of('leader.elected').length} elections, the first of ${leader}`)
    world.expect('the blocked leader finds its lead gone', lost > 0, `${lost} times`)
  },
}
