import { atOnce, attemptsOf } from '../attempts.ts'
import { ALWAYS, percentile } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const PER_SECOND = 100
const MESSAGES = 1500
/** Each so manieth is for the slow one. */
const SLOW_EVERY = 100

export const scenario: WebhookScenario = {
  name: 'W-SLOW-10',
  summary: 'one customer in a hundred takes ten seconds to answer: it gets all that is its own, never more at once than a lane may, and the others notice nothing',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'timing' }],
  async drive(world) {
    const slow = await world.subscribe('customer-1', { patterns: ['slow.*'] })
    await world.subscribe('customer-2', { patterns: ['quick.*'] })
    const make = (n: number) => ({ type: n % SLOW_EVERY === 0 ? 'slow.created' : 'quick.created', data: { n } })
    await world.stream(MESSAGES, PER_SECOND, make)
    await world.settled(10_000)
    const before = world.lags('customer-2')
    const since = world.of('event.accepted').at(-1)!.t
    world.mood('customer-1', { kind: 'slow', ms: 10_000 })
    await world.stream(MESSAGES, PER_SECOND, make)
    world.expect('all arrives', await world.settled(60_000), JSON.stringify(await world.counts()))
    const after = world.lags('customer-2', since + 1)
    const [base, now] = [percentile(before, 0.99), percentile(after, 0.99)]
    world.expect('the others are as quick as before', after.length > MESSAGES * 0.98 && now <= 2 * base, `p99 ${Math.round(now)} ms, before ${Math.round(base)} ms`)
    const attempts = await attemptsOf(world, slow.id)
    const late = attempts.filter(({ ms }) => ms >= 10_000)
    world.expect('the slow one gets each once, in time', attempts.length === (2 * MESSAGES) / SLOW_EVERY && late.length === MESSAGES / SLOW_EVERY && late.every(({ outcome }) => outcome === 'delivered'), `${attempts.length} attempts, ${late.length} slow ones`)
    world.expect('never more at once than a lane may', atOnce(attempts) <= world.settings.placesMost, `${atOnce(attempts)} at once`)
  },
}
