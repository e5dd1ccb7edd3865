import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-62',
  summary: 'a commit goes well and its acknowledgement is lost: the second try sees its own row',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'store', mode: 'byzantine' }],
  nodes: 1,
  async drive(world) {
    const leader = await usual(world)
    await world.clock.sleep(CALM)
    for (const site of ['tx:fire', 'tx:claim', 'tx:complete', 'tx:checkpoint', 'tx:lease:renew'] as const) world.spoil({ site, nth: 1, how: 'in_doubt' }, leader)
    await world.clock.sleep(4 * CALM)
    await world.heal()
    world.expect('nothing took effect twice', world.of('resource.applied').length === new Set(world.of('resource.applied').map((event) => event['key'])).size, `${world.of('resource.applied').length} effects`)
  },
}
