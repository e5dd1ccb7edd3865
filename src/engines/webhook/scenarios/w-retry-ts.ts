import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const RETRY_MS = 2 * 3_600_000

export const scenario: WebhookScenario = {
  name: 'W-RETRY-TS',
  summary: 'a message comes again two hours later: it has a timestamp and a signature of that moment, which a receiver with a tolerance of five minutes takes',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'timing' }],
  takesHours: true,
  settings: { schedule: [RETRY_MS], beatMs: 5000, leaseMs: 35_000, pollMs: 1000, keeperMs: 60_000 },
  async drive(world) {
    await world.subscribe('customer-1')
    world.mood('customer-1', { kind: 'gone_for', every: 2 })
    const ids = await world.stream(20, 10)
    await world.clock.sleep(60_000)
    const refused = world.inbox('customer-1').filter(({ status }) => status === 500)
    world.expect('half of them failed', refused.length === ids.length / 2, `${refused.length} of ${ids.length}`)
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('all comes to rest', await world.settled(3 * RETRY_MS), JSON.stringify(await world.counts()))
    const again = world.inbox('customer-1').slice(ids.length)
    world.expect('they come two hours later', again.length === refused.length && again.every(({ t }) => t >= 0.8 * RETRY_MS), `${again.length} requests, the first after ${Math.round((again[0]?.t ?? 0) / 60_000)} min`)
    world.expect('and their signatures are fresh', again.every(({ signed, status }) => signed === 'valid' && status === 204), again.map(({ signed }) => signed).join(' '))
  },
}
