import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { parseCrontab } from '../crontab.ts'
import { at, SLOW, slotsOf } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-44',
  summary: 'midnight does not exist in Beirut that night, nor in Sao Paulo in 2018: the daily job runs at one',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'clock', mode: 'timing' }],
  takesHours: true,
  startAt: '2026-03-28T21:40:00Z',
  settings: SLOW,
  async drive(world) {
    await world.put('midnight', '0 0 * * *', 'ms=10', { zone: 'Asia/Beirut' })
    await world.clock.sleep(at('2026-03-28T22:30:00Z') - world.clock.now())
    await world.heal()
    world.expect('Beirut: once, at 01:00', (await slotsOf(world, 'midnight')) === '2026-03-28T22:00:00Z', await slotsOf(world, 'midnight'))
    const paulo = parseCrontab('0 0 * * *', { zone: 'America/Sao_Paulo' }).next(at('2018-11-03T12:00:00Z'))!
    world.expect('Sao Paulo: at 01:00', paulo === at('2018-11-04T03:00:00Z'), new Date(paulo).toISOString())
  },
}
