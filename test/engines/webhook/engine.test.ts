import { afterEach, expect, it } from 'vitest'
import { verifier } from '../../../src/engines/webhook/signature.ts'
import type { House } from './house.ts'
import { openHouse } from './house.ts'

let house: House
afterEach(() => house.close())

const URL_1 = 'http://one.example/hook'

it('an event goes to each endpoint that is told of its type, signed, once', async () => {
  house = await openHouse()
  house.receivers.set('http://one.example', () => ({ status: 204 }))
  house.receivers.set('http://two.example', () => ({ status: 200 }))
  const { engine } = house.engine()
  const one = await house.live(engine.endpoints.add({ url: URL_1, patterns: ['order.*'] }))
  await house.live(engine.endpoints.add({ url: 'http://two.example/hook', patterns: ['refund.issued'] }))
  await house.live(house.clock.sleep(2000))
  const taken = await house.live(engine.events.take({ type: 'order.created', data: { order: 7 } }))
  expect(taken).toMatchObject({ deliveries: 1, replayed: false })
  engine.dispatcher.wake()
  await house.live(house.clock.sleep(1000))
  expect(house.seen).toHaveLength(1)
  const [request] = house.seen
  expect(request).toMatchObject({ origin: 'http://one.example', id: taken.id, headers: { 'webhook-sequence': '1', 'webhook-attempt': '1' } })
  expect(JSON.parse(request!.body)).toMatchObject({ type: 'order.created', data: { order: 7 } })
  expect(verifier([one.secret]).verify(request!.headers, request!.body, house.clock.now())).toMatchObject({ ok: true })
  expect(await house.rows('SELECT state, tries FROM delivery')).toEqual([{ state: 'delivered', tries: 1 }])
  expect(await house.rows('SELECT outcome, status FROM attempt')).toEqual([{ outcome: 'delivered', status: 204 }])
  expect(await house.rows('SELECT seq, delivered FROM lane WHERE lane = 1')).toEqual([{ seq: 1, delivered: 1 }])
})

it('down for two hours: nothing is lost, hardly a request is spent, and all arrives within minutes', async () => {
  house = await openHouse({ beatMs: 10_000, leaseMs: 60_000, pollMs: 5000, keeperMs: 60_000 })
  let down = true
  house.receivers.set('http://one.example', () => (down ? { code: 'REFUSED', ms: 1 } : { status: 204, ms: 30 }))
  const { engine } = house.engine()
  const { endpoint } = await house.live(engine.endpoints.add({ url: URL_1, perSecond: 100 }))
  await house.live(house.clock.sleep(15_000))
  const MANY = 1000
  for (let n = 0; n < MANY; n++) {
    await house.live(engine.events.take({ type: 'order.created', data: { n } }))
    await house.live(house.clock.sleep(7_200_000 / MANY))
  }
  expect(house.seen.length).toBeLessThan(250)
  down = false
  const back = house.clock.now()
  await house.live(house.clock.sleep(300_000))
  const arrived = await house.rows<{ n: number; last: number }>("SELECT COUNT(*) AS n, MAX(ended_at) AS last FROM delivery WHERE state = 'delivered'")
  expect(arrived[0]!.n).toBe(MANY)
  expect(arrived[0]!.last - back).toBeLessThan(120_000)
  expect(house.seen.length).toBeLessThan(MANY * 1.2)
  expect(await house.rows('SELECT seq - delivered - dead AS waiting, failures FROM lane')).toEqual([{ waiting: 0, failures: 0 }])
  expect((await house.live(engine.endpoints.show(endpoint.id))).waiting).toBe(0)
}, 60_000)
