import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-25',
  summary: 'one clock runs a fifth too fast: no two act at one time',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'clock', mode: 'timing' }],
  takesHours: true,
  drift: [1.2, 1, 1],
  async drive(world) {
    await usual(world)
    for (let round = 0; round < 6; round++) {
      await world.clock.sleep(2 * world.ttlMs)
      const leader = await world.elected()
      world.pause(leader)
      await world.clock.sleep(1.5 * world.ttlMs)
      world.resume(leader)
    }
    await world.heal()
    world.expect('each node had its turn', world.of('leader.elected').length >= 4, `${world.of('leader.elected').length} elections`)
  },
}
