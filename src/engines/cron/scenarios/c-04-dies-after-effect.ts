import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'

export const scenario: CronScenario = {
  name: 'C-04',
  summary: 'the worker dies after the effect and before it is written down: attempt 2 has the same key, and the effect stays one',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'job', mode: 'crash' }],
  async drive(world) {
    await world.elected()
    await world.put('pay', '@every 24h', 'ms=300')
    await world.registry.trigger('pay')
    const { node } = await world.must('attempt.started')
    world.killAt({ site: 'tx:complete', nth: 1, when: 'before' }, node!)
    await world.must('node.killed')
    await world.must('attempt.ended')
    await world.heal()
    const [tick] = await world.ticks('pay')
    world.expect('attempt 2 succeeds', tick?.state === 'succeeded' && tick.attempts === 2, `${tick?.state} at attempt ${tick?.attempts}`)
    world.expect('the resource told the repeat apart', world.effects('pay@') === 1 && world.of('resource.repeated').length === 1, `${world.effects('pay@')} effect, ${world.of('resource.repeated').length} naive duplicate`)
  },
}
