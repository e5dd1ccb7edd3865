import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'

export const scenario: CronScenario = {
  name: 'C-35',
  summary: 'a schedule is edited while a tick waits: the tick keeps the old definition, the next follows the new one',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [],
  async drive(world) {
    await world.put('report', '*/4 * * * * *', 'ms=6000,steps=1', { overlap: 'queue_all' })
    await world.elected()
    await world.must('attempt.started')
    await world.must(({ type, ...event }) => type === 'tick.recorded' && event['schedule'] === 'report')
    await world.put('report', '*/4 * * * * *', 'ms=20', { overlap: 'queue_all' })
    await world.clock.sleep(8000)
    await world.heal()
    const ticks = await world.ticks('report')
    const [old, young] = [ticks.filter(({ generation }) => generation === 1), ticks.filter(({ generation }) => generation === 2)]
    const steps = (tick: (typeof ticks)[number]) => world.effects(`report@${new Date(tick.slot_at).toISOString().replace('.000Z', 'Z')}/`)
    world.expect('what was due before has steps, what came after has none', old.length >= 2 && old.every((tick) => steps(tick) === 1) && young.some(({ state }) => state === 'succeeded') && young.every((tick) => steps(tick) === 0), `${old.length} of generation 1, ${young.length} of generation 2`)
  },
}
