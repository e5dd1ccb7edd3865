/** The lies about captures, refunds, voids and answers: what is told, and what is true. */
import { describe, expect, test } from 'vitest'
import type { HttpResponse } from '../../../src/network.ts'
import { openBank, read } from './open-bank.ts'

type World = ReturnType<typeof openBank>

/** The three works that have the same three lies: how each is asked for, and how often it was done. */
const WORKS: Record<string, { prepare: (world: World) => Promise<string>; ask: (world: World, id: string) => Promise<HttpResponse>; done: (world: World) => number }> = {
  capture: {
    prepare: async ({ authorise }) => read(await authorise()).id,
    ask: ({ capture }, id) => capture(id, 9900, 'work-1'),
    done: ({ of }) => of('bank.charged').length,
  },
  refund: {
    prepare: async ({ charge }) => read(await charge()).id,
    ask: ({ refund }, id) => refund(id, 9900, 'work-1'),
    done: ({ of }) => of('bank.refunded').length,
  },
  void: {
    prepare: async ({ charge }) => read(await charge()).id,
    ask: ({ shut }) => shut(),
    done: ({ of }) => of('bank.voided').length,
  },
}

describe.each(Object.keys(WORKS))('a %s', (name) => {
  const { prepare, ask, done } = WORKS[name]!

  test('that is done and answered with 500: asked again it is not done again', async () => {
    const world = openBank()
    await world.run(async () => {
      const id = await prepare(world)
      world.tell(`${name}_then_500`)
      expect((await ask(world, id)).status).toBe(500)
      expect(done(world)).toBe(1)
      expect((await ask(world, id)).status).toBe(name === 'void' ? 200 : 500)
      expect(done(world)).toBe(1)
    })
  })

  test('that is done and cut off: asked again it is answered truly', async () => {
    const world = openBank()
    await world.run(async () => {
      const id = await prepare(world)
      world.tell(`${name}_then_reset`)
      await expect(ask(world, id)).rejects.toMatchObject({ code: 'CONNECTION_CUT' })
      expect(done(world)).toBe(1)
      expect((await ask(world, id)).status).toBe(name === 'void' ? 200 : 201)
      expect(done(world)).toBe(1)
    })
  })

  test('that is done long after its 504', async () => {
    const world = openBank()
    await world.run(async () => {
      const id = await prepare(world)
      world.tell(`delayed_${name}`, { ms: 5000 })
      const asked = world.clock.monotonic()
      expect((await ask(world, id)).status).toBe(504)
      await world.clock.sleep(4999)
      expect([world.clock.monotonic() - asked, done(world)]).toEqual([4999, 0])
      await world.clock.sleep(1)
      expect(done(world)).toBe(1)
      expect((await ask(world, id)).status).toBe(name === 'void' ? 200 : 201)
      expect(done(world)).toBe(1)
    })
  })
})

test('a refund or capture that would be refused passes a lie uncounted', async () => {
  const { charge, refund, capture, tell, run, of } = openBank()
  await run(async () => {
    const { id } = read(await charge())
    for (const kind of ['refund_then_500', 'capture_then_500']) tell(kind)
    expect([(await refund(id, 9901)).status, (await capture(id)).status, of('bank.lied').length]).toEqual([400, 409, 0])
  })
})

test('U17 failed_body charges and calls its own time-out a failure; look-ups tell the truth', async () => {
  const { charge, find, tell, run, of } = openBank()
  await run(async () => {
    tell('failed_body')
    const answer = await charge()
    expect([answer.status, read(answer)]).toMatchObject([200, { status: 'failed', code: 'NR' }])
    expect(await charge()).toMatchObject({ body: answer.body, headers: { 'idempotent-replayed': 'true' } })
    expect(read(await find('key=key-1')).charges).toMatchObject([{ status: 'succeeded' }])
    expect(of('bank.charged')).toHaveLength(1)
  })
})

