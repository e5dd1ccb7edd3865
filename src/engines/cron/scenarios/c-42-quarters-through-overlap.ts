import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { at, SLOW, slotsOf } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-42',
  summary: 'each quarter of an hour through the hour that comes twice: eight runs in two hours, each with its own key',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'clock', mode: 'timing' }],
  takesHours: true,
  startAt: '2026-11-01T04:58:00Z',
  settings: SLOW,
  async drive(world) {
    await world.put('quarters', '*/15 * * * *', 'ms=10', { zone: 'America/New_York' })
    await world.clock.sleep(at('2026-11-01T06:55:00Z') - world.clock.now())
    await world.heal()
    const slots = (await slotsOf(world, 'quarters')).split(' ')
    world.expect('eight runs with eight keys', slots.length === 8 && new Set(slots).size === 8 && world.effects('quarters@') === 8, slots.join(' '))
  },
}
