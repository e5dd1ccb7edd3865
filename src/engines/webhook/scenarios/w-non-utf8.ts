import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  name: 'W-NONUTF8',
  summary: 'a body that cannot be written in UTF-8 is refused; all that can is delivered as it is and verifies, also what looks dangerous',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    await world.subscribe('customer-1')
    const type = 'order.created'
    const refused = await Promise.all(['\ud800', '{"a":"\udfff"}', `${'a'.repeat(1000)}\ud83d`].map((body) => world.send({ type, body })))
    world.expect('half a character is refused', refused.every(({ told }) => told === 'refused'), refused.map(({ status }) => status).join(', '))
    const strange = await Promise.all([
      ...['\u{1f4b8} €', '\u0000', '\ufeff{}', '\u2028\u202e', '{"a":1}', ' ', '\ufffd'].map((body) => world.send({ type, body })),
      // Inside JSON it is six characters of ASCII.
      world.send({ type, data: '\ud800' }),
      world.send({ type, data: { '\u0000': '\u001b[31m' } }),
    ])
    world.expect('whatever is text is taken', strange.every(({ told }) => told === 'accepted'), strange.map(({ status }) => status).join(', '))
    world.expect('it arrives', (await world.settled(30_000)) && world.processed('customer-1').length === strange.length, JSON.stringify(await world.counts()))
    const signed = world.inbox('customer-1').map((each) => each.signed)
    world.expect('it verifies', signed.length === strange.length && signed.every((word) => word === 'valid'), signed.join(', '))
  },
}
