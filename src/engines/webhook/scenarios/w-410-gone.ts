import { answered, attemptsOf } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const MESSAGES = 20

export const scenario: WebhookScenario = {
  name: 'W-410',
  summary: 'a customer answers 410 Gone: its endpoint is disabled at once, what waits is held, its owner is told once, and not one request more is made',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    const { id } = await world.subscribe('customer-1', { patterns: ['order.*'], perSecond: 2 })
    await world.subscribe('customer-2', { patterns: ['resil.*'] })
    await world.stream(MESSAGES, 0)
    await world.clock.sleep(2000)
    world.mood('customer-1', { kind: 'error', status: 410 })
    await answered(world, 'customer-1', 410)
    await world.clock.sleep(1000)
    const gone = await world.endpoints.show(id)
    const seen = world.inbox('customer-1')
    const arrived = seen.filter(({ status }) => status === 204).length
    world.expect('the endpoint is disabled at once', gone.state === 'disabled', `${gone.state}: ${gone.reason}`)
    await world.stream(5, 1)
    await world.clock.sleep(3_600_000)
    const { pending, dead } = await world.counts(id)
    world.expect('what waits is held, and what comes', arrived > 0 && pending === MESSAGES + 5 - arrived && dead === 0, `${arrived} arrived, ${pending} are held, ${dead} dead`)
    world.expect('not one request more is made within an hour', world.inbox('customer-1').length === seen.length, `${world.inbox('customer-1').length - seen.length} more`)
    const told = world.inbox('customer-2').filter(({ type }) => type === 'resil.endpoint.disabled')
    world.expect('its owner is told once', told.length === 1, `${told.length} times`)
    world.mood('customer-1', { kind: 'healthy' })
    await world.endpoints.setState(id, 'enabled', { who: 'the scenario', why: 'it is back' })
    world.expect('enabled again, all arrives', (await world.settled(60_000)) && world.processed('customer-1').length === MESSAGES + 5, `${world.processed('customer-1').length} arrived, ${(await attemptsOf(world, id)).length} attempts`)
  },
}
