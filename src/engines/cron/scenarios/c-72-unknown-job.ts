import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, ending, statesOf, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-72',
  summary: 'an old build does not know a job: the tick waits for a node that does, and has not failed',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [],
  async drive(world) {
    await world.put('new', '@every 24h', 'ms=20,needs=2')
    await usual(world)
    await world.registry.trigger('new')
    await world.clock.sleep(2 * CALM)
    const waits = await statesOf(world, 'new')
    await world.deploy('n2', { build: 2 })
    const done = await ending(world, 'new')
    await world.heal()
    world.expect('it waits while nobody knows it', waits === 'queued', waits)
    world.expect('the new build runs it', done.node === 'n2' && done['state'] === 'succeeded', `${done['state']} on ${done.node}`)
  },
}
