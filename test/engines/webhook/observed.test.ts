/** What a node says of how its lanes stand. */
import { afterEach, expect, test } from 'vitest'
import type { LaneSeen } from '../../../src/engines/webhook/observed.ts'
import type { House } from './house.ts'
import { openHouse } from './house.ts'

const ONE = 'https://one.example'
const TWO = 'https://two.example'

let house: House
afterEach(() => house.close())

const said = () => house.events.filter(({ type }) => type === 'lanes.observed')
const wait = (ms: number) => house.live(house.clock.sleep(ms))

async function twoLanes() {
  house.receivers.set(ONE, () => ({ code: 'REFUSED' }))
  house.receivers.set(TWO, () => ({ status: 204 }))
  const { engine, stop } = house.engine()
  const { endpoint: down } = await house.live(engine.endpoints.add({ url: `${ONE}/` }))
  const { endpoint: well } = await house.live(engine.endpoints.add({ url: `${TWO}/` }))
  await wait(2000)
  for (let n = 0; n < 20; n++) await house.live(engine.events.take({ type: 'order.created', data: { n } }))
  engine.dispatcher.wake()
  const lane = (id: string) => (said().at(-1)!['lanes'] as LaneSeen[]).find(({ endpoint }) => endpoint === id)!
  return { engine, stop, down, well, lane }
}

test('nobody asked: nothing is said', async () => {
  house = await openHouse()
  await twoLanes()
  await wait(3000)
  expect(said()).toEqual([])
})

test('backlog, age, breaker and failures are as the store and the owner have them, at most twice a second', async () => {
  house = await openHouse({ observed: true, beatMs: 50 })
  const { down, well, lane } = await twoLanes()
  await wait(3000)
  expect(lane(down.id)).toMatchObject({ state: 'enabled', waiting: 20, dead: 0, parked: true, limit: 1 })
  expect(lane(down.id).failures).toBeGreaterThanOrEqual(5)
  expect(lane(down.id).oldestMs).toBeGreaterThan(2000)
  expect(lane(down.id).oldestMs).toBeLessThan(4000)
  expect(lane(down.id).nextMs).toBeGreaterThan(0)
  expect(lane(well.id)).toMatchObject({ waiting: 0, oldestMs: null, parked: false, failures: 0, nextMs: 0 })
  const times = said().map(({ t }) => t)
  expect(Math.min(...times.slice(1).map((t, n) => t - times[n]!))).toBeGreaterThanOrEqual(500)
})

test('the last word is said when the node leaves', async () => {
  house = await openHouse({ observed: true, beatMs: 60_000, leaseMs: 600_000 })
  const { stop, well, lane } = await twoLanes()
  await wait(70_000)
  await stop()
  expect(said().at(-1)!.seq).toBeGreaterThan(house.events.findLast(({ type }) => type === 'delivery.attempted')!.seq)
  expect(lane(well.id).waiting).toBe(0)
})
