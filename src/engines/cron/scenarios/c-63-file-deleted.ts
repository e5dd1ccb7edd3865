import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-63',
  summary: 'the database file is deleted under a node: it says so in one line and ends, and does not go on with nothing',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'store', mode: 'crash' }],
  refusals: ['STORE_REPLACED'],
  async drive(world) {
    const leader = await usual(world)
    await world.clock.sleep(CALM)
    world.spoil({ site: 'tx:lease:renew', nth: 1, how: 'gone' }, leader)
    const refused = await world.must('node.refused')
    await world.must('leader.elected')
    await world.clock.sleep(CALM)
    await world.heal()
    world.expect('it says what is wrong', refused.node === leader && refused['code'] === 'STORE_REPLACED', `${refused.node}: ${refused['why']}`)
  },
}
