import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-61',
  summary: 'the disk is full when the leader fires, renews and a run ends: nothing is lost, all is made up for',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'store', mode: 'omission' }],
  nodes: 1,
  async drive(world) {
    const leader = await usual(world)
    await world.clock.sleep(CALM)
    for (const [site, times] of [['tx:fire', 3], ['tx:lease:renew', 4], ['tx:complete', 2], ['tx:checkpoint', 1]] as const) {
      for (let nth = 1; nth <= times; nth++) world.spoil({ site, nth, how: 'full' }, leader)
    }
    await world.clock.sleep(6 * CALM)
    await world.heal()
  },
}
