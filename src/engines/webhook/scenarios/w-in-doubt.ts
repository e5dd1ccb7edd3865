import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const EVENTS = 200

export const scenario: WebhookScenario = {
  name: 'W-IN-DOUBT',
  summary: 'commits go well and say that they did not: whoever sends asks again with its key, and what was written is not written twice',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'store', mode: 'byzantine' }],
  needsProcess: true,
  async drive(world) {
    await world.subscribe('customer-1', { ordering: 'key' })
    world.mood('customer-1', { kind: 'reject_every', every: 3 })
    for (const site of ['tx:finish', 'tx:claim', 'tx:beat']) for (const nth of [2, 3, 8, 12]) world.spoil({ site, nth, how: 'in_doubt' })
    for (const nth of [10, 11, 30]) world.spoil({ site: 'tx:enqueue', nth, how: 'in_doubt' })
    const ids = await world.stream(EVENTS, 20, (n) => ({ type: 'order.created', data: { n, key: `order-${n % 20}` }, key: `order-${n % 20}` }))
    world.spoil({ site: 'tx:beat', nth: 1, how: 'in_doubt' })
    await world.subscribe('customer-2')
    const more = await world.stream(20, 20)
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('all comes to rest', await world.settled(300_000), JSON.stringify(await world.counts()))
    const arrived = world.inbox('customer-2').length
    world.expect('a lane that was taken in doubt is worked on', arrived === more.length, `${arrived} of ${more.length} arrived`)
    const [{ events }] = (await world.store.transaction('look', (tx) => tx.query<{ events: number }>('SELECT COUNT(*) AS events FROM event'))) as [{ events: number }]
    world.expect('each event is there once', events === EVENTS + 20 && new Set([...ids, ...more]).size === events, `${events} events`)
    const untrue = await world.store.transaction('look', (tx) => tx.query<{ id: number; tries: number; attempts: number }>('SELECT d.id, d.tries, COUNT(a.n) AS attempts FROM delivery d LEFT JOIN attempt a ON a.delivery = d.id GROUP BY d.id HAVING attempts <> d.tries'))
    world.expect('attempts are counted once', untrue.length === 0, `${untrue.length} deliveries count more or fewer attempts than there are`)
    const last = new Map<string | null, number>()
    const behind = world.inbox('customer-1').filter(({ processed, key, sequence }) => {
      if (!processed || key === null) return false
      const before = last.get(key) ?? 0
      last.set(key, sequence!)
      return sequence! < before
    })
    world.expect('what belongs together comes in its order', behind.length === 0 && last.size === 20, `${behind.length} came behind a later one, of ${last.size} keys`)
    const twice = world.inbox('customer-1').filter(({ duplicate }) => duplicate).length
    world.expect('nobody is told twice', twice === 0, `${twice} came twice`)
  },
}
