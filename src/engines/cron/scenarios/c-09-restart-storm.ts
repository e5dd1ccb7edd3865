import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { usual } from '../staging.ts'

const STORM_MS = 60_000

export const scenario: CronScenario = {
  name: 'C-09',
  summary: 'five nodes, one of them killed and raised every 300 ms for a minute: nothing doubled, nothing lost, epochs grow',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  nodes: 5,
  host: true,
  async drive(world) {
    await usual(world)
    await world.elected()
    const until = world.clock.monotonic() + STORM_MS
    for (let round = 0; world.clock.monotonic() < until; round++) {
      const node = world.nodes[round % world.nodes.length]!
      await world.kill(node)
      await world.restart(node)
      await world.clock.sleep(300)
    }
    await world.heal()
    world.expect('the storm was one', world.of('node.killed').length >= 50, `${world.of('node.killed').length} kills`)
  },
}
