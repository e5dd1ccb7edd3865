import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'

export const scenario: CronScenario = {
  name: 'C-74',
  summary: 'a node is drained in the middle of a job, for less time than the job needs: it gives the run back, and another goes on behind its last step',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [],
  settings: { drainMs: 1000 },
  async drive(world) {
    await world.elected()
    await world.put('long', '@every 24h', 'ms=400,steps=10')
    await world.registry.trigger('long')
    const { node } = await world.must('attempt.started')
    await world.must((event) => event.type === 'attempt.checkpointed' && event['step'] === 3)
    await world.terminate(node!)
    const again = world.of('attempt.started')[1] ?? (await world.must('attempt.started'))
    await world.must((event) => event.type === 'attempt.ended' && event['state'] === 'succeeded')
    await world.heal()
    const [tick] = await world.ticks('long')
    world.expect('another node goes on behind a step that was committed', again.node !== node && (again['step'] as number) >= 3, `${again.node}, behind step ${again['step']}`)
    world.expect('a drain is no failure', tick?.attempts === 1 && tick.deaths === 0, `attempt ${tick?.attempts}, ${tick?.deaths} deaths`)
    world.expect('ten steps, ten effects', world.effects('long@') === 10, `${world.effects('long@')} effects`)
  },
}
