import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { OVERLAP_POLICIES } from '../spec.ts'

export const scenario: CronScenario = {
  name: 'C-52',
  summary: 'a job that takes five periods, under each overlap policy',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'job', mode: 'timing' }],
  takesHours: true,
  nodes: 1,
  settings: { slots: 30, pollMs: 100, beatMs: 100 },
  async drive(world) {
    for (const overlap of OVERLAP_POLICIES) await world.put(overlap, '* * * * * *', 'ms=4900', { overlap, queueMax: 5 })
    await world.elected()
    await world.clock.sleep(10_000)
    await world.heal()
    const counts = async (name: string) => {
      const states: Record<string, number> = {}
      for (const { state } of await world.ticks(name)) if (state !== 'skipped_paused') states[state] = (states[state] ?? 0) + 1
      return states
    }
    const [skip, one, all, cancel, allow] = [await counts('skip'), await counts('queue_one'), await counts('queue_all'), await counts('cancel_other'), await counts('allow')]
    world.expect('skip: what comes meanwhile is skipped', skip['succeeded']! <= 3 && skip['skipped_overlap']! >= 6, JSON.stringify(skip))
    world.expect('queue_one: one waits, the others are coalesced', one['coalesced']! >= 5 && one['succeeded']! <= 4, JSON.stringify(one))
    world.expect('queue_all: each in turn, up to the most that may wait', all['succeeded']! >= 6 && all['skipped_overlap']! >= 1, JSON.stringify(all))
    world.expect('cancel_other: the newest wins', cancel['cancelled']! >= 7 && cancel['succeeded']! >= 1, JSON.stringify(cancel))
    world.expect('allow: side by side', allow['succeeded']! >= 9, JSON.stringify(allow))
  },
}
