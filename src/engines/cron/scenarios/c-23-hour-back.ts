import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, HOUR, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-23',
  summary: 'the wall clock is set an hour back: nothing is fired again, and the cursor stays',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'clock', mode: 'timing' }],
  takesHours: true,
  async drive(world) {
    await usual(world)
    await world.clock.sleep(CALM)
    const cursor = async () => (await world.registry.list()).map(({ cursor_at }) => cursor_at).join(' ')
    for (const node of world.nodes) world.step(node, -HOUR)
    await world.clock.sleep(1000)
    const before = await cursor()
    const recorded = world.tally(({ type }) => type === 'tick.recorded')
    await world.clock.sleep(10_000)
    world.expect('nothing is fired', recorded() === 0, `${recorded()} ticks`)
    world.expect('the cursor stays', (await cursor()) === before, before)
    for (const node of world.nodes) world.step(node, HOUR)
    await world.clock.sleep(CALM)
    world.expect('it goes on when the time has come', recorded() > 0, `${recorded()} ticks`)
    await world.heal()
  },
}
