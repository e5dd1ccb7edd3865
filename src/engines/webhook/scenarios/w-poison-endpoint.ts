import { ALWAYS, percentile } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const PER_SECOND = 100
const MESSAGES = 3000
/** Of twenty messages, these are for the one that hangs. */
const HANGING = 3

export const scenario: WebhookScenario = {
  name: 'W-POISON-EP',
  summary: 'a seventh of all goes to a customer who never answers: the others get all of theirs as if it were not there',
  engine: 'webhook',
  customers: 3,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'timing' }],
  async drive(world) {
    await world.subscribe('customer-1', { patterns: ['hanging.*'] })
    await world.subscribe('customer-2', { patterns: ['even.*'] })
    await world.subscribe('customer-3', { patterns: ['odd.*'] })
    const never = world.toxic({ link: 'customer-1', type: 'hang' })
    await world.stream(MESSAGES, PER_SECOND, (n) => ({ type: n % 20 < HANGING ? 'hanging.created' : n % 2 === 0 ? 'even.created' : 'odd.created', data: { n } }))
    await world.clock.sleep(1000)
    const lags = [...world.lags('customer-2'), ...world.lags('customer-3')].toSorted((a, b) => a - b)
    const p99 = percentile(lags, 0.99)
    const theirs = (MESSAGES * (20 - HANGING)) / 20
    world.expect('the others get all of theirs', lags.length === theirs, `${lags.length} of ${theirs}`)
    world.expect('they get it at once', p99 < 250, `p99 ${Math.round(p99)} ms, the slowest after ${Math.round(lags.at(-1) ?? 0)} ms`)
    never()
    world.expect('when it answers again, it gets its own', await world.settled(120_000), JSON.stringify(await world.counts()))
  },
}
