import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'

export const scenario: CronScenario = {
  name: 'C-51',
  summary: 'a worker stands still for longer than its lease: attempt 2 runs, and what the first writes when it wakes up is refused',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'job', mode: 'timing' }],
  async drive(world) {
    await world.elected()
    await world.put('long', '@every 24h', 'ms=1000,steps=4')
    await world.registry.trigger('long')
    const { node } = await world.must('attempt.started')
    await world.must('attempt.checkpointed')
    world.pause(node!)
    const again = await world.must('attempt.started')
    await world.clock.sleep(500)
    const fenced = world.tally((event) => event.node === node && event.type === 'attempt.fenced')
    world.resume(node!)
    await world.must((event) => event.type === 'attempt.ended')
    await world.heal()
    world.expect('another node runs attempt 2', again.node !== node && again['attempt'] === 2, `${again.node}, attempt ${again['attempt']}`)
    world.expect('the first one is fenced', fenced() > 0, `${fenced()} times`)
    world.expect('four steps, four effects', world.effects('long@') === 4, `${world.effects('long@')} effects`)
  },
}
