import { afterEach, expect, it } from 'vitest'
import { ResilError } from '../../../src/errors.ts'
import type { House } from './house.ts'
import { openHouse } from './house.ts'

let house: House
afterEach(() => house.close())

const ONE = 'http://one.example'
const TWO = 'http://two.example'
const FAST = { pollMs: 100, flushMs: 5 }
/** For tests of hours: nobody else writes into the store, so it need not be asked often. */
const SLOW = { pollMs: 60_000, keeperMs: 60_000, beatMs: 60_000, leaseMs: 300_000 }

const wait = (ms: number) => house.live(house.clock.sleep(ms))
const send = async (engine: ReturnType<House['engine']>['engine'], n: number, event: { key?: string; type?: string } = {}) => {
  for (let i = 0; i < n; i++) await house.live(engine.events.take({ type: 'order.created', data: { i }, ...event }))
  engine.dispatcher.wake()
}
const deliveries = () => house.rows<{ id: number; state: string; class: number; strikes: number; tries: number; reason: string | null; due: number }>('SELECT id, state, class, strikes, tries, reason, due FROM delivery ORDER BY id')

it('429 with Retry-After silences the lane for so long, costs the message nothing, and other lanes notice nothing', async () => {
  house = await openHouse(FAST)
  let busy = true
  house.receivers.set(ONE, () => (busy ? { status: 429, headers: { 'retry-after': '120' } } : { status: 204 }))
  house.receivers.set(TWO, () => ({ status: 204 }))
  const { engine } = house.engine()
  await house.live(engine.endpoints.add({ url: `${ONE}/` }))
  await house.live(engine.endpoints.add({ url: `${TWO}/` }))
  await wait(2000)
  await send(engine, 1)
  await wait(1000)
  busy = false
  const at = house.clock.now()
  await send(engine, 5)
  await wait(100_000)
  expect(house.seen.filter(({ origin, at: when }) => origin === ONE && when >= at)).toEqual([])
  expect(house.seen.filter(({ origin }) => origin === TWO)).toHaveLength(6)
  await wait(40_000)
  expect((await deliveries()).map(({ state, strikes }) => `${state} ${strikes}`)).toEqual(Array.from({ length: 12 }, () => 'delivered 0'))
})

it('410 disables the endpoint, holds what waits, tells the owner, and what was held goes when it is enabled again', async () => {
  house = await openHouse(FAST)
  let gone = true
  house.receivers.set(ONE, () => ({ status: gone ? 410 : 204 }))
  house.receivers.set(TWO, () => ({ status: 204 }))
  const { engine } = house.engine()
  const { endpoint } = await house.live(engine.endpoints.add({ url: `${ONE}/`, patterns: ['order.*'] }))
  await house.live(engine.endpoints.add({ url: `${TWO}/`, patterns: ['resil.*'] }))
  await wait(2000)
  await send(engine, 3)
  await wait(5000)
  expect(await house.live(engine.endpoints.show(endpoint.id))).toMatchObject({ state: 'disabled', reason: 'the endpoint answered 410 Gone', waiting: 3 })
  const before = house.seen.filter(({ origin }) => origin === ONE).length
  expect(before).toBeLessThanOrEqual(3)
  expect(house.seen.filter(({ origin }) => origin === TWO).map(({ body }) => (JSON.parse(body) as { type: string }).type)).toEqual(['resil.endpoint.disabled'])
  await send(engine, 2)
  await wait(60_000)
  expect(house.seen.filter(({ origin }) => origin === ONE)).toHaveLength(before)
  gone = false
  await house.live(engine.endpoints.setState(endpoint.id, 'enabled', { who: 'ops', why: 'it is back' }))
  await wait(5000)
  expect((await house.live(engine.endpoints.show(endpoint.id))).waiting).toBe(0)
})

it('a poisoned message dies alone, on a lane that is well', async () => {
  house = await openHouse(SLOW)
  house.receivers.set(ONE, (request) => ({ status: request.body.includes('"i":7,') || request.body.endsWith('"i":7}}') ? 500 : 204 }))
  const { engine } = house.engine()
  await house.live(engine.endpoints.add({ url: `${ONE}/` }))
  await wait(130_000)
  await send(engine, 50)
  for (let hour = 0; hour < 20; hour++) {
    await wait(3_600_000)
    await send(engine, 1, { type: 'order.paid' })
  }
  await wait(1000)
  const rows = await deliveries()
  expect(rows.filter(({ state }) => state === 'dead')).toMatchObject([{ strikes: 8, reason: 'poison: status 500' }])
  expect(rows.filter(({ state }) => state === 'delivered')).toHaveLength(69)
  expect(house.events.filter(({ type }) => type === 'lane.parked')).toEqual([])
}, 60_000)

