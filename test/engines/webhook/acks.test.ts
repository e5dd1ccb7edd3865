/** What receivers say afterwards: acknowledgements, digests that they compare, and what they lack. */
import { afterEach, describe, expect, it } from 'vitest'
import { Acks } from '../../../src/engines/webhook/acks.ts'
import { Book } from '../../../src/engines/webhook/book.ts'
import { Digests } from '../../../src/engines/webhook/digest.ts'
import { Reconciler } from '../../../src/engines/webhook/reconcile.ts'
import { ackSignature, digestId, digestOf, digestValid, receiptOf } from '../../../src/engines/webhook/signature.ts'
import { Vault } from '../../../src/engines/webhook/vault.ts'
import { silentLog } from '../../../src/events.ts'
import { Random } from '../../../src/random.ts'
import type { House, Receiver } from './house.ts'
import { openHouse } from './house.ts'

let house: House
afterEach(() => house.close())

async function open(receiver: Receiver, spec: object = {}) {
  house = await openHouse()
  house.receivers.set('http://one.example', receiver)
  const { engine } = house.engine()
  const { endpoint, secret } = await house.live(engine.endpoints.add({ url: 'http://one.example/hook', ...spec }))
  const { id } = endpoint
  const vault = new Vault([Buffer.alloc(32, 7)], Random.seeded(3))
  const setup = { clock: house.clock, store: house.store, log: silentLog, vault }
  const acks = new Acks(setup)
  return {
    engine, id, secret, book: new Book(house), digests: new Digests(setup), reconciler: new Reconciler({ store: house.store, replays: engine.replays }),
    take: async (data: unknown, key?: string) => (await house.live(engine.events.take({ type: 'order.created', data, ...(key === undefined ? {} : { key }) }))).id,
    pass: (ms: number) => house.live(house.clock.sleep(ms)),
    ack: (event: string, { by = secret, aside = 0, as = id, signed = event }: { by?: string; aside?: number; as?: string; signed?: string } = {}) => {
      const timestamp = Math.floor(house.clock.now() / 1000) + aside
      return house.live(acks.take({ 'webhook-timestamp': String(timestamp), 'webhook-ack-signature': ackSignature(by, signed, timestamp) }, { id: event, endpoint: as }))
    },
  }
}

const later: Receiver = () => ({ status: 202, headers: { 'webhook-ack': 'deferred' } })

describe('acknowledgements', () => {
  it('an acknowledged delivery is delivered, and never sent again; one that nobody acknowledges is', async () => {
    const { take, pass, ack, book, id } = await open(later, { ackMs: 60_000 })
    const done = await take(1)
    const forgotten = await take(2)
    await pass(5000)
    expect(house.seen).toHaveLength(2)
    expect(await ack(done)).toEqual({ id: done, endpoint: id, state: 'delivered', repeated: false })
    expect(await ack(done)).toMatchObject({ state: 'delivered', repeated: true })
    expect((await house.live(book.event(done))).deliveries).toMatchObject([{ state: 'delivered', tries: 1 }])
    await pass(70_000)
    expect(house.seen.filter((seen) => seen.id === done)).toHaveLength(1)
    expect(house.seen.filter((seen) => seen.id === forgotten).length).toBeGreaterThan(1)
    expect(await house.live(book.recount(id))).toMatchObject({ agrees: true, waiting: { rows: 1 } })
  })

  it('one that comes before its attempt has ended, or while it is sent again, counts once', async () => {
    const { take, pass, ack, book, id, engine } = await open(() => ({ ...later({} as never, 0), ms: 3000 }) as never, { ackMs: 10_000 })
    const event = await take(1)
    engine.dispatcher.wake()
    await pass(1500)
    expect(engine.dispatcher.inFlight).toBe(1)
    expect(await ack(event)).toMatchObject({ state: 'delivered', repeated: false })
    await pass(30_000)
    expect(house.seen).toHaveLength(1)
    expect(await house.live(book.recount(id))).toMatchObject({ agrees: true, waiting: { rows: 0 } })
  })

  it('the next link of a chain goes when the one before is acknowledged', async () => {
    const { take, pass, ack } = await open(later, { ackMs: 60_000, ordering: 'key' })
    const first = await take(1, 'k')
    const second = await take(2, 'k')
    await pass(5000)
    expect(house.seen.map((seen) => seen.id)).toEqual([first])
    await ack(first)
    await pass(5000)
    expect(house.seen.map((seen) => seen.id)).toEqual([first, second])
  })

  it('is not believed with another secret, another id, a receipt’s signature, an old time, of an unknown endpoint or event', async () => {
    const { take, pass, ack, secret, engine, id } = await open(later, { ackMs: 60_000 })
    const event = await take(1)
    await pass(2000)
    const other = (await house.live(engine.endpoints.add({ url: 'http://two.example/', patterns: ['never'] }))).secret
    for (const wrong of [{ by: other }, { signed: 'evt_other' }, { aside: -301 }, { aside: 301 }, { as: 'ep_none' }]) await expect(ack(event, wrong), JSON.stringify(wrong)).rejects.toMatchObject({ code: 'INVALID_ACK' })
    await expect(ack('evt_none')).rejects.toMatchObject({ code: 'INVALID_ACK' })
    const timestamp = Math.floor(house.clock.now() / 1000)
    const answer = await house.live(engine.handle({ method: 'POST', path: '/v1/acks', headers: { 'webhook-timestamp': String(timestamp), 'webhook-ack-signature': receiptOf(secret, event, timestamp) }, body: JSON.stringify({ id: event, endpoint: id }) }))
    expect(answer.status).toBe(401)
    expect(await house.rows('SELECT state FROM delivery')).toEqual([{ state: 'pending' }])
    expect(await ack(event, { aside: -299 })).toMatchObject({ state: 'delivered' })
  })

  it('of what was given up meanwhile makes it delivered', async () => {
    const { take, pass, ack, book, id } = await open(() => ({ status: 413 }))
    const event = await take(1)
    await pass(2000)
    expect(await house.live(book.dlq(id))).toMatchObject([{ dead: 1 }])
    await ack(event)
    expect(await house.live(book.dlq(id))).toEqual([{ endpoint: id, dead: 0, oldest_at: null, reasons: [] }])
    expect(await house.live(book.recount(id))).toMatchObject({ agrees: true })
  })
})

