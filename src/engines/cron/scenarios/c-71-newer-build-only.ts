import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-71',
  summary: 'a definition asks for a newer build: old nodes neither run it, nor lead once the new build has led',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [],
  settings: { watchMs: 50 },
  async drive(world) {
    await world.elected()
    await world.deploy('n1', { build: 2 })
    for (const node of ['n2', 'n3']) if (world.leader() === node) await world.deploy(node, {})
    if (world.leader() !== 'n1') await world.must(({ type, node }) => type === 'leader.elected' && node === 'n1')
    await world.put('new', '* * * * * *', 'ms=20', { overlap: 'queue_all' }, 2)
    await world.clock.sleep(CALM)
    await world.kill('n1')
    const elected = world.tally(({ type }) => type === 'leader.elected')
    await world.clock.sleep(3 * world.ttlMs)
    const meanwhile = elected()
    await world.restart('n1')
    await world.must('leader.elected')
    await world.clock.sleep(CALM)
    await world.heal()
    const on = new Set((await world.ticks('new')).filter(({ state }) => state === 'succeeded').map(({ node }) => node))
    world.expect('old nodes do not lead behind the new build', meanwhile === 0, `${meanwhile} elections`)
    world.expect('and do not run what asks for it', on.size === 1 && on.has('n1'), `ran on ${[...on].join(', ')}`)
  },
}
