import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { DAY } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-37',
  summary: 'a database that was copied a year ago is put back: the caps hold, and the year is accounted for at once',
  engine: 'cron',
  invariants: [...ALWAYS.filter((name) => name !== 'i2-every-slot')],
  toxics: [],
  failures: [{ component: 'store', mode: 'byzantine' }],
  takesHours: true,
  startsAlone: true,
  async drive(world) {
    await world.put('minutes', '* * * * *', 'ms=5', { misfire: 'all' })
    await world.store.transaction('restore', async (tx) => {
      const back = { year: 365 * DAY }
      await tx.query('UPDATE definition SET created_at = created_at - :year', back)
      await tx.query('UPDATE schedule SET created_at = created_at - :year, cursor_at = cursor_at - :year, next_at = next_at - :year', back)
    })
    await world.startAll()
    await world.elected()
    await world.clock.sleep(30_000)
    await world.heal()
    const ticks = await world.ticks('minutes')
    const made = ticks.filter(({ reason }) => reason === 'made up for')
    world.expect('a hundred are made up for', made.length === 100 && world.effects('minutes@') <= 102, `${made.length}, ${world.effects('minutes@')} effects`)
    world.expect('few rows stand for many slots', ticks.length < 1100, `${ticks.length} rows`)
  },
}
