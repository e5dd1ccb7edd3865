import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const HOUR_MS = 3_600_000
const DOWN_MS = 2 * HOUR_MS
/** What comes for the customer meanwhile: as if it had a hundredth of a million an hour. */
const MESSAGES = 20_000
/** At this rate the customer can take them. */
const PER_SECOND = 100
/** All that was held must have arrived so long after it is back, ms. */
const DRAINED_MS = 300_000
const REQUESTS_A_MESSAGE = 1.05

export const scenario: WebhookScenario = {
  name: 'W-DOWN-2H',
  summary: 'a customer refuses connections for two hours: nothing is lost, no request is wasted, and all arrives within minutes of its return',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  takesHours: true,
  settings: { beatMs: 5000, leaseMs: 35_000, pollMs: 1000, keeperMs: 60_000 },
  async drive(world) {
    const down = await world.subscribe('customer-1', { perSecond: PER_SECOND, patterns: ['order.*'] })
    await world.subscribe('customer-2', { patterns: ['refund.*'] })
    world.down('customer-1')
    const arrivals = await world.stream(MESSAGES, MESSAGES / (DOWN_MS / 1000), (n) => ({ type: n % 40 === 0 ? 'refund.issued' : 'order.created', data: { n } }))
    const parked = await world.endpoints.show(down.id)
    world.expect('the lane is parked', parked.breaker !== null && parked.waiting > MESSAGES * 0.9, `${parked.waiting} wait`)
    const others = world.lags('customer-2')
    world.expect('the other customer notices nothing', others.length === MESSAGES / 40 && others.at(-1)! < 2000, `${others.length} arrived, the slowest after ${Math.round(others.at(-1) ?? 0)} ms`)
    world.up('customer-1')
    const back = world.clock.monotonic()
    const settled = await world.settled(DRAINED_MS)
    const took = Math.round((world.clock.monotonic() - back) / 1000)
    world.expect('all arrives within five minutes of its return', settled, `${took} s`)
    const [{ attempts }] = (await world.store.transaction('look', (tx) => tx.query<{ attempts: number }>('SELECT COUNT(*) AS attempts FROM attempt'))) as [{ attempts: number }]
    world.expect('hardly a request was wasted', attempts <= arrivals.length * REQUESTS_A_MESSAGE, `${(attempts / arrivals.length).toFixed(3)} requests a message`)
  },
}
