import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { parseCrontab } from '../crontab.ts'
import { at, SLOW, slotsOf } from '../staging.ts'

const ZONE = 'Australia/Lord_Howe'

export const scenario: CronScenario = {
  name: 'C-43',
  summary: 'Lord Howe moves its clocks by half an hour, forward and back',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'clock', mode: 'timing' }],
  takesHours: true,
  startAt: '2026-10-03T15:10:00Z',
  settings: SLOW,
  async drive(world) {
    await world.put('gap', '15 2 * * *', 'ms=10', { zone: ZONE })
    await world.clock.sleep(at('2026-10-03T16:00:00Z') - world.clock.now())
    await world.heal()
    world.expect('02:15 does not exist: it runs at 02:30', (await slotsOf(world, 'gap')) === '2026-10-03T15:30:00Z', await slotsOf(world, 'gap'))
    const back = (overlapTime: 'first' | 'both') => {
      const crontab = parseCrontab('45 1 * * *', { zone: ZONE, overlap: overlapTime })
      const first = crontab.next(at('2026-04-04T14:00:00Z'))!
      return [first, crontab.next(first)!].map((slot) => new Date(slot).toISOString()).join(' ')
    }
    world.expect('01:45 comes twice: the first', back('first') === '2026-04-04T14:45:00.000Z 2026-04-05T15:15:00.000Z', back('first'))
    world.expect('or both, half an hour apart', back('both') === '2026-04-04T14:45:00.000Z 2026-04-04T15:15:00.000Z', back('both'))
  },
}
