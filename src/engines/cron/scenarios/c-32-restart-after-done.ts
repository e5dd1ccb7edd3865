import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'

export const scenario: CronScenario = {
  name: 'C-32',
  summary: 'every node is killed right after a tick has ended: it is not fired again',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  async drive(world) {
    await world.put('tick', '*/5 * * * * *', 'ms=20', { overlap: 'queue_all' })
    await world.elected()
    for (let round = 0; round < 3; round++) {
      await world.must('attempt.ended')
      for (const node of world.nodes) await world.kill(node)
      await world.startAll()
      await world.elected()
    }
    await world.heal()
    const again = world.of('resource.repeated').length
    const ran = (await world.ticks('tick')).filter(({ state }) => state === 'succeeded')
    world.expect('each ran once', again === 0 && ran.every(({ attempts }) => attempts === 1), `${ran.length} ticks, ${again} repeats`)
  },
}