test('U14 in_progress answers 409 until the work is done, then what came of it', async () => {
  const { clock, charge, tell, run, of } = openBank()
  await run(async () => {
    tell('in_progress', { ms: 3000 })
    for (const _ of [1, 2]) expect(read(await charge())).toMatchObject({ status: 409, code: 'idempotency_key_in_use' })
    expect(of('bank.charged')).toEqual([])
    await clock.sleep(3000)
    expect(await charge()).toMatchObject({ status: 201, headers: { 'idempotent-replayed': 'true' } })
    expect(of('bank.charged')).toHaveLength(1)
  })
})

test('U11 refused_then_original: 503 with Retry-After, as if nothing had been processed, and the original arrives all the same', async () => {
  const { clock, charge, find, tell, run } = openBank()
  await run(async () => {
    tell('refused_then_original', { ms: 60_000 })
    expect(await charge()).toMatchObject({ status: 503, headers: { 'retry-after': '60' } })
    expect(read(await find('key=key-1')).charges).toEqual([])
    await clock.sleep(61_000)
    expect(read(await find('key=key-1')).charges).toHaveLength(1)
  })
})

describe('U11 original_after', () => {
  test('the bank knows nothing until the original arrives, which then charges', async () => {
    const { clock, charge, find, tell, run, of } = openBank()
    await run(async () => {
      tell('original_after', { ms: 600_000 })
      expect((await charge()).status).toBe(504)
      expect(read(await find('key=key-1')).charges).toEqual([])
      expect(read(await find('reference=order-1')).charges).toEqual([])
      await clock.sleep(600_000)
      expect(of('bank.charged')).toMatchObject([{ t: 600_000 }])
      expect(read(await find('key=key-1')).charges).toHaveLength(1)
    })
  })

  test('a resend under the key is executed, and the original finds it done', async () => {
    const { clock, charge, tell, run, of } = openBank()
    await run(async () => {
      tell('original_after', { ms: 600_000 })
      await charge()
      expect((await charge()).status).toBe(201)
      await clock.sleep(600_000)
      expect([of('bank.charged').length, of('bank.replayed').length]).toEqual([1, 1])
    })
  })

  test('a void closes the door before it', async () => {
    const { clock, charge, shut, tell, run, of } = openBank()
    await run(async () => {
      tell('original_after', { ms: 600_000 })
      await charge()
      await shut()
      await clock.sleep(600_000)
      expect(of('bank.charged')).toEqual([])
    })
  })
})

test('a bank that is closed does nothing more: what was to come later does not', async () => {
  const { bank, clock, charge, tell, run, of } = openBank()
  await run(async () => {
    tell('original_after', { ms: 600_000 })
    tell('delayed_apply', { ms: 600_000 })
    for (const key of ['a', 'b']) expect((await charge(key)).status).toBe(504)
    bank.close!()
    await clock.sleep(1_000_000)
    expect(of('bank.charged')).toEqual([])
  })
})

test.each([
  ['wrong_currency', { currency: 'EUR' }],
  ['wrong_reference', { reference: 'order-1-other' }],
])('%s charges what was asked and answers otherwise, again and again; look-ups tell the truth', async (kind, told) => {
  const { charge, find, tell, run } = openBank()
  await run(async () => {
    tell(kind)
    for (const _ of [1, 2]) expect(read(await charge())).toMatchObject({ status: 'succeeded', ...told })
    expect(read(await find('key=key-1')).charges).toMatchObject([{ currency: 'USD', reference: 'order-1' }])
  })
})

describe('U13 key_forgotten', () => {
  test('the resend charges again', async () => {
    const { charge, tell, run, of } = openBank()
    await run(async () => {
      tell('key_forgotten')
      expect((await charge()).status).toBe(201)
      expect(of('bank.lied')).toEqual([])
      expect((await charge()).headers['idempotent-replayed']).toBeUndefined()
      expect((await charge()).headers['idempotent-replayed']).toBe('true')
      expect(of('bank.charged')).toHaveLength(2)
    })
  })

  test('a look-up by key finds nothing, by reference it does', async () => {
    const { charge, find, tell, run } = openBank()
    await run(async () => {
      await charge()
      tell('key_forgotten')
      expect(read(await find('key=key-1')).charges).toEqual([])
      expect(read(await find('reference=order-1')).charges).toHaveLength(1)
    })
  })
})
