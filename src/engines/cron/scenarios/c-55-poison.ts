import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-55',
  summary: 'a job kills its worker each time: after three deaths it is dead, and others are not harmed',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'job', mode: 'crash' }],
  async drive(world) {
    await usual(world)
    await world.put('poison', '@every 24h', 'ms=5000')
    await world.registry.trigger('poison')
    for (let death = 0; death < 3; death++) {
      const { node } = await world.must((event) => event.type === 'attempt.started' && event['schedule'] === 'poison')
      await world.kill(node!)
      await world.restart(node!)
    }
    await world.must((event) => event.type === 'attempt.abandoned' && event['schedule'] === 'poison' && event['state'] === 'dead')
    await world.clock.sleep(CALM)
    await world.heal()
    const [tick] = await world.ticks('poison')
    world.expect('it is dead, and says why', tick?.state === 'dead' && tick.deaths === 3, `${tick?.state}: ${tick?.reason}`)
  },
}