describe('digests and reconciliation', () => {
  it('a digest is of what was delivered in the window, by numbers and by time, and is signed', async () => {
    const { take, pass, digests, id, secret } = await open(({ body }) => ({ status: body.includes('poor') ? 413 : 204 }))
    const ids: string[] = []
    for (const data of [1, 'poor', 3, 4]) {
      ids.push(await take(data))
      await pass(10_000)
    }
    const now = house.clock.now()
    const delivered = ids.filter((_, n) => n !== 1)
    const whole = await house.live(digests.make(id, {}))
    expect(whole).toMatchObject({ ...digestOf(id, 1, 4, delivered), count: 3 })
    expect(digestValid([secret], digestId(whole), whole.timestamp, whole.signature)).toBe(true)
    expect(digestValid([secret], digestId({ ...whole, count: 4 }), whole.timestamp, whole.signature)).toBe(false)
    expect(await house.live(digests.make(id, { since: now - 25_000 }))).toMatchObject(digestOf(id, 3, 4, ids.slice(2)))
    expect(await house.live(digests.make(id, { until: now - 15_000, from: 2 }))).toMatchObject(digestOf(id, 2, 3, [ids[2]!]))
    expect(await house.live(digests.make(id, { since: now + 1 }))).toMatchObject({ count: 0 })
  })

  it('a receiver that forgot 37 of 10 000 is told exactly which, and gets exactly these again', async () => {
    const { engine, pass, reconciler, digests, id } = await open(() => ({ status: 204, ms: 1 }))
    await pass(2000)
    const ids: string[] = []
    await house.live(house.store.transaction('many', async (tx) => {
      for (let n = 0; n < 10_000; n++) ids.push((await engine.events.enqueue(tx, { type: 'order.created', data: n })).id)
    }))
    engine.dispatcher.wake()
    await pass(60_000)
    expect(house.seen).toHaveLength(10_000)
    const forgotten = new Set(ids.filter((_, n) => n % 270 === 17).slice(0, 37))
    expect(forgotten.size).toBe(37)
    const theirs = ids.filter((each) => !forgotten.has(each))
    const digest = await house.live(digests.make(id, {}))
    expect(digestOf(id, digest.from, digest.to, theirs).sha256).not.toBe(digest.sha256)
    const looked = await house.live(reconciler.compare(id, { ids: [...theirs, 'evt_of_somebody_else'], who: 'test' }))
    expect(looked).toEqual({ endpoint: id, from: 1, to: 10_000, matched: 9963, missing: [...forgotten], extra: ['evt_of_somebody_else'], unconfirmed: [], job: null })
    const { job } = await house.live(reconciler.compare(id, { ids: theirs, redeliver: true, who: 'test' }))
    await pass(30_000)
    expect(house.seen.slice(10_000).map((seen) => seen.id).toSorted()).toEqual([...forgotten].toSorted())
    expect(await house.live(engine.replays.show(job!))).toMatchObject({ state: 'done', matched: 37, delivered: 37 })
    expect(await house.live(reconciler.compare(id, { ids, who: 'test' }))).toMatchObject({ matched: 10_000, missing: [], extra: [], job: null })
  }, 60_000)

  it('what the receiver has and the book does not know of is neither missing nor extra', async () => {
    const { take, pass, reconciler, id } = await open(() => ({ status: 500 }))
    const event = await take(1)
    await pass(2000)
    expect(await house.live(reconciler.compare(id, { ids: [event], who: 'test' }))).toMatchObject({ matched: 0, missing: [], extra: [], unconfirmed: [event] })
    // Nor is what it does not have and was never known to have taken.
    expect(await house.live(reconciler.compare(id, { ids: [], who: 'test' }))).toMatchObject({ missing: [], unconfirmed: [] })
  })

  it('a window too wide is refused', async () => {
    const { reconciler, id } = await open(() => ({ status: 204 }))
    await house.live(house.store.transaction('wide', async (tx) => {
      await tx.query("INSERT INTO event (id, tenant, type, body, created_at) VALUES ('a', 'default', 'a', '', 0), ('b', 'default', 'a', '', 0)")
      await tx.query("INSERT INTO delivery (event, lane, n, state, class, due, tries, strikes, flags, created_at) SELECT seq, 1, CASE id WHEN 'a' THEN 1 ELSE 100001 END, 'delivered', 0, 0, 0, 0, 0, 0 FROM event")
    }))
    await expect(house.live(reconciler.compare(id, { ids: [], who: 'test' }))).rejects.toMatchObject({ code: 'WINDOW_TOO_WIDE' })
    expect(await house.live(reconciler.compare(id, { ids: [], to: 100_000, who: 'test' }))).toMatchObject({ missing: ['a'] })
  })
})
