import { afterEach, describe, expect, it } from 'vitest'
import { Book, LOOKED_AT_MOST } from '../../../src/engines/webhook/book.ts'
import type { House } from './house.ts'
import { openHouse } from './house.ts'

let house: House
afterEach(() => house.close())

const one = 'http://one.example/hook'

describe('pages', () => {
  it('of deliveries show each once, of one endpoint and of all, and a cursor of another question is refused', async () => {
    house = await openHouse()
    const { engine } = house.engine()
    const book = new Book(house)
    const { endpoint } = await house.live(engine.endpoints.add({ url: one }))
    await house.live(engine.endpoints.add({ url: 'http://two.example/hook' }))
    await house.live(engine.endpoints.setState(endpoint.id, 'paused', { who: 'test', why: '' }))
    for (let n = 0; n < 25; n++) await house.live(engine.events.take({ type: n % 5 ? 'a.b' : 'c.d', data: n }))
    const walk = async (filter: object) => {
      const seen: number[] = []
      for (let cursor: string | undefined; ; ) {
        const page = await house.live(book.deliveries({ ...filter, limit: 4, ...(cursor === undefined ? {} : { cursor }) }))
        seen.push(...page.deliveries.map(({ id }) => id))
        if (page.next === null) return seen
        cursor = page.next
      }
    }
    for (const [filter, many] of [[{}, 50], [{ endpoint: endpoint.id }, 25], [{ endpoint: endpoint.id, type: 'c.*' }, 5], [{ state: 'dead' }, 0], [{ endpoint: endpoint.id, state: 'pending', type: 'a.b' }, 20]] as const) {
      const seen = await walk(filter)
      expect(seen).toEqual([...new Set(seen)].toSorted((a, b) => b - a))
      expect(seen, JSON.stringify(filter)).toHaveLength(many)
    }
    const { next } = await house.live(book.deliveries({ endpoint: endpoint.id, limit: 1 }))
    await expect(house.live(book.deliveries({ cursor: next! }))).rejects.toMatchObject({ code: 'BAD_FILTER' })
    expect((await house.live(book.deliveries({ since: house.clock.now() + 1 }))).deliveries).toEqual([])
  })

  it('look at a bounded number of rows, and say where the next one begins though they found nothing', async () => {
    house = await openHouse()
    const many = LOOKED_AT_MOST + 5
    await fill(house, many)
    const book = new Book(house)
    const first = await house.live(book.deliveries({ type: 'rare.one' }))
    expect(first).toEqual({ deliveries: [], next: 'id6' })
    expect(await house.live(book.deliveries({ type: 'rare.one', cursor: first.next! }))).toEqual({ deliveries: [], next: null })
    expect(await house.live(book.events({ type: 'rare.one' }))).toEqual({ events: [], next: LOOKED_AT_MOST })
    expect(await house.live(book.events({ type: 'rare.one', after: LOOKED_AT_MOST }))).toEqual({ events: [], next: null })
  })
})

/** `many` deliveries that wait in one lane, written behind the engine's back. */
async function fill(of: House, many: number): Promise<void> {
  const { engine } = of.engine('n1', { replaysOnly: true })
  await of.live(engine.endpoints.add({ url: one }))
  await of.live(of.store.transaction('fill', async (tx) => {
    await tx.query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many) INSERT INTO event (id, tenant, type, body, created_at) SELECT 'evt_' || i, 'default', 'a.b', '{}', :now FROM n", { many, now: of.clock.now() })
    await tx.query("INSERT INTO delivery (event, lane, n, state, class, due, tries, strikes, flags, created_at) SELECT seq, 1, seq, 'pending', 0, 0, 0, 0, 0, created_at FROM event")
    await tx.query('UPDATE lane SET seq = :many', { many })
  }))
}

describe('lanes', () => {
  it('are healthy, parked with the time of the next probe, quiet, slow, paused or disabled', async () => {
    house = await openHouse()
    const { engine } = house.engine()
    const book = new Book(house)
    const ids: Record<string, string> = {}
    const receivers = { healthy: () => ({ status: 204 }), parked: () => ({ code: 'REFUSED' }), quiet: () => ({ status: 429, headers: { 'retry-after': '600' } }), slow: () => ({ status: 204, ms: 10_000 }), paused: () => ({ status: 204 }), disabled: () => ({ status: 410 }) }
    for (const [name, receiver] of Object.entries(receivers)) {
      house.receivers.set(`http://${name}.example`, receiver)
      ids[name] = (await house.live(engine.endpoints.add({ url: `http://${name}.example/`, ...(name === 'slow' ? { places: 1 } : {}) }))).endpoint.id
    }
    await house.live(engine.endpoints.setState(ids['paused']!, 'paused', { who: 'test', why: 'lunch' }))
    await house.live(house.clock.sleep(2000))
    for (let n = 0; n < 20; n++) await house.live(engine.events.take({ type: 'a.b', data: n }))
    await house.live(house.clock.sleep(45_000))
    const { lanes } = await house.live(book.lanes())
    expect(Object.fromEntries(lanes.map((lane) => [lane.endpoint, lane.state]))).toEqual(Object.fromEntries(Object.entries(ids).map(([name, id]) => [id, name])))
    const of = (name: string) => lanes.find(({ endpoint }) => endpoint === ids[name])!
    expect(of('parked')).toMatchObject({ waiting: 20, failures: expect.any(Number) })
    expect(of('parked').next_at!).toBeGreaterThan(house.clock.now() - 1000)
    expect(of('quiet').next_at! - house.clock.now()).toBeGreaterThan(500_000)
    expect(of('slow').oldest_ms!).toBeGreaterThan(44_000)
    expect(of('healthy')).toMatchObject({ waiting: 0, oldest_ms: null, delivered: 20 })
    expect(await house.live(book.lane(ids['paused']!))).toMatchObject({ state: 'paused', reason: 'lunch', waiting: 20 })
    // And the counters are what a recount finds.
    for (const id of Object.values(ids)) expect(await house.live(book.recount(id))).toMatchObject({ agrees: true })
    await house.live(house.store.transaction('spoil', (tx) => tx.query('UPDATE lane SET delivered = delivered - 1')))
    for (const id of Object.values(ids)) expect(await house.live(book.recount(id))).toMatchObject({ agrees: false })
  })

  it('are told of by index, whatever waits in them', async () => {
    house = await openHouse()
    await fill(house, 1000)
    const asked: { sql: string; params: unknown }[] = []
    const spied = { ...house, store: { transaction: (name: string, work: any) => house.store.transaction(name, (tx) => work({ query: (sql: string, params = {}) => (asked.push({ sql, params }), tx.query(sql, params)) })) } } as unknown as House
    const book = new Book(spied)
    const { endpoint } = (await house.live(book.lanes())).lanes[0]!
    await house.live(book.deliveries({ endpoint }))
    await house.live(book.deliveries({ endpoint, state: 'dead' }))
    await house.live(book.dlq(endpoint))
    await house.live(book.event('evt_7'))
    expect(asked.length).toBeGreaterThan(7)
    for (const { sql, params } of asked) {
      const plan = await house.live(house.store.transaction('plan', (tx) => tx.query<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`, params as never)))
      // Endpoints are few; deliveries, events and attempts are not.
      for (const { detail } of plan) expect(detail, sql).not.toMatch(/^SCAN (d|delivery|event|a|attempt|l)\b/)
      expect(plan.length).toBeGreaterThan(0)
    }
  })
})
