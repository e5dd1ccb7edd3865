import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, DAY, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-24',
  summary: 'the wall clock is set a day ahead: everything is held and an alarm is given, until it is set right',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'clock', mode: 'timing' }],
  takesHours: true,
  async drive(world) {
    await usual(world)
    await world.clock.sleep(CALM)
    for (const node of world.nodes) world.step(node, DAY)
    await world.clock.sleep(2000)
    const recorded = world.tally(({ type }) => type === 'tick.recorded')
    await world.clock.sleep(10_000)
    const alarms = world.of('clock.jumped').filter((event) => event['holding'] === true)
    world.expect('nothing is fired for a day that was not', recorded() === 0, `${recorded()} ticks`)
    world.expect('somebody is told', alarms.length > 0, `${alarms.length} alarms`)
    for (const node of world.nodes) world.step(node, -DAY)
    await world.clock.sleep(CALM)
    world.expect('it goes on when the clock is right', recorded() > 0, `${recorded()} ticks`)
    await world.heal()
  },
}
