import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { at, CALM, statesOf } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-30',
  summary: 'every node is down at nine o\'clock: once makes up for one, all for each in order, skip says that it was too late',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  takesHours: true,
  startAt: '2030-01-01T08:59:30Z',
  async drive(world) {
    await world.put('once', '0 9 * * *', 'ms=20', { misfire: 'once' })
    await world.put('skip', '0 9 * * *', 'ms=20', { misfire: 'skip' })
    await world.put('all', '0-4 9 * * *', 'ms=20', { misfire: 'all' })
    await world.elected()
    await world.clock.sleep(5000)
    for (const node of world.nodes) await world.kill(node)
    await world.clock.sleep(at('2030-01-01T09:10:00Z') - world.clock.now())
    await world.startAll()
    await world.elected()
    await world.clock.sleep(CALM)
    await world.heal()
    world.expect('once: one late run', (await statesOf(world, 'once')) === 'succeeded', await statesOf(world, 'once'))
    world.expect('skip: a row that says so', (await statesOf(world, 'skip')) === 'skipped_late', await statesOf(world, 'skip'))
    const order = world.of('attempt.started').filter((event) => event['schedule'] === 'all').map((event) => event['slot'] as number)
    world.expect('all: each, in order', order.length === 5 && order.every((slot, n) => n === 0 || slot > order[n - 1]!), order.map((slot) => new Date(slot).toISOString().slice(11, 16)).join(' '))
  },
}
