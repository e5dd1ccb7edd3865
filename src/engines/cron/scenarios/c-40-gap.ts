import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { at, SLOW, slotsOf } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-40',
  summary: '02:30 does not exist in New York that night: shift runs it at 03:00, skip does not run it',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'clock', mode: 'timing' }],
  takesHours: true,
  startAt: '2026-03-08T06:50:00Z',
  settings: SLOW,
  async drive(world) {
    await world.put('shift', '30 2 * * *', 'ms=10', { zone: 'America/New_York', gap: 'shift' })
    await world.put('skip', '30 2 * * *', 'ms=10', { zone: 'America/New_York', gap: 'skip' })
    await world.clock.sleep(at('2026-03-08T08:30:00Z') - world.clock.now())
    await world.heal()
    world.expect('shift: once, at 03:00', (await slotsOf(world, 'shift')) === '2026-03-08T07:00:00Z', await slotsOf(world, 'shift'))
    world.expect('skip: not at all', (await slotsOf(world, 'skip')) === '', await slotsOf(world, 'skip'))
  },
}
