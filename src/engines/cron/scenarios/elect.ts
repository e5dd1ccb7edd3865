import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'

/** How long the reader looks at nodes that nobody hurts, ms. */
const CALM_MS = 4000
/** How long a leader stays dead, ms. */
const DEAD_MS = 3000

export const scenario: CronScenario = {
  name: 'elect',
  summary: 'three nodes lead, work, are killed and stopped; every tick takes effect once',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'engine', mode: 'timing' }],
  async drive(world) {
    await world.put('digest', '*/5 * * * * *', 'ms=350,steps=10', { overlap: 'queue_all' })
    await world.put('reports', '*/2 * * * * *', 'ms=200', { overlap: 'queue_all' })
    await world.put('cleanup', '* * * * * *', 'ms=30', { overlap: 'queue_all' })
    await world.elected()
    await world.clock.sleep(CALM_MS)
    const first = await world.elected()
    await world.kill(first)
    await world.elected()
    await world.clock.sleep(DEAD_MS)
    await world.restart(first)
    await world.clock.sleep(CALM_MS)
    const zombie = await world.elected()
    world.pause(zombie)
    await world.must(({ type, node }) => type === 'leader.elected' && node !== zombie)
    await world.clock.sleep(world.ttlMs)
    world.resume(zombie)
    await world.clock.sleep(CALM_MS)
    await world.heal()
    world.expect('the stopped leader is followed while it stands still', world.of('leader.elected').length >= 3, `${world.of('leader.elected').length} elections`)
  },
}