it('a message that fails alone while its endpoint is down for a night is not poison: nothing else arrived meanwhile', async () => {
  house = await openHouse(SLOW)
  let down = false
  house.receivers.set(ONE, () => ({ status: down ? 503 : 204 }))
  const { engine } = house.engine()
  await house.live(engine.endpoints.add({ url: `${ONE}/` }))
  await wait(130_000)
  await send(engine, 50)
  await wait(60_000)
  down = true
  await send(engine, 1)
  await wait(16 * 3_600_000)
  expect((await deliveries()).at(-1)).toMatchObject({ state: 'pending' })
  down = false
  await wait(13 * 3_600_000)
  expect((await deliveries()).at(-1)).toMatchObject({ state: 'delivered' })
}, 60_000)

it('with a key, one after another; other keys go on', async () => {
  house = await openHouse(FAST)
  house.receivers.set(ONE, (request, seen) => ({ status: request.headers['webhook-attempt'] === '1' && request.body.includes('a0') && seen < 4 ? 500 : 204 }))
  const { engine } = house.engine()
  await house.live(engine.endpoints.add({ url: `${ONE}/`, ordering: 'key' }))
  await wait(2000)
  for (const [key, data] of [['a', 'a0'], ['a', 'a1'], ['b', 'b0'], ['a', 'a2'], ['b', 'b1']]) await house.live(engine.events.take({ type: 'order.created', data, key: key! }))
  engine.dispatcher.wake()
  await wait(2000)
  const seen = () => house.seen.map(({ body }) => (JSON.parse(body) as { data: string }).data)
  expect(seen()).toEqual(expect.arrayContaining(['a0', 'b0', 'b1']))
  expect(seen()).not.toContain('a1')
  await wait(20_000)
  expect(seen().filter((data) => data.startsWith('a'))).toEqual(['a0', 'a0', 'a1', 'a2'])
})

it('fifo: the first that fails holds all others', async () => {
  house = await openHouse(FAST)
  house.receivers.set(ONE, (_, seen) => ({ status: seen === 1 ? 500 : 204, ms: 50 }))
  const { engine } = house.engine()
  await house.live(engine.endpoints.add({ url: `${ONE}/`, ordering: 'fifo' }))
  await wait(2000)
  await send(engine, 4)
  await wait(3000)
  expect(house.seen).toHaveLength(1)
  await wait(10_000)
  expect(house.seen.map(({ headers }) => headers['webhook-sequence'])).toEqual(['1', '1', '2', '3', '4'])
})

it('a rate is kept, evenly', async () => {
  house = await openHouse(FAST)
  house.receivers.set(ONE, () => ({ status: 204 }))
  const { engine } = house.engine()
  await house.live(engine.endpoints.add({ url: `${ONE}/`, perSecond: 10 }))
  await wait(2000)
  await send(engine, 50)
  await wait(8000)
  const times = house.seen.map(({ at }) => at)
  expect(times).toHaveLength(50)
  for (const from of times) expect(times.filter((at) => at >= from && at < from + 1000).length).toBeLessThanOrEqual(10)
  expect(times.at(-1)! - times[0]!).toBeLessThan(5500)
})

it('two nodes share the lanes; when one is gone the other has them all, and what the dead one still writes is refused', async () => {
  house = await openHouse({ ...FAST, leaseMs: 4000 })
  house.receivers.set(ONE, () => ({ status: 204 }))
  house.receivers.set(TWO, () => ({ status: 204 }))
  const first = house.engine('n1')
  const second = house.engine('n2')
  await house.live(first.engine.endpoints.add({ url: `${ONE}/` }))
  await house.live(first.engine.endpoints.add({ url: `${TWO}/` }))
  await wait(10_000)
  expect([...first.engine.dispatcher.lanes.keys(), ...second.engine.dispatcher.lanes.keys()].toSorted()).toEqual([1, 2])
  expect(first.engine.dispatcher.lanes.size).toBe(1)
  await send(first.engine, 10)
  await wait(2000)
  expect(house.seen).toHaveLength(20)
  await second.stop()
  await wait(3000)
  expect(first.engine.dispatcher.lanes.size).toBe(2)
  await send(first.engine, 5)
  await wait(2000)
  expect(house.seen).toHaveLength(30)
  expect(await house.rows('SELECT SUM(seq - delivered) AS waiting, MAX(fence) >= 2 AS moved FROM lane')).toEqual([{ waiting: 0, moved: 1 }])
})

