import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, usual } from '../staging.ts'

const TEN_MINUTES = 600_000

export const scenario: CronScenario = {
  name: 'C-14',
  summary: 'the machine sleeps for ten minutes, unseen by monotonic clocks: the lead is given up before anything is fired',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'clock', mode: 'timing' }],
  takesHours: true,
  async drive(world) {
    const leader = await usual(world)
    await world.clock.sleep(CALM)
    let first: string | undefined
    const stop = world.until(({ type, node }) => node === leader && (type === 'leader.lost' || type === 'tick.recorded'), 10_000).then((event) => (first = event?.type))
    for (const node of world.nodes) world.step(node, TEN_MINUTES)
    await stop
    await world.clock.sleep(CALM)
    await world.heal()
    world.expect('the first that the leader does is to let go', first === 'leader.lost', `it was ${first}`)
  },
}
