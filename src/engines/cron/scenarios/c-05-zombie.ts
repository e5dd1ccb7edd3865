import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-05',
  summary: 'the leader stands still for three leases between its decision and the effect: what it does when it wakes up is refused',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'engine', mode: 'timing' }],
  async drive(world) {
    await world.put('money', '*/3 * * * * *', 'ms=400', { overlap: 'queue_all' })
    await world.elected()
    const { node } = await world.must(({ type, node: on }) => type === 'attempt.started' && on === world.leader())
    world.pause(node!)
    await world.must(({ type, node: on }) => type === 'leader.elected' && on !== node)
    await world.clock.sleep(2 * world.ttlMs)
    const refused = world.tally(({ type }) => type === 'resource.refused' || type === 'resource.repeated')
    const fenced = world.tally(({ type, node: on }) => on === node && (type === 'attempt.fenced' || type === 'leader.fenced' || type === 'leader.lost'))
    world.resume(node!)
    await world.clock.sleep(CALM)
    await world.heal()
    world.expect('the zombie is fenced by the store', fenced() > 0, `${fenced()} times`)
    world.expect('its late effect does not count', refused() > 0, `${refused()} refused or told apart by the resource`)
  },
}
