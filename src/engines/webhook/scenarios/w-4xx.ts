import { attemptsOf, delays, eventually, tallied } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const STATUSES = [400, 401, 403, 404, 405, 422] as const
/** Attempts before somebody mends the customer. */
const ATTEMPTS = 3

export const scenario: WebhookScenario = {
  name: 'W-4XX',
  summary: 'a customer is deployed with a mistake and answers 401 or 404: messages are tried again on the schedule and marked as refused, and arrive when it is mended',
  engine: 'webhook',
  customers: STATUSES.length,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    const { schedule, jitter } = world.settings
    for (const [n, status] of STATUSES.entries()) {
      await world.subscribe(`customer-${n + 1}`)
      world.mood(`customer-${n + 1}`, { kind: 'error', status })
    }
    const refused = world.tally((event) => event.type === 'customer.received' && event['status'] >= 400)
    // As many as would be an outage, were it one.
    const messages = 2 * world.settings.breakerFailures
    await world.stream(messages, 0)
    // The third attempts are over before the first of the fourth is due.
    await eventually(world, 'all third attempts', () => refused() >= ATTEMPTS * messages * STATUSES.length)
    for (const customer of world.customers) world.mood(customer, { kind: 'healthy' })
    world.expect('all arrives', await world.settled(600_000), JSON.stringify(await world.counts()))
    const attempts = await attemptsOf(world)
    const marked = attempts.filter(({ outcome, status }) => outcome === 'refused' && (STATUSES as readonly (number | null)[]).includes(status))
    world.expect('each is marked as a refusal', marked.length === ATTEMPTS * messages * STATUSES.length, tallied(attempts))
    for (let n = 1; n <= ATTEMPTS; n++) {
      const waits = delays(attempts, n)
      const base = schedule[n - 1]!
      world.expect(`attempt ${n + 1} comes when the schedule says, give or take a fifth`, waits.length === messages * STATUSES.length && waits.every((ms) => ms >= base * (1 - jitter) - 2 && ms <= base * (1 + jitter) + 250), `${Math.min(...waits)} to ${Math.max(...waits)} ms`)
    }
    world.expect('no lane was parked for it', world.of('lane.parked').length === 0, `${world.of('lane.parked').length} were parked`)
  },
}
