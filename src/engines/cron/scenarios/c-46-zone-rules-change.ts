import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { at, CALM, HOUR, SLOW, slotsOf } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-46',
  summary: 'the rules of a time zone change with an update: the next slot is computed anew, and somebody is told',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'clock', mode: 'timing' }],
  takesHours: true,
  startAt: '2026-03-29T05:30:00Z',
  settings: SLOW,
  async drive(world) {
    await world.put('nine', '0 9 * * *', 'ms=10', { zone: 'Asia/Beirut' })
    await world.elected()
    await world.clock.sleep(CALM)
    for (const node of world.nodes) await world.kill(node)
    // What a program with older rules had written: summer time an hour later.
    await world.store.transaction('older rules', (tx) => tx.query('UPDATE schedule SET next_at = next_at + :hour', { hour: HOUR }))
    await world.startAll()
    await world.clock.sleep(at('2026-03-29T06:30:00Z') - world.clock.now())
    await world.heal()
    const [told] = world.of('schedule.recomputed')
    world.expect('the next slot is computed anew', told?.['to'] === at('2026-03-29T06:00:00Z') && told['from'] === at('2026-03-29T07:00:00Z'), JSON.stringify(told?.['to'] ?? null))
    world.expect('nine o\'clock is nine o\'clock', (await slotsOf(world, 'nine')) === '2026-03-29T06:00:00Z', await slotsOf(world, 'nine'))
  },
}
