import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-10',
  summary: 'three nodes start at once on a database without a table: all come up, one leads',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [],
  startsAlone: true,
  async drive(world) {
    await world.startAll()
    await world.elected()
    await world.put('tick', '* * * * * *', 'ms=20', { overlap: 'queue_all' })
    await world.clock.sleep(CALM)
    await world.heal()
    world.expect('all have joined, one leads', new Set(world.of('node.joined').map(({ node }) => node)).size === world.nodes.length && world.of('leader.elected').length === 1, `${world.of('node.joined').length} joined, ${world.of('leader.elected').length} election`)
  },
}
