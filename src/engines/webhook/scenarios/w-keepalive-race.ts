import { attemptsOf } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const MESSAGES = 400

export const scenario: WebhookScenario = {
  name: 'W-KEEPALIVE-RACE',
  summary: 'a customer closes connections that are idle at the very moment at which requests leave on them: of four hundred not one attempt is burnt',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'network', mode: 'timing' }],
  async drive(world) {
    const { id } = await world.subscribe('customer-1')
    await world.evil('customer-1', 'keepalive_race')
    await world.stream(MESSAGES, 40)
    world.expect('all arrives', await world.settled(30_000), JSON.stringify(await world.counts(id)))
    const attempts = await attemptsOf(world, id)
    world.expect('not one attempt is burnt', attempts.length === MESSAGES && attempts.every(({ outcome }) => outcome === 'delivered'), `${attempts.length} attempts of ${MESSAGES}`)
    const effects = world.inbox('customer-1').filter(({ processed }) => processed).length
    world.expect('each has its effect once', effects === MESSAGES, `${effects} effects, ${world.inbox('customer-1').length} requests`)
  },
}