it('a replay of the dead asks once for each, at its pace, with the same id, and counts what came of it', async () => {
  house = await openHouse({ ...FAST, keeperMs: 200 })
  let broken = true
  house.receivers.set(ONE, () => ({ status: broken ? 413 : 204 }))
  const { engine } = house.engine()
  await house.live(engine.endpoints.add({ url: `${ONE}/` }))
  await wait(2000)
  await send(engine, 100)
  await wait(2000)
  const dead = await deliveries()
  expect(dead.every(({ state }) => state === 'dead')).toBe(true)
  broken = false
  const first = new Set(house.seen.map(({ id }) => id))
  expect(await house.live(engine.replays.count({ dlq: true }))).toBe(100)
  const start = house.clock.now()
  const job = await house.live(engine.replays.ask({ filter: { dlq: true }, perSecond: 20, id: 'rp_1', who: 'ops' }))
  expect(job).toMatchObject({ matched: 100, queued: 0, state: 'running' })
  expect(await house.live(engine.replays.ask({ filter: { dlq: true }, perSecond: 20, id: 'rp_1', who: 'ops' }))).toMatchObject({ id: 'rp_1', matched: 100 })
  await wait(12_000)
  expect(await house.live(engine.replays.show('rp_1'))).toMatchObject({ state: 'done', queued: 100, delivered: 100, failed: 0 })
  const again = house.seen.slice(100)
  expect(again).toHaveLength(100)
  expect(again.every(({ id }) => first.has(id))).toBe(true)
  const took = again.at(-1)!.at - start
  expect(took).toBeGreaterThan(4000)
  expect(took).toBeLessThan(6500)
  expect(await house.rows('SELECT delivered, dead FROM lane')).toEqual([{ delivered: 100, dead: 0 }])
})

it('the wall clock that jumps moves no due time', async () => {
  house = await openHouse(FAST)
  house.receivers.set(ONE, (_, seen) => ({ status: seen === 1 ? 500 : 204 }))
  const { engine } = house.engine()
  await house.live(engine.endpoints.add({ url: `${ONE}/` }))
  await wait(2000)
  await send(engine, 1)
  await wait(10_000)
  expect(house.seen).toHaveLength(2)
  expect(house.seen[1]!.at - house.seen[0]!.at).toBeGreaterThan(3900)
  expect(house.seen[1]!.at - house.seen[0]!.at).toBeLessThan(6300)
})

it('what is old and ended is forgotten, with its event and its attempts; what waits is not', async () => {
  house = await openHouse({ ...FAST, keepMs: 60_000, keeperMs: 1000 })
  let down = false
  house.receivers.set(ONE, () => (down ? { code: 'REFUSED' } : { status: 204 }))
  const { engine } = house.engine()
  await house.live(engine.endpoints.add({ url: `${ONE}/` }))
  await wait(2000)
  await send(engine, 50)
  await wait(1000)
  down = true
  await send(engine, 10)
  await wait(120_000)
  expect(await house.rows('SELECT (SELECT COUNT(*) FROM event) AS events, (SELECT COUNT(*) FROM delivery) AS deliveries, (SELECT COUNT(DISTINCT delivery) FROM attempt WHERE delivery <= 50) AS attempts')).toEqual([{ events: 10, deliveries: 10, attempts: 0 }])
})

it('older than three days: dead with a reason, and the owner is told once for all of them', async () => {
  house = await openHouse({ ...SLOW, beatMs: 20_000, leaseMs: 100_000, probeMaxMs: 3_600_000 })
  house.receivers.set(ONE, () => ({ code: 'REFUSED' }))
  house.receivers.set(TWO, () => ({ status: 204 }))
  const { engine } = house.engine()
  await house.live(engine.endpoints.add({ url: `${ONE}/`, patterns: ['order.*'] }))
  await house.live(engine.endpoints.add({ url: `${TWO}/`, patterns: ['resil.delivery.*'] }))
  await wait(40_000)
  await send(engine, 20)
  await wait(73 * 3_600_000)
  expect((await deliveries()).slice(0, 20).map(({ state, reason }) => `${state} ${reason}`)).toEqual(Array.from({ length: 20 }, () => 'dead age'))
  expect(house.seen.filter(({ origin }) => origin === TWO).map(({ body }) => (JSON.parse(body) as { data: { deliveries: number } }).data.deliveries)).toEqual([20])
}, 60_000)

