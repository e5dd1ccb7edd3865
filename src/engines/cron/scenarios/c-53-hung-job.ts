import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-53',
  summary: 'a job hangs: it is told to end at its time limit, tried again, and dead at last, while others go on',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'job', mode: 'omission' }],
  async drive(world) {
    await usual(world)
    await world.put('hung', '@every 24h', 'hang=1', { timeoutMs: 1000, attempts: 3, retryBaseMs: 100, retryCapMs: 500 })
    await world.registry.trigger('hung')
    await world.must((event) => event.type === 'attempt.ended' && event['schedule'] === 'hung' && event['state'] === 'dead')
    await world.heal()
    const [tick] = await world.ticks('hung')
    world.expect('three attempts, each ended by its limit', tick?.state === 'dead' && tick.attempts === 3 && tick.reason === 'it took longer than 1000 ms', `${tick?.state}: ${tick?.reason}, ${tick?.attempts} attempts`)
  },
}
