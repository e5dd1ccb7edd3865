import { attemptsOf, delays, eventually, tallied } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const STATUSES = [502, 503, 504] as const
/** Of one status: fewer in a row than make an outage. */
const EACH = 3

export const scenario: WebhookScenario = {
  name: 'W-502-504',
  summary: 'what stands before a customer answers 502, 503 and 504: each such message is tried again on the schedule; when it goes on, that is an outage and costs no message anything',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    const { schedule, jitter } = world.settings
    const { id } = await world.subscribe('customer-1')
    for (const status of STATUSES) {
      world.mood('customer-1', { kind: 'error', status })
      const refused = world.tally((event) => event.type === 'customer.received' && event['status'] === status)
      await world.stream(EACH, 0)
      await eventually(world, `${status} is answered`, () => refused() >= EACH)
      world.mood('customer-1', { kind: 'healthy' })
      world.expect(`what met ${status} arrives`, await world.settled(60_000), JSON.stringify(await world.counts()))
    }
    const attempts = await attemptsOf(world, id)
    const waits = delays(attempts, 1)
    const base = schedule[0]!
    world.expect('each is tried again after what the schedule says, give or take a fifth', waits.length === STATUSES.length * EACH && waits.every((ms) => ms >= base * (1 - jitter) - 2 && ms <= base * (1 + jitter) + 250), `${waits.join(', ')} ms; ${tallied(attempts)}`)

    world.mood('customer-1', { kind: 'error', status: 502 })
    await world.stream(100, 10)
    await world.clock.sleep(600_000)
    const parked = await world.endpoints.show(id)
    const [strikes] = (await world.store.transaction('look', (tx) => tx.query<{ most: number }>("SELECT MAX(strikes) AS most FROM delivery WHERE state = 'pending'"))) as [{ most: number }]
    world.expect('ten minutes of it park the lane and cost no message anything', parked.breaker !== null && parked.waiting === 100 && strikes.most === 0, `${parked.waiting} wait, ${strikes.most} of the schedule's delays spent at most`)
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('all arrives within a minute and a half of its return', await world.settled(90_000), JSON.stringify(await world.counts()))
  },
}
