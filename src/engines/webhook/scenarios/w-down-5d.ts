import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** One an hour. */
const BEFORE = 5 * 24 - 2
const AFTER = 12

export const scenario: WebhookScenario = {
  name: 'W-DOWN-5D',
  summary: 'a customer is down for five days: its endpoint is disabled and its owner told once; what is too old is dead, what comes is held; enabled and replayed, all arrives',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'crash' }],
  takesHours: true,
  settings: { beatMs: 60_000, leaseMs: 300_000, pollMs: 60_000, keeperMs: 600_000 },
  async drive(world) {
    const { id } = await world.subscribe('customer-1', { patterns: ['order.*'] })
    await world.subscribe('customer-2', { patterns: ['resil.endpoint.*'] })
    const told = (what: string) => world.inbox('customer-2').filter(({ type }) => type === `resil.endpoint.${what}`).length
    world.down('customer-1')
    const since = world.clock.monotonic()
    await world.stream(BEFORE, 1000 / HOUR_MS)
    const last = await world.endpoints.show(id)
    world.expect('hours before the five days are over it is enabled', last.state === 'enabled' && told('failing') === 1, `${last.state}; told of its outage ${told('failing')} times`)
    await world.must('endpoint.disabled', DAY_MS)
    const after = world.clock.monotonic() - since
    world.expect('it is disabled after five days', Math.abs(after - world.settings.disableMs) < 2 * HOUR_MS, `after ${(after / DAY_MS).toFixed(2)} days`)
    await world.stream(AFTER, 1000 / HOUR_MS)
    const { pending = 0, dead = 0, delivered = 0 } = await world.counts(id)
    world.expect('nothing is lost: what is too old is dead, what comes is held', delivered === 0 && dead + pending === BEFORE + AFTER && pending >= AFTER && dead > 0, `${dead} dead, ${pending} held`)
    world.expect('its owner is told once', told('disabled') === 1, `${told('disabled')} times`)
    world.up('customer-1')
    await world.clock.sleep(HOUR_MS)
    world.expect('a disabled one is not spoken to', world.inbox('customer-1').length === 0, `${world.inbox('customer-1').length} requests`)
    await world.endpoints.setState(id, 'enabled', { who: 'the scenario', why: 'it is back' })
    await world.replays.ask({ filter: { dlq: true, endpoint: id }, who: 'the scenario' })
    const settled = await world.settled(600_000)
    world.expect('enabled and replayed, all arrives', settled && world.processed('customer-1').length === BEFORE + AFTER, `${world.processed('customer-1').length} of ${BEFORE + AFTER}`)
    world.expect('nothing of it is told twice', told('disabled') === 1 && told('failing') === 1, `disabled ${told('disabled')}, failing ${told('failing')}`)
  },
}
