import { attemptsOf } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const HOUR_MS = 3_600_000
/** As long as eight attempts of the schedule take, and more. */
const HOURS = 10
const MESSAGES = HOURS * 60

export const scenario: WebhookScenario = {
  name: 'W-POISON-MSG',
  summary: 'a customer fails over one message, whenever it comes: that one is given up alone, with its reason, its lane is never parked, and all others arrive',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  takesHours: true,
  settings: { beatMs: 10_000, leaseMs: 60_000, pollMs: 2000, keeperMs: 60_000 },
  async drive(world) {
    const { id } = await world.subscribe('customer-1', { patterns: ['order.*'] })
    await world.subscribe('customer-2', { patterns: ['resil.*'] })
    world.mood('customer-1', { kind: 'gone_for', bodies: ['poison'] })
    const { id: poison } = await world.produce({ type: 'order.created', data: { poison: true } })
    await world.stream(MESSAGES, MESSAGES / ((HOURS * HOUR_MS) / 1000))
    world.expect('all others arrive', (await world.settled(60_000)) && world.processed('customer-1').length === MESSAGES, JSON.stringify(await world.counts(id)))
    const attempts = (await attemptsOf(world, id)).filter(({ event }) => event === poison)
    const dead = await world.store.transaction('look', (tx) => tx.query<{ id: string; reason: string }>("SELECT e.id, d.reason FROM delivery d JOIN event e ON e.seq = d.event WHERE d.state = 'dead'"))
    world.expect('it alone is given up, with its reason', dead.length === 1 && dead[0]!.id === poison && dead[0]!.reason === 'poison: status 500', dead.map(({ reason }) => reason).join(', '))
    world.expect('after as many attempts as it may have', attempts.length === world.settings.poisonStrikes, `${attempts.length} attempts`)
    world.expect('its lane is never parked', world.of('lane.parked').length === 0, `${world.of('lane.parked').length} times`)
    const told = world.inbox('customer-2').filter(({ type }) => type === 'resil.delivery.exhausted').length
    world.expect('its owner is told once', told === 1, `${told} times`)
  },
}
