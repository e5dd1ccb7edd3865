import { afterEach, describe, expect, it } from 'vitest'
import { verify } from '../../../src/engines/payment/ledger.ts'
import { forceBreaker, listBreakers, resolvePayment } from '../../../src/engines/payment/operator.ts'
import { openDossier } from '../../../src/engines/payment/dossier.ts'
import { closeAll, openAlone } from './alone.ts'

afterEach(closeAll)

const maria = { who: 'maria', why: 'seen at the bank' }

type World = Awaited<ReturnType<typeof openAlone>>

/** A payment that the bank charged and whose look-ups tell nothing for a while; and the answer that its client waits for. */
async function doubtful(world: World) {
  world.mocks.bank.lie({ kind: 'charge_then_500', times: 1, after: 0, ms: 0 })
  world.mocks.bank.lie({ kind: 'lookup_down', times: 40, after: 0, ms: 0 })
  const told = world.pay()
  await world.clock.sleep(100)
  const [payment] = await world.store.transaction('look', (tx) => tx.query<{ id: string; state: string }>('SELECT id, state FROM payments'))
  expect(payment!.state).toBe('unknown')
  return { id: payment!.id, told }
}

const one = (world: World, sql: string, id: string) => world.store.transaction('look', async (tx) => (await tx.query(sql, { id }))[0])
const chargeOf = (world: World) => world.mocks.bank.ledger.charges[0]!.id

describe('a payment that is resolved while the engine looks for the truth', () => {
  it('as charged: the client that waits is told so, it is booked and announced once, and the engine lets go of it', async () => {
    const world = await openAlone()
    const asked: string[] = []
    world.log.subscribe((event) => void asked.push(event.type), (type) => type === 'bank.received')
    await world.run(async () => {
      const { id, told } = await doubtful(world)
      await resolvePayment(world.store, world.clock, world.random, id, { kind: 'charged', charge: chargeOf(world) }, maria)
      expect(await told).toEqual({ status: 201, id })
      await world.clock.sleep(5000)
      const before = asked.length
      await world.clock.sleep(600_000)
      expect(asked.length).toBe(before)
      expect(await one(world, 'SELECT state, charge, answer_status, card FROM payments WHERE id = :id', id)).toEqual({ state: 'succeeded', charge: chargeOf(world), answer_status: 201, card: null })
      expect(await one(world, "SELECT COUNT(*) AS n FROM outbox WHERE payment = :id AND kind = 'notification' AND state = 'sent'", id)).toEqual({ n: 1 })
      expect(await world.store.transaction('verify', verify)).toMatchObject({ entries: 2 })
      expect((await openDossier(world.store, id))!.facts.filter(({ fact }) => fact === 'operator.acted')).toMatchObject([{ who: 'maria', what: 'resolve as charged', why: 'seen at the bank' }])
    })
  })

  it('as not charged, and the bank says afterwards that it was: the charge is undone, and the mismatch is said', async () => {
    const world = await openAlone()
    const contradicted: unknown[] = []
    world.log.subscribe((event) => void contradicted.push(event['payment']), (type) => type === 'payment.contradicted')
    await world.run(async () => {
      const { id, told } = await doubtful(world)
      await resolvePayment(world.store, world.clock, world.random, id, { kind: 'not-charged' }, maria)
      expect(await told).toEqual({ status: 409, id })
      await world.tell('evt_1', { id: chargeOf(world), status: 'succeeded', amount: 9900, currency: 'USD', reference: id })
      await world.clock.sleep(5000)
      expect(contradicted).toEqual([id])
      expect(await one(world, "SELECT state FROM outbox WHERE payment = :id AND kind = 'void'", id)).toEqual({ state: 'sent' })
      expect(world.mocks.bank.ledger.voids).toMatchObject([{ reference: id }])
    })
  })

  it('by two at once: one deed is done, the other is refused, and one is written down', async () => {
    const world = await openAlone()
    await world.run(async () => {
      const { id, told } = await doubtful(world)
      const deeds = await Promise.allSettled([
        resolvePayment(world.store, world.clock, world.random, id, { kind: 'charged', charge: chargeOf(world) }, maria),
        resolvePayment(world.store, world.clock, world.random, id, { kind: 'not-charged' }, { who: 'otto', why: 'no idea' }),
      ])
      expect(deeds.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
      expect(deeds.find((deed) => deed.status === 'rejected')).toMatchObject({ reason: { code: 'NOT_IN_DOUBT' } })
      expect(await one(world, 'SELECT COUNT(*) AS n FROM audits WHERE subject = :id', id)).toEqual({ n: 1 })
      await told
    })
  })

  it('what the bank says by its event is kept with the payment', async () => {
    const world = await openAlone()
    await world.run(async () => {
      const { id, told } = await doubtful(world)
      await world.tell('evt_7', { id: chargeOf(world), status: 'succeeded', amount: 9900, currency: 'USD', reference: id })
      expect(await told).toEqual({ status: 201, id })
      expect((await openDossier(world.store, id))!.facts).toContainEqual(expect.objectContaining({ fact: 'evidence.kept', what: "the bank's event evt_7 says succeeded" }))
    })
  })
})

describe('breakers', () => {
  it('the last deed about each is told, and since when; a name that no service has is refused', async () => {
    const world = await openAlone()
    await world.run(async () => {
      await forceBreaker(world.store, world.clock, 'bank', 'open', { who: 'otto', why: 'drill' })
      await world.clock.sleep(2000)
      const at = world.clock.now()
      await forceBreaker(world.store, world.clock, 'bank', 'metrics_only', maria)
      expect(await listBreakers(world.store)).toMatchObject([
        { name: 'bank', state: 'metrics-only', forced: 'metrics_only', since: at, deed: { who: 'maria', what: 'breaker metrics only' } },
        { name: 'fraud', state: 'closed', since: null, deed: null },
        { name: 'notification', state: 'closed', since: null, deed: null },
      ])
      await expect(forceBreaker(world.store, world.clock, 'bnak', 'open', maria)).rejects.toMatchObject({ code: 'NO_SUCH_BREAKER' })
      expect(await listBreakers(world.store)).toHaveLength(3)
    })
  })

  it('one that opened by itself is told with when it tries again', async () => {
    const world = await openAlone()
    await world.run(async () => {
      world.world.bankDown = true
      await Promise.all(Array.from({ length: 30 }, () => world.pay()))
      await world.clock.sleep(1500)
      const [bank] = await listBreakers(world.store)
      expect(bank).toMatchObject({ name: 'bank', state: 'open', forced: null, deed: null })
      expect(bank!.untilAt! - bank!.since!).toBeGreaterThanOrEqual(5000)
      expect(bank!.untilAt! - bank!.since!).toBeLessThanOrEqual(5500)
    })
  })
})
