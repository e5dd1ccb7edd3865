import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'

export const scenario: CronScenario = {
  name: 'C-03',
  summary: 'the leader dies after the tick is committed and before anybody runs it: the same row is picked up by another',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  async drive(world) {
    const leader = await world.elected()
    const slot = Math.ceil((world.clock.now() + 2000) / 5000) * 5000
    await world.put('tick', '*/5 * * * * *', 'ms=50', { overlap: 'queue_all' })
    await world.clock.sleep(slot - 100 - world.clock.now())
    world.killAt({ site: 'tx:fire', nth: 1, when: 'after' }, leader)
    await world.must('node.killed')
    await world.must('attempt.ended')
    await world.heal()
    const [tick] = await world.ticks('tick')
    const [first] = world.of('leader.elected')
    world.expect('the row is of the dead leader, the run of another node', tick?.epoch === first?.['epoch'] && tick?.state === 'succeeded' && tick.node !== leader && tick.attempts === 1, `epoch ${tick?.epoch}, ${tick?.state} on ${tick?.node}`)
  },
}
