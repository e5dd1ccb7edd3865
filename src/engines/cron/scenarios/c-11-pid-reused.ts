import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-11',
  summary: 'another program gets the process number of the dead leader: it is not taken for the leader',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  takesHours: true,
  host: true,
  async drive(world) {
    const leader = await usual(world)
    await world.clock.sleep(CALM)
    const since = world.clock.monotonic()
    await world.kill(leader)
    world.reusePid(leader)
    await world.must('leader.elected')
    const part = (world.clock.monotonic() - since) / world.ttlMs
    await world.clock.sleep(CALM)
    await world.heal()
    world.expect('the take-over is as quick as if nobody had the number', part <= 0.1, `${part.toFixed(2)} of the lease`)
  },
}
