import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { at, CALM, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-70',
  summary: 'a deploy over nine o\'clock, old and new side by side for half a minute: nine o\'clock runs once, on one build',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [],
  takesHours: true,
  startAt: '2030-01-01T08:59:35Z',
  async drive(world) {
    await world.put('nine', '0 9 * * *', 'ms=200')
    await usual(world)
    for (const [node, when] of [['n1', '2030-01-01T08:59:45Z'], ['n2', '2030-01-01T09:00:00.020Z'], ['n3', '2030-01-01T09:00:15Z']] as const) {
      await world.clock.sleep(Math.max(0, at(when) - world.clock.now()))
      await world.deploy(node, { build: 2 })
    }
    await world.clock.sleep(CALM)
    await world.heal()
    const [tick] = await world.ticks('nine')
    world.expect('nine o\'clock ran once, and its node is on record', tick?.state === 'succeeded' && world.effects('nine@') === 1 && tick.node !== null, `${tick?.state} on ${tick?.node}, ${world.effects('nine@')} effect`)
  },
}
