import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const EVENTS = 50
const ACK_MS = 60_000

export const scenario: WebhookScenario = {
  name: 'W-200-DEFER',
  summary: 'a customer says "later" to what it is sent: what it acknowledges is delivered, and what it never does comes again',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    await world.subscribe('customer-1', { ackMs: ACK_MS })
    world.mood('customer-1', { kind: 'deferred', ackMs: 'never' })
    const ids = await world.stream(EVENTS, 20)
    await world.clock.sleep(ACK_MS / 2)
    const early = world.inbox('customer-1').length
    world.expect('it is left its time', early === EVENTS, `${early} requests for ${EVENTS}`)
    world.expect('"later" is no delivery', (await world.counts())['delivered'] === 0, JSON.stringify(await world.counts()))
    await world.clock.sleep(ACK_MS)
    const late = world.inbox('customer-1').length
    world.expect('without an acknowledgement it comes again', late === 2 * EVENTS, `${late} requests for ${EVENTS}`)
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('all comes to rest', await world.settled(2 * ACK_MS), JSON.stringify(await world.counts()))
    const processed = new Set(world.processed('customer-1'))
    world.expect('all was processed', ids.every((id) => processed.has(id)), `${processed.size} of ${ids.length}`)
  },
}
