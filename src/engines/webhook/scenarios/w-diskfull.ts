import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const EVENTS = 200

export const scenario: WebhookScenario = {
  name: 'W-DISKFULL',
  summary: 'the disk is full, for whoever sends an event and for whoever delivers it: nobody is told that it was taken, and when there is room again all goes on',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'store', mode: 'omission' }],
  needsProcess: true,
  settingsInRealTime: { schedule: [5000] },
  async drive(world) {
    await world.subscribe('customer-1')
    world.mood('customer-1', { kind: 'reject_every', every: 3 })
    for (const site of ['tx:finish', 'tx:claim', 'tx:beat']) for (const nth of [3, 4, 8, 12]) world.spoil({ site, nth, how: 'full' })
    for (const nth of [10, 11, 30]) world.spoil({ site: 'tx:enqueue', nth, how: 'full' })
    const told = []
    for (let n = 0; n < EVENTS; n++) {
      told.push(await world.send({ type: 'order.created', data: { n } }))
      await world.clock.sleep(50)
    }
    const refused = told.filter((each) => each.told !== 'accepted')
    world.expect('who was refused is told so', refused.length === 3 && refused.every(({ status }) => status === 503), `${refused.length} of ${EVENTS}: ${refused.map(({ status }) => status).join(' ')}`)
    const [{ events }] = (await world.store.transaction('look', (tx) => tx.query<{ events: number }>('SELECT COUNT(*) AS events FROM event'))) as [{ events: number }]
    world.expect('what was not acknowledged is not there, and the rest is', events === EVENTS - refused.length, `${events} events`)
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('the dispatcher recovers', await world.settled(60_000), JSON.stringify(await world.counts()))
    const twice = world.inbox('customer-1').filter(({ duplicate }) => duplicate).length
    world.expect('nobody is told twice', twice === 0, `${twice} came twice`)
  },
}
