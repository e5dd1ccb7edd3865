/** Authorisations, captures, refunds and the listing: what a bank does besides charging at once. */
import { describe, expect, test } from 'vitest'
import { AUTHORISATION_MS } from '../../../src/proxy/bank/ledger.ts'
import { openBank, read } from './open-bank.ts'

describe('in two steps', () => {
  test('an authorisation moves no money; its capture does, once, and both are looked up by their own keys', async () => {
    const { bank, authorise, capture, find, send, run, events, of } = openBank()
    await run(async () => {
      const held = await authorise()
      const { id } = read(held)
      expect([held.status, read(held)]).toMatchObject([201, { status: 'authorised', amount: 9900, captured: 0 }])
      expect(events.map((event) => event.type)).toEqual(['bank.received', 'bank.authorised'])
      expect(read(await find('key=auth-1')).charges).toEqual([read(held)])
      expect(bank.ledger.charges).toEqual([])
      const made = await capture(id, undefined, 'capture-1')
      expect([made.status, read(made)]).toMatchObject([201, { id, status: 'succeeded', amount: 9900, captured: 9900, key: 'auth-1' }])
      expect(await capture(id, undefined, 'capture-1')).toMatchObject({ status: 201, body: made.body, headers: { 'idempotent-replayed': 'true' } })
      expect(read(await find('key=capture-1')).charges).toEqual([read(made)])
      expect(read(await find('reference=order-1')).charges).toEqual([read(made)])
      expect(of('bank.charged')).toMatchObject([{ charge: id, key: 'capture-1', reference: 'order-1', amount: 9900, currency: 'USD' }])
      expect(of('bank.received').map((event) => event.ask)).toEqual(['charge', 'lookup', 'capture', 'capture', 'lookup', 'lookup'])
      expect(read(await send('GET', '/ledger'))).toMatchObject({ charges: [{ id }], authorisations: [{ id }] })
      expect(read(await capture(id))).toMatchObject({ status: 409, code: 'not_capturable' })
    })
  })

  test('a part may be captured, never more than was authorised, and refunds keep to the part', async () => {
    const { authorise, capture, refund, run, of } = openBank()
    await run(async () => {
      const { id } = read(await authorise())
      expect(read(await capture(id, 9901))).toMatchObject({ status: 400, code: 'amount_too_large', left: 9900 })
      expect(read(await capture(id, 5000))).toMatchObject({ status: 'succeeded', amount: 9900, captured: 5000 })
      expect(of('bank.charged')).toMatchObject([{ amount: 5000 }])
      expect(read(await refund(id, 5001))).toMatchObject({ code: 'amount_too_large', left: 5000 })
      expect((await refund(id, 5000)).status).toBe(201)
    })
  })

  test('two captures at once, under different keys, are one', async () => {
    const { authorise, capture, run, of } = openBank()
    await run(async () => {
      const { id } = read(await authorise())
      const answers = await Promise.all([capture(id, 9900, 'a'), capture(id, 9900, 'b')])
      expect(answers.map((answer) => answer.status)).toEqual([201, 409])
      expect(of('bank.charged')).toHaveLength(1)
    })
  })

  test('a declined card holds nothing, and nothing that is no authorisation is captured', async () => {
    const { authorise, charge, capture, run } = openBank()
    await run(async () => {
      const declined = await authorise('a', { card: '4000000000000002' })
      expect(declined.status).toBe(402)
      for (const id of [read(declined).id, read(await charge('b')).id]) expect(read(await capture(id))).toMatchObject({ status: 409, code: 'not_capturable' })
      expect(read(await capture('ch_none'))).toMatchObject({ status: 404, code: 'no_such_charge' })
      for (const amount of [0, 1.5, '5']) expect((await capture('ch_none', amount as number)).status).toBe(400)
      expect((await charge('c', { capture: 'no' })).status).toBe(400)
    })
  })

  test('a void lets an authorisation go, and a capture that crosses it finds it voided', async () => {
    const { clock, authorise, capture, shut, find, run, of } = openBank()
    await run(async () => {
      const { id } = read(await authorise())
      const door = shut()
      await clock.sleep(50)
      const crossing = capture(id)
      expect(read(await door).charges).toEqual([id])
      expect(read(await crossing)).toMatchObject({ status: 409, code: 'not_capturable' })
      expect(read(await find('reference=order-1')).charges).toMatchObject([{ status: 'voided', captured: 0 }])
      expect(of('bank.charged')).toEqual([])
    })
  })

  test('an authorisation is good for seven days, to the millisecond', async () => {
    const { clock, authorise, capture, find, run, of } = openBank()
    await run(async () => {
      const [first, second] = [read(await authorise('a')), read(await authorise('b', { reference: 'order-2' }))]
      await clock.sleep(second.at + AUTHORISATION_MS - 101 - clock.now())
      expect([first, second].map((made) => second.at - made.at)).toEqual([100, 0])
      const answers = await Promise.all([capture(first.id), capture(second.id)])
      expect(clock.now() - second.at).toBe(AUTHORISATION_MS - 1)
      expect(answers.map(read)).toMatchObject([{ code: 'not_capturable' }, { status: 'succeeded' }])
      expect(of('bank.expired')).toMatchObject([{ charge: first.id, reference: 'order-1' }])
      expect(read(await find('reference=order-1')).charges).toMatchObject([{ status: 'expired', captured: 0 }])
    })
  })
})