it('a node that learns from its fence and from its beat in one commit that a lane is another\'s goes on', async () => {
  house = await openHouse(FAST)
  house.receivers.set(ONE, () => ({ status: 204, ms: 3000 }))
  // As in a process that was stopped and goes on: the beat is due together with the end of an attempt, and behind it.
  let holds = false
  let release = () => {}
  const { engine, stop } = house.engine('n1', {}, (store) => ({
    insideTransaction: false,
    migrate: (migrations) => store.migrate(migrations),
    close: () => store.close(),
    transaction(name, work) {
      const begun = () => store.transaction(name, work)
      if (name === 'beat' && holds) return new Promise<void>((resolve) => (release = resolve)).then(begun)
      const result = begun()
      if (name === 'finish') release()
      return result
    },
  }))
  await house.live(engine.endpoints.add({ url: `${ONE}/` }))
  await wait(2000)
  await send(engine, 1)
  await wait(500)
  holds = true
  await house.rows("INSERT INTO node (name, life, beat, started_at) VALUES ('n2', 'life_2', 1, 0)")
  await house.rows("UPDATE lane SET owner = 'life_2', fence = fence + 1")
  await wait(4000)
  holds = false
  release()
  await wait(2000)
  expect(house.events.filter(({ type }) => type === 'lane.fenced')).toHaveLength(1)
  await stop()
})

it('a message that is answered several times within one commit ends as its last answer says', async () => {
  house = await openHouse({ ...FAST, flushMs: 200 })
  house.receivers.set(ONE, (_, seen) => (seen < 4 ? { status: 429, headers: { 'retry-after': '0' } } : { status: 204 }))
  const { engine } = house.engine()
  await house.live(engine.endpoints.add({ url: `${ONE}/` }))
  await wait(2000)
  await send(engine, 1)
  await wait(1000)
  expect(house.seen).toHaveLength(4)
  expect(await deliveries()).toMatchObject([{ state: 'delivered', tries: 4 }])
})

it('a node that comes back under its name counts its beats on, also when its first beat failed', async () => {
  house = await openHouse(FAST)
  const beats = () => house.rows<{ life: string; beat: number }>('SELECT life, beat FROM node')
  await house.rows("INSERT INTO node (name, life, beat, started_at) VALUES ('n1', 'life_before', 3, 0)")
  let first = true
  house.engine('n1', { beatMs: 1000 }, (store) => ({
    insideTransaction: false,
    migrate: (migrations) => store.migrate(migrations),
    close: () => store.close(),
    async transaction(name, work) {
      if (name !== 'beat' || !first) return store.transaction(name, work)
      first = false
      return store.transaction(name, async (tx) => {
        await work(tx)
        throw new ResilError('STORE_FULL', 'the disk is full')
      })
    },
  }))
  await wait(500)
  expect(await beats()).toMatchObject([{ life: 'life_before', beat: 3 }])
  for (const beat of [4, 5, 6, 7]) {
    await wait(1000)
    expect(await beats()).toMatchObject([{ beat }])
  }
  expect(house.events.filter(({ type }) => type === 'store.failed')).toHaveLength(1)
})

it('what a look has seen in a commit that failed was never there: it is not sent, and what comes in its place is', async () => {
  house = await openHouse({ ...FAST, beatMs: 60_000, leaseMs: 300_000 })
  house.receivers.set(ONE, () => ({ status: 204 }))
  let fails = false
  const { engine } = house.engine('n1', {}, (store) => ({
    insideTransaction: false,
    migrate: (migrations) => store.migrate(migrations),
    close: () => store.close(),
    transaction(name, work) {
      if (name !== 'claim' || !fails) return store.transaction(name, work)
      fails = false
      // As when a producer's event shares the commit of the look, and the disk is full.
      return store.transaction(name, async (tx) => {
        await engine.events.enqueue(tx, { type: 'order.created', data: 'never' })
        await work(tx)
        throw new ResilError('COMMIT_UNKNOWN', 'the disk is full')
      })
    },
  }))
  await house.live(engine.endpoints.add({ url: `${ONE}/` }))
  await wait(61_000)
  fails = true
  await wait(10_000)
  expect(fails).toBe(false)
  expect(house.seen).toEqual([])
  await send(engine, 1)
  await wait(1000)
  expect(house.seen.map(({ body }) => (JSON.parse(body) as { data: unknown }).data)).toEqual([{ i: 0 }])
  expect(await deliveries()).toMatchObject([{ id: 1, state: 'delivered' }])
})
