import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { at } from '../staging.ts'

const PER_SECOND = 20

export const scenario: CronScenario = {
  name: 'C-36',
  summary: 'a month is backfilled, and the leader dies on the way: each hour once, none in the way of a slot, no faster than asked',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  takesHours: true,
  startAt: '2030-02-01T00:30:00Z',
  settings: { slots: 40 },
  async drive(world) {
    await world.put('hourly', '0 * * * *', 'ms=10', { overlap: 'allow' })
    await world.elected()
    await world.registry.backfill('hourly', at('2030-01-01T00:00:00Z'), at('2030-01-31T23:00:00Z'), PER_SECOND)
    await world.must((event) => event.type === 'attempt.ended' && world.of('attempt.ended').length >= 150)
    await world.kill(world.leader()!)
    await world.startAll()
    await world.clock.sleep(60_000)
    await world.heal()
    const filled = (await world.ticks('hourly')).filter(({ kind }) => kind === 'backfill')
    world.expect('744 hours, each once', filled.length === 744 && filled.every(({ state }) => state === 'succeeded') && world.effects('hourly@2030-01-') === 744, `${filled.length} ticks, ${world.effects('hourly@2030-01-')} effects`)
    const begun = world.of('attempt.started').map(({ t }) => t)
    let most = 0
    for (let from = 0, to = 0; to < begun.length; to++) {
      while (begun[to]! - begun[from]! >= 1000) from++
      most = Math.max(most, to - from + 1)
    }
    world.expect('no faster than asked, but for what the dead leader was running', most <= PER_SECOND + 4, `at most ${most} in one second`)
  },
}
