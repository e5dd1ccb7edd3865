import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'

/** How long the reader looks at nodes that nobody hurts, ms. */
const CALM_MS = 4000
/** How long a leader is waited for, leases: the reader's keys may have left nobody to lead. */
const PATIENCE = 2
/** How long a leader stays dead, ms. */
const DEAD_MS = 3000

export const scenario: CronScenario = {
  name: 'elect',
  summary: 'three nodes lead, work, are killed and stopped; every tick takes effect once',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'engine', mode: 'timing' }],
  async drive(world) {
    await world.put('digest', '*/5 * * * * *', 'ms=350,steps=10', { overlap: 'queue_all' })
    await world.put('reports', '*/2 * * * * *', 'ms=200', { overlap: 'queue_all' })
    await world.put('cleanup', '* * * * * *', 'ms=30', { overlap: 'queue_all' })
    const someoneElse = (than: string | undefined) => world.until(({ type, node }) => type === 'leader.elected' && node !== than, PATIENCE * world.ttlMs)
    await world.elected()
    await world.clock.sleep(CALM_MS)
    const first = world.leader()
    if (first !== undefined) {
      await world.kill(first)
      await someoneElse(first)
      await world.clock.sleep(DEAD_MS)
      await world.restart(first)
    }
    await world.clock.sleep(CALM_MS)
    const zombie = world.leader()
    if (zombie !== undefined) {
      world.pause(zombie)
      await someoneElse(zombie)
      await world.clock.sleep(world.ttlMs)
      world.resume(zombie)
    }
    await world.clock.sleep(CALM_MS)
    await world.heal()
  },
}
