import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-54',
  summary: 'a job fails each time: it is tried again, later and later, and has failed at last',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'job', mode: 'byzantine' }],
  async drive(world) {
    await usual(world)
    await world.put('broken', '@every 24h', 'fail=1', { attempts: 4, retryBaseMs: 400, retryCapMs: 5000 })
    await world.registry.trigger('broken')
    await world.must((event) => event.type === 'attempt.ended' && event['schedule'] === 'broken' && event['state'] === 'failed')
    await world.heal()
    const [tick] = await world.ticks('broken')
    const waits = world.of('attempt.ended').filter((event) => event['schedule'] === 'broken' && event['againAt'] !== undefined).map((event) => (event['againAt'] as number) - event.at)
    world.expect('four attempts, then it has failed for a reason', tick?.state === 'failed' && tick.attempts === 4 && tick.reason === 'it failed', `${tick?.state}: ${tick?.reason}`)
    world.expect('each wait is within its bound, and not all are the same', waits.every((ms, n) => ms >= 0 && ms <= 400 * 2 ** (n + 1)) && new Set(waits).size > 1, waits.map((ms) => `${Math.round(ms)} ms`).join(', '))
  },
}
