import { attemptsOf } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const MESSAGES = 3

export const scenario: WebhookScenario = {
  name: 'W-TIMEOUT',
  summary: 'a customer takes half a minute to answer: each attempt ends at its deadline, its connection is closed, and the message is tried again',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'timing' }],
  async drive(world) {
    const { id } = await world.subscribe('customer-1')
    world.mood('customer-1', { kind: 'slow', ms: 30_000 })
    await world.stream(MESSAGES, 0)
    await world.clock.sleep(world.settings.deadlineMs + 1000)
    const attempts = await attemptsOf(world, id)
    world.expect('each attempt ends at its deadline', attempts.length === MESSAGES && attempts.every(({ ms, detail }) => detail === 'TIMEOUT' && Math.abs(ms - world.settings.deadlineMs) <= 500), attempts.map(({ ms, detail }) => `${detail} after ${ms} ms`).join(', '))
    const cut = world.of('exchange.cut').filter((event) => event['link'] === 'customer-1' && event['by'] === 'client').length
    world.expect('its connection is closed', cut === MESSAGES, `${cut} of ${MESSAGES}`)
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('it is tried again, and arrives', (await world.settled(60_000)) && world.processed('customer-1').length === MESSAGES, JSON.stringify(await world.counts(id)))
    await world.clock.sleep(20_000)
    const effects = world.inbox('customer-1').filter(({ processed }) => processed).length
    world.expect('what the customer did too late has its effect once', effects === MESSAGES, `${effects} effects`)
  },
}
