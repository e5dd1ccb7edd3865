import type { CronScenario } from '../stage.ts'
import { at, fill } from '../staging.ts'

const SCHEDULES = 100_000

export const scenario: CronScenario = {
  name: 'C-38',
  summary: 'a hundred thousand schedules are due in one minute: all are in the ledger, the queue of the workers stays bounded, the leader keeps its lead',
  engine: 'cron',
  invariants: ['i1-one-row', 'i3-every-end', 'i4-one-success', 'i5-one-holder', 'i7-one-acts'],
  toxics: [],
  failures: [],
  takesHours: true,
  startAt: '2030-01-01T00:00:30Z',
  async drive(world) {
    await fill(world, SCHEDULES)
    await world.elected()
    await world.clock.sleep(at('2030-01-01T00:01:02Z') - world.clock.now())
    const [all] = await world.store.transaction('count', (tx) => tx.query<{ n: number; late: number; running: number }>("SELECT COUNT(*) AS n, MAX(recorded_at - slot_at) AS late, SUM(state = 'running') AS running FROM tick"))
    world.expect('all are in the ledger within two seconds', all?.n === SCHEDULES && all.late <= 2000, `${all?.n} ticks, at most ${all?.late} ms late`)
    world.expect('workers take no more than they have room for', (all?.running ?? 0) <= 3 * 4, `${all?.running} run`)
    world.expect('the leader keeps its lead', world.of('leader.elected').length === 1 && world.of('leader.lost').length === 0, `${world.of('leader.elected').length} election`)
    // Nobody has to watch a hundred thousand runs.
    await world.store.transaction('enough', (tx) => tx.query("UPDATE tick SET state = 'cancelled', reason = 'enough was seen', ended_at = run_at WHERE state = 'queued'"))
    await world.store.transaction('enough', (tx) => tx.query('DELETE FROM schedule'))
    await world.heal()
  },
}
