import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-08',
  summary: 'the leader is told to end: it gives the lead back at once, lets its run come to its end, and a successor leads',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [],
  settings: { watchMs: 50 },
  async drive(world) {
    await world.put('tick', '* * * * * *', 'ms=700', { overlap: 'queue_all' })
    const leader = await world.elected()
    await world.must(({ type, node }) => type === 'attempt.started' && node === leader)
    const since = world.clock.monotonic()
    const gone = world.terminate(leader)
    await world.must('leader.elected')
    const ms = world.clock.monotonic() - since
    await gone
    await world.clock.sleep(CALM)
    await world.heal()
    const [resigned] = world.of('leader.resigned')
    world.expect('the successor leads within a tenth of the lease', ms <= world.ttlMs / 10, `${Math.round(ms)} ms`)
    world.expect('the lead was given back, nothing was abandoned', resigned?.node === leader && world.of('attempt.abandoned').length === 0, `${world.of('attempt.abandoned').length} abandoned`)
  },
}
