import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { at, CALM } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-02',
  summary: 'the leader dies 200 ms before nine o\'clock: the nine o\'clock tick runs once, a little late',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  takesHours: true,
  startAt: '2030-01-01T08:59:50Z',
  async drive(world) {
    await world.put('nine', '0 9 * * *', 'ms=50')
    await world.elected()
    await world.clock.sleep(at('2030-01-01T08:59:59.800Z') - world.clock.now())
    await world.kill(world.leader()!)
    await world.must('leader.elected')
    await world.clock.sleep(CALM)
    await world.heal()
    const [tick] = await world.ticks('nine')
    const late = tick ? tick.recorded_at - tick.slot_at : 0
    world.expect('nine o\'clock runs once, late by a take-over', tick?.state === 'succeeded' && late > 0 && world.effects('nine@') === 1, `${tick?.state}, ${late} ms late`)
    world.expect('how late is on record', world.of('tick.recorded').some((event) => event['schedule'] === 'nine' && event['lateMs'] === late), `lateMs ${late}`)
  },
}