test('an authorisation that is captured at the moment of its end is too late', async () => {
  const { clock, authorise, capture, run } = openBank()
  await run(async () => {
    const { id, at } = read(await authorise())
    await clock.sleep(at + AUTHORISATION_MS - 100 - clock.now())
    expect(read(await capture(id))).toMatchObject({ code: 'not_capturable' })
    expect(clock.now() - at).toBe(AUTHORISATION_MS)
  })
})

describe('refunds', () => {
  test('are found by key, by charge and by id', async () => {
    const { charge, refund, findRefunds, send, run } = openBank()
    await run(async () => {
      const { id } = read(await charge())
      const [one, two] = [read(await refund(id, 100, 'refund-1')), read(await refund(id, 200, 'refund-2'))]
      expect(read(await findRefunds('key=refund-1'))).toEqual({ refunds: [one], has_more: false })
      expect(read(await findRefunds(`charge=${id}`)).refunds).toEqual([one, two])
      expect(read(await findRefunds('key=key-1')).refunds).toEqual([])
      expect(read(await send('GET', `/v1/refunds/${two.id}`))).toEqual(two)
      expect(read(await send('GET', '/v1/refunds/re_none'))).toMatchObject({ status: 404, code: 'no_such_refund' })
      for (const query of ['', `key=a&charge=${id}`]) expect((await findRefunds(query)).status).toBe(400)
    })
  })

  test('L4 of twenty at once no more are given than were captured', async () => {
    const { bank, charge, refund, run } = openBank()
    await run(async () => {
      const { id } = read(await charge())
      const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => refund(id, 1000, `refund-${n}`)))
      expect(answers.filter((answer) => answer.status === 201)).toHaveLength(9)
      expect(bank.ledger.refunds.reduce((sum, made) => sum + made.amount, 0)).toBe(9000)
      expect(bank.ledger.charges[0]!.refunded).toBe(9000)
    })
  })
})

describe('the listing', () => {
  test('gives charges of every status in the order of time, page by page, each once', async () => {
    const { clock, charge, authorise, refund, shut, find, run, bank } = openBank()
    await run(async () => {
      const since = clock.now()
      for (let n = 0; n < 5; n++) await charge(`key-${n}`, { reference: `order-${n}` })
      await charge('bad', { card: '4000000000000002' })
      await authorise()
      await refund(bank.ledger.charges[0]!.id, 900)
      await shut('order-3')
      const seen: Record<string, any>[] = []
      for (let after = '', more = true, pages = 0; more && pages < 10; pages++) {
        const page = read(await find(`since=${since}&limit=3${after}`))
        expect(page.charges.length).toBeLessThanOrEqual(3)
        seen.push(...page.charges)
        more = page.has_more
        after = `&after=${seen.at(-1)!['id']}`
      }
      expect(seen.map((made) => made['status'])).toEqual(['succeeded', 'succeeded', 'succeeded', 'voided', 'succeeded', 'declined', 'authorised'])
      expect(seen[0]).toMatchObject({ refunded: 900 })
      expect(read(await find(`since=${since}&limit=7`))).toMatchObject({ has_more: false })
      expect(new Set(seen.map((made) => made['id'])).size).toBe(7)
    })
  })

  test('takes those from since on and before until, and says by an event that it was asked', async () => {
    const { charge, find, run, bank, of } = openBank()
    await run(async () => {
      for (const key of ['a', 'b', 'c']) await charge(key)
      const [a, , c] = bank.ledger.charges
      expect(read(await find(`since=${a!.at}&until=${c!.at}`))).toMatchObject({ charges: [{ key: 'a' }, { key: 'b' }], has_more: false })
      expect(read(await find(`since=${a!.at + 1}`)).charges).toMatchObject([{ key: 'b' }, { key: 'c' }])
      expect(read(await find(`since=${c!.at + 1}`))).toEqual({ charges: [], has_more: false })
      expect(of('bank.received').at(-1)).toMatchObject({ ask: 'list', key: null })
      expect(of('bank.looked_up').at(-2)).toMatchObject({ by: 'time', found: 2 })
    })
  })

  test.each(['since=', 'since=yesterday', 'since=-1', 'since=5&until=4', 'since=0&key=a', 'since=0&reference=order-1&key=a', 'since=0&limit=0', 'since=0&limit=101', 'since=0&limit=1.5'])('%s is refused', async (query) => {
    const { find, run } = openBank()
    expect((await run(() => find(query))).status).toBe(400)
  })

  test('behind a charge that there is not, is nowhere', async () => {
    const { find, run } = openBank()
    expect(read(await run(() => find('since=0&after=ch_none')))).toMatchObject({ status: 404, code: 'no_such_charge' })
  })

  test('is down when look-ups are, and lags as they do', async () => {
    const { charge, find, tell, run } = openBank()
    await run(async () => {
      await charge()
      tell('lookup_down')
      expect((await find('since=0')).status).toBe(503)
      tell('lookup_lag', { ms: 60_000 })
      expect(read(await find('since=0')).charges).toEqual([])
      expect(read(await find('since=0')).charges).toHaveLength(1)
    })
  })
})
