import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'

const ROUNDS = 1000

export const scenario: CronScenario = {
  name: 'C-07',
  summary: 'two candidates at the same end of a lease, a thousand times: one epoch each, and no livelock',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'engine', mode: 'timing' }],
  takesHours: true,
  settings: { ttlMs: 500, watchMs: 50, pollMs: 5000, beatMs: 5000, workerLeaseMs: 20_000 },
  async drive(world) {
    await world.elected()
    for (let round = 0; round < ROUNDS; round++) {
      const leader = await world.elected()
      await world.kill(leader)
      await world.must('leader.elected')
      await world.restart(leader)
    }
    await world.heal()
    const epochs = world.of('leader.elected').map((event) => event['epoch'] as number)
    world.expect('every round has one winner', epochs.length === ROUNDS + 1 && new Set(epochs).size === epochs.length, `${epochs.length} elections, ${new Set(epochs).size} epochs`)
  },
}
