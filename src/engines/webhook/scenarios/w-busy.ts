import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const EVENTS = 200
/** As long as a store waits before it gives up. */
const BUSY_MS = 4000

export const scenario: WebhookScenario = {
  name: 'W-BUSY',
  summary: 'another process holds the lock of the database for seconds: whoever sends is refused, the dispatcher waits, and all goes on',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'store', mode: 'timing' }],
  needsProcess: true,
  async drive(world) {
    await world.subscribe('customer-1')
    world.mood('customer-1', { kind: 'reject_every', every: 3 })
    for (const site of ['tx:finish', 'tx:claim', 'tx:beat']) for (const nth of [3, 7]) world.spoil({ site, nth, how: 'busy', ms: BUSY_MS })
    world.spoil({ site: 'tx:enqueue', nth: 10, how: 'busy', ms: BUSY_MS })
    world.spoil({ site: 'tx:enqueue', nth: 20, how: 'slow', ms: BUSY_MS })
    const told = []
    for (let n = 0; n < EVENTS; n++) {
      told.push(await world.send({ type: 'order.created', data: { n } }))
      await world.clock.sleep(50)
    }
    const refused = told.filter((each) => each.told !== 'accepted')
    world.expect('who was refused is told so, and who had to wait is not', refused.length === 1 && refused[0]!.status === 503, refused.map(({ status }) => status).join(' '))
    const [{ events }] = (await world.store.transaction('look', (tx) => tx.query<{ events: number }>('SELECT COUNT(*) AS events FROM event'))) as [{ events: number }]
    world.expect('what was not acknowledged is not there, and the rest is', events === EVENTS - refused.length, `${events} events`)
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('the dispatcher recovers', await world.settled(60_000), JSON.stringify(await world.counts()))
    const twice = world.inbox('customer-1').filter(({ duplicate }) => duplicate).length
    world.expect('nobody is told twice', twice === 0, `${twice} came twice`)
  },
}
