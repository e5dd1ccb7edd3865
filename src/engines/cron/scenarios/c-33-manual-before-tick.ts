import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { at, CALM } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-33',
  summary: 'a run is asked for just before the slot: the slot is fired all the same',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [],
  takesHours: true,
  startAt: '2030-01-01T08:59:50Z',
  async drive(world) {
    await world.put('nine', '0 9 * * *', 'ms=100', { overlap: 'queue_all' })
    await world.elected()
    await world.clock.sleep(at('2030-01-01T08:59:59.500Z') - world.clock.now())
    await world.registry.trigger('nine')
    await world.clock.sleep(CALM)
    await world.heal()
    const kinds = (await world.ticks('nine')).map(({ kind, state }) => `${kind} ${state}`)
    world.expect('both ran', kinds.sort().join(', ') === 'cron succeeded, manual succeeded', kinds.join(', '))
  },
}
