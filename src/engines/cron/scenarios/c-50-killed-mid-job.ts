import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'

export const scenario: CronScenario = {
  name: 'C-50',
  summary: 'the worker is killed at step 6 of 10: another goes on at the step behind, and the first five are never done again',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'job', mode: 'crash' }],
  async drive(world) {
    await world.elected()
    await world.put('long', '@every 24h', 'ms=300,steps=10')
    await world.registry.trigger('long')
    const { node } = await world.must('attempt.started')
    await world.must((event) => event.type === 'attempt.checkpointed' && event['step'] === 5)
    await world.kill(node!)
    const again = await world.must('attempt.started')
    await world.must('attempt.ended')
    await world.heal()
    world.expect('attempt 2 begins behind step 5', again['step'] === 5 && again['attempt'] === 2, `behind step ${again['step']}`)
    world.expect('ten steps, ten effects', world.effects('long@') === 10, `${world.effects('long@')} effects`)
  },
}
