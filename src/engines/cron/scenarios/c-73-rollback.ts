import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, ending, statesOf, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-73',
  summary: 'a roll-back with ticks of the newer generation in the queue: old code holds them, and does not run them',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [],
  async drive(world) {
    await usual(world)
    for (const node of world.nodes) await world.deploy(node, { build: 2 })
    await world.put('work', '@every 24h', 'ms=20', {}, 2)
    for (const node of world.nodes) await world.deploy(node, { build: 1 })
    await world.registry.trigger('work')
    await world.clock.sleep(2 * CALM)
    const held = await statesOf(world, 'work')
    for (const node of world.nodes) await world.deploy(node, { build: 2 })
    const done = await ending(world, 'work')
    await world.heal()
    world.expect('held by the old build', held === 'queued', held)
    world.expect('run by the new one', done['state'] === 'succeeded', String(done['state']))
  },
}
