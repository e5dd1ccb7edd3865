import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-06',
  summary: 'the leader stands still for a third of the lease: nobody takes it over',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'engine', mode: 'timing' }],
  async drive(world) {
    const leader = await usual(world)
    await world.clock.sleep(CALM)
    const elections = world.tally(({ type }) => type === 'leader.elected')
    for (let round = 0; round < 3; round++) {
      world.pause(leader)
      await world.clock.sleep(0.3 * world.ttlMs)
      world.resume(leader)
      await world.clock.sleep(world.ttlMs)
    }
    await world.heal()
    world.expect('no election', elections() === 0, `${elections()} elections`)
  },
}
