import { BODY_MOST } from '../events.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  name: 'W-BIG-BODY',
  summary: 'an event of 256 KiB is delivered as it is; one byte more is refused, and the producer is told',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    await world.subscribe('customer-1')
    const type = 'order.created'
    const whole = JSON.stringify({ type, data: '' })
    const filled = (bytes: number) => JSON.stringify({ type, data: 'x'.repeat(bytes - whole.length) })
    // Three bytes each in UTF-8, one character.
    const wide = (bytes: number) => JSON.stringify({ type, data: '€'.repeat(Math.floor((bytes - whole.length) / 3)) })
    const taken = [await world.send({ type, body: filled(BODY_MOST) }), await world.send({ type, body: wide(BODY_MOST) })]
    world.expect('256 KiB are taken', taken.every(({ told }) => told === 'accepted'), taken.map(({ status }) => status).join(', '))
    const refused = [await world.send({ type, body: filled(BODY_MOST + 1) }), await world.send({ type, body: filled(BODY_MOST + 1024) }), await world.send({ type, body: wide(BODY_MOST + 6) }), await world.send({ type, data: 'x'.repeat(BODY_MOST) })]
    world.expect('more is refused, however it is written', refused.every(({ told }) => told === 'refused'), refused.map(({ status }) => status).join(', '))
    world.expect('what was taken arrives, and nothing else', (await world.settled(30_000)) && world.processed('customer-1').length === 2, JSON.stringify(await world.counts()))
    world.expect('its signature is of all of it', world.inbox('customer-1').every(({ signed }) => signed === 'valid'), world.inbox('customer-1').map(({ signed }) => signed).join(', '))
  },
}
