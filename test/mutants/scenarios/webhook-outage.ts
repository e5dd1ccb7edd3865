/** A short outage of one customer beside a healthy one: what W-DOWN-2H shows in hours, in a minute. */
import type { WebhookScenario } from '../../../src/engines/webhook/stage.ts'
import { ALWAYS } from '../../../src/engines/webhook/stage.ts'

export const scenario: WebhookScenario = {
  name: 'webhook-outage',
  summary: 'a customer refuses connections for a minute',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    const down = await world.subscribe('customer-1', { patterns: ['order.*'] })
    await world.subscribe('customer-2', { patterns: ['refund.*'] })
    world.down('customer-1')
    const ids = await world.stream(600, 10, (n) => ({ type: n % 10 === 0 ? 'refund.issued' : 'order.created', data: { n } }))
    const others = world.lags('customer-2')
    world.expect('the other customer notices nothing', others.length === 60 && others.at(-1)! < 1000, `${others.length} arrived, the slowest after ${Math.round(others.at(-1) ?? 0)} ms`)
    const [{ attempts, strikes }] = (await world.store.transaction('look', (tx) => tx.query<{ attempts: number; strikes: number }>('SELECT (SELECT COUNT(*) FROM attempt WHERE status IS NULL) AS attempts, (SELECT SUM(strikes) FROM delivery) AS strikes'))) as [{ attempts: number; strikes: number }]
    world.expect('hardly a request is wasted', attempts > 0 && attempts <= 40, `${attempts} failed`)
    world.expect('the outage costs no message anything', strikes === 0, `${strikes} strikes`)
    world.up('customer-1')
    world.expect('all arrives within a minute of its return', await world.settled(62_000), JSON.stringify(await world.counts()))
    // A customer that fails some messages: each comes again at a time of its own.
    world.mood('customer-1', { kind: 'reject_every', every: 2 })
    const before = world.inbox('customer-1').length
    await world.stream(60, 20)
    await world.clock.sleep(7000)
    const again = world.inbox('customer-1').slice(before)
    const first = new Map<string, number>()
    const waits = again.flatMap(({ id, t }) => {
      const at = first.get(id!)
      first.set(id!, t)
      return at === undefined ? [] : [Math.round((t - at) / 50)]
    })
    world.expect('no two wait alike', waits.length > 20 && new Set(waits).size > waits.length / 3, `${waits.length} retries, ${new Set(waits).size} waits`)
    world.mood('customer-1', { kind: 'healthy' })
    await world.settled(120_000)
    // Paused for longer than anything may wait: it is held, not dead.
    await world.endpoints.setState(down.id, 'paused', { who: 'operator', why: 'maintenance' })
    await world.clock.sleep(2000)
    const held = await world.stream(20, 20)
    await world.clock.sleep(world.settings.maxAgeMs + 200_000)
    const { dead, pending } = (await world.counts(down.id)) as { dead: number; pending: number }
    world.expect('what is held does not grow old', dead === 0 && pending === held.length, `${dead} dead, ${pending} pending`)
    await world.endpoints.setState(down.id, 'enabled', { who: 'operator', why: 'over' })
    await world.settled(60_000)
    // One that cannot be taken at all, and one that waits too long: both end where somebody sees them.
    world.mood('customer-1', { kind: 'error', status: 413 })
    await world.stream(1, 1)
    await world.clock.sleep(2000)
    world.mood('customer-1', { kind: 'error', status: 500 })
    await world.stream(3, 1)
    await world.clock.sleep(world.settings.maxAgeMs + 200_000)
    const states = await world.counts(down.id)
    world.expect('what cannot be delivered is dead, and says why', states['dead'] === 4 && ids.length === 600, JSON.stringify(states))
  },
  settings: { maxAgeMs: 600_000, keeperMs: 5000 },
}
