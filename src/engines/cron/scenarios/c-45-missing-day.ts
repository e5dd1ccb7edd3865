import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { at, SLOW, slotsOf } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-45',
  summary: 'Apia had no 30 December 2011: its daily job goes from the 29th to the 31st, and what is due on the 30th is not',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'clock', mode: 'timing' }],
  takesHours: true,
  startAt: '2011-12-29T21:30:00Z',
  settings: SLOW,
  async drive(world) {
    await world.put('daily', '0 12 * * *', 'ms=10', { zone: 'Pacific/Apia' })
    await world.put('thirtieth', '0 12 30 12 *', 'ms=10', { zone: 'Pacific/Apia', gap: 'skip' })
    await world.clock.sleep(at('2011-12-30T22:30:00Z') - world.clock.now())
    await world.heal()
    world.expect('daily: the 29th and the 31st', (await slotsOf(world, 'daily')) === '2011-12-29T22:00:00Z 2011-12-30T22:00:00Z', await slotsOf(world, 'daily'))
    world.expect('the 30th: not at all', (await slotsOf(world, 'thirtieth')) === '', await slotsOf(world, 'thirtieth'))
  },
}
