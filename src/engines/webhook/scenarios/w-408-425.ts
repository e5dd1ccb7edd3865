import { attemptsOf, delays, eventually, tallied } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const STATUSES = [408, 409, 425] as const

export const scenario: WebhookScenario = {
  name: 'W-408-425',
  summary: 'a customer answers 408, 409 and 425: that passes, so it counts like a 500, and each message arrives on the schedule',
  engine: 'webhook',
  customers: STATUSES.length,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    const { schedule, jitter, breakerFailures } = world.settings
    for (const [n, status] of STATUSES.entries()) {
      await world.subscribe(`customer-${n + 1}`)
      world.mood(`customer-${n + 1}`, { kind: 'error', status })
    }
    const refused = world.tally((event) => event.type === 'customer.received' && event['status'] >= 400)
    await world.stream(2, 0)
    await eventually(world, 'all first attempts', () => refused() >= 2 * STATUSES.length)
    for (const customer of world.customers) world.mood(customer, { kind: 'healthy' })
    world.expect('all arrives', await world.settled(60_000), JSON.stringify(await world.counts()))
    const attempts = await attemptsOf(world)
    const waits = delays(attempts, 1)
    const base = schedule[0]!
    world.expect('each is tried again when the schedule says', waits.length === 2 * STATUSES.length && waits.every((ms) => ms >= base * (1 - jitter) - 2 && ms <= base * (1 + jitter) + 250), `${waits.join(', ')} ms`)
    world.expect('it counts as a failure that passes', attempts.filter(({ outcome }) => outcome === 'failed').length === 2 * STATUSES.length, tallied(attempts))

    for (const [n, status] of STATUSES.entries()) world.mood(`customer-${n + 1}`, { kind: 'error', status })
    await world.stream(4 * breakerFailures, 0)
    await world.clock.sleep(10_000)
    const parked = (await world.endpoints.list()).filter(({ breaker }) => breaker !== null).length
    world.expect('when it does not pass it is an outage', parked === STATUSES.length, `${parked} lanes are parked`)
    for (const customer of world.customers) world.mood(customer, { kind: 'healthy' })
    world.expect('all arrives after that', await world.settled(120_000), JSON.stringify(await world.counts()))
  },
}
