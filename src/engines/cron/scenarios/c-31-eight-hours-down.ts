import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { HOUR } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-31',
  summary: 'down for eight hours with a job each minute: the newest hundred are made up for, ten a second, the others are coalesced',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  takesHours: true,
  async drive(world) {
    await world.put('minutes', '* * * * *', 'ms=5', { misfire: 'all' })
    await world.elected()
    for (const node of world.nodes) await world.kill(node)
    await world.clock.sleep(8 * HOUR)
    await world.startAll()
    await world.elected()
    await world.clock.sleep(30_000)
    await world.heal()
    const ticks = await world.ticks('minutes')
    const made = ticks.filter(({ reason }) => reason === 'made up for')
    const coalesced = ticks.filter(({ state }) => state === 'coalesced').reduce((sum, { slots }) => sum + slots, 0)
    world.expect('a hundred are made up for', made.length === 100 && made.every(({ state }) => state === 'succeeded'), `${made.length}`)
    world.expect('the rest is coalesced, each counted', coalesced >= 375 && coalesced <= 381, `${coalesced}`)
    const begun = world.of('attempt.started').map(({ t }) => t)
    const most = Math.max(...begun.map((t) => begun.filter((other) => other >= t && other < t + 1000).length))
    world.expect('ten a second, and one that is on time', most <= 12, `at most ${most} in one second`)
  },
}
