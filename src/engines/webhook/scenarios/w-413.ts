import { answered, attemptsOf } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  name: 'W-413',
  summary: 'a customer says that a message is too large: it is dead at once, with that as its reason, and the others go on',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    const { id } = await world.subscribe('customer-1', { patterns: ['order.*'] })
    await world.subscribe('customer-2', { patterns: ['resil.*'] })
    world.mood('customer-1', { kind: 'error', status: 413 })
    const { id: large } = await world.produce({ type: 'order.created', data: { much: 'x'.repeat(1000) } })
    await answered(world, 'customer-1', 413)
    world.mood('customer-1', { kind: 'healthy' })
    await world.stream(20, 20)
    world.expect('the others arrive', await world.settled(30_000), JSON.stringify(await world.counts(id)))
    await world.clock.sleep(3_600_000)
    const attempts = (await attemptsOf(world, id)).filter(({ event }) => event === large)
    const [row] = await world.store.transaction('look', (tx) => tx.query<{ state: string; reason: string }>('SELECT d.state, d.reason FROM delivery d JOIN event e ON e.seq = d.event WHERE e.id = :large', { large }))
    world.expect('it is dead after one attempt, and says why', attempts.length === 1 && row?.state === 'dead' && row.reason === 'status 413', `${row?.state}: ${row?.reason}, after ${attempts.length}`)
    const told = world.inbox('customer-2').filter(({ type }) => type === 'resil.delivery.exhausted')
    world.expect('its owner is told once', told.length === 1, `${told.length} times`)
  },
}
