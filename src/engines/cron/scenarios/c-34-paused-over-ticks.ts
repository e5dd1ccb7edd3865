import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-34',
  summary: 'paused over slots: each has a row that says so, and going on fires none of them',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [],
  async drive(world) {
    await world.put('tick', '* * * * * *', 'ms=20', { overlap: 'queue_all' })
    await world.elected()
    await world.clock.sleep(CALM)
    await world.registry.setPaused('tick', true)
    const from = world.clock.now()
    await world.clock.sleep(5000)
    await world.registry.setPaused('tick', false)
    const to = world.clock.now()
    await world.clock.sleep(CALM)
    await world.heal()
    const during = (await world.ticks('tick')).filter(({ slot_at }) => slot_at > from && slot_at <= to)
    world.expect('five rows say that they were skipped, none ran', during.length === 5 && during.every(({ state }) => state === 'skipped_paused'), during.map(({ state }) => state).join(' '))
  },
}
