import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, HOUR } from '../staging.ts'

const AFTER_MS = 5000

export const scenario: CronScenario = {
  name: 'C-22',
  summary: 'the wall clock is set an hour ahead: the misfire policy decides, and nothing comes in a burst',
  engine: 'cron',
  invariants: [...ALWAYS],
  toxics: [],
  failures: [{ component: 'clock', mode: 'timing' }],
  takesHours: true,
  async drive(world) {
    await world.put('tick', '* * * * * *', 'ms=20', { overlap: 'queue_all' })
    await world.put('interval', '@every 10s', 'ms=20', { overlap: 'queue_all' })
    await world.elected()
    await world.clock.sleep(CALM)
    const begun = world.tally(({ type }) => type === 'attempt.started')
    for (const node of world.nodes) world.step(node, HOUR)
    await world.clock.sleep(AFTER_MS)
    const runs = begun()
    await world.heal()
    const made = (await world.ticks('tick')).filter(({ state }) => state === 'coalesced')
    world.expect('five seconds hold no more than a minute of grace, one made up for, and their own', runs <= 61 + 7 + AFTER_MS / 1000 + 3, `${runs} runs`)
    world.expect('the hour is in the ledger', made.reduce((sum, { slots }) => sum + slots, 0) >= 3500, `${made.reduce((sum, { slots }) => sum + slots, 0)} slots coalesced`)
  },
}
