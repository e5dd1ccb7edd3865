import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { parseCrontab } from '../crontab.ts'
import { usual } from '../staging.ts'

const SCHEDULES = 100_000

export const scenario: CronScenario = {
  name: 'C-39',
  summary: 'a hundred thousand daily schedules with H: no minute of the hour has half more than its share',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [],
  async drive(world) {
    const minutes = new Map<number, number>()
    for (let n = 0; n < SCHEDULES; n++) {
      const slot = parseCrontab('H 0 * * *', { name: `daily-${n}` }).next(world.clock.now())!
      minutes.set(slot, (minutes.get(slot) ?? 0) + 1)
    }
    const most = Math.max(...minutes.values())
    const mean = SCHEDULES / 60
    world.expect('the fullest minute has at most one and a half of the mean', minutes.size === 60 && most / mean <= 1.5, `${minutes.size} minutes, ${(most / mean).toFixed(2)}`)
    await usual(world)
    await world.heal()
  },
}
