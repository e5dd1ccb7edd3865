import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { at, SLOW, slotsOf } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-41',
  summary: '01:30 comes twice in New York that night: first, last, or both',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'clock', mode: 'timing' }],
  takesHours: true,
  startAt: '2026-11-01T04:50:00Z',
  settings: SLOW,
  async drive(world) {
    for (const overlapTime of ['first', 'last', 'both'] as const) await world.put(overlapTime, '30 1 * * *', 'ms=10', { zone: 'America/New_York', overlapTime })
    await world.clock.sleep(at('2026-11-01T07:30:00Z') - world.clock.now())
    await world.heal()
    world.expect('first', (await slotsOf(world, 'first')) === '2026-11-01T05:30:00Z', await slotsOf(world, 'first'))
    world.expect('last', (await slotsOf(world, 'last')) === '2026-11-01T06:30:00Z', await slotsOf(world, 'last'))
    world.expect('both', (await slotsOf(world, 'both')) === '2026-11-01T05:30:00Z 2026-11-01T06:30:00Z', await slotsOf(world, 'both'))
  },
}
