import { afterEach, expect, test, vi } from 'vitest'
import { VirtualClock } from '../../../src/clock.ts'
import { EventLog } from '../../../src/events.ts'
import type { Event } from '../../../src/events.ts'
import type { HttpResponse } from '../../../src/network.ts'
import { Random } from '../../../src/random.ts'
import { TAIL_P99S } from '../../../src/proxy/mock.ts'
import { bank, dialects, lies } from '../../../src/proxy/mocks/bank.ts'
import type { BankOptions } from '../../../src/proxy/mocks/bank.ts'

const GOOD = '4242424242424242'
const DAY_MS = 24 * 3_600_000

/** A bank that takes exactly 100 ms for everything, on virtual time. */
function open(options: BankOptions & { latency?: { p50: number; p99: number } } = {}) {
  const clock = new VirtualClock()
  const log = new EventLog('test', clock)
  const events: Event[] = []
  log.subscribe((event) => events.push(event))
  const it = bank({ clock, random: Random.seeded(1), log: log.from('mock'), latency: options.latency ?? { p50: 100, p99: 100 } }, options)
  const send = (method: string, path: string, body: unknown = '', headers: Record<string, string> = {}) =>
    it.handle({ method, path, headers, body: typeof body === 'string' ? body : JSON.stringify(body) })
  const charge = (key: string | null = 'key-1', changes: Record<string, unknown> = {}) =>
    send('POST', '/v1/charges', { amount: 9900, currency: 'USD', reference: 'order-1', card: GOOD, ...changes }, key === null ? {} : { 'idempotency-key': key })
  const find = (query: string) => send('GET', `/v1/charges?${query}`)
  const refund = (id: string, amount: number, key: string | null = null) => send('POST', '/v1/refunds', { charge: id, amount }, key === null ? {} : { 'idempotency-key': key })
  const shut = (reference = 'order-1') => send('POST', '/v1/voids', { reference })
  const tell = (kind: string, numbers: { times?: number; after?: number; ms?: number } = {}) => it.lie({ kind, times: 1, after: 0, ms: 0, ...numbers })
  const run = <T>(work: () => Promise<T>) => clock.run(work())
  const types = () => events.map((event) => event.type)
  return { bank: it, clock, events, types, send, charge, find, refund, shut, tell, run }
}

const read = (response: HttpResponse) => JSON.parse(response.body)

afterEach(() => {
  delete dialects.testy
})

test('a charge is booked at the end of the latency, answered with 201 and found by key, by reference and by id', async () => {
  const { bank, clock, charge, find, send, run, events } = open()
  await run(async () => {
    const answer = charge()
    await clock.sleep(99)
    expect(bank.ledger.charges).toHaveLength(0)
    const made = read(await answer)
    expect(clock.monotonic()).toBe(100)
    expect(made).toMatchObject({ status: 'succeeded', amount: 9900, currency: 'USD', reference: 'order-1', key: 'key-1', last4: '4242' })
    expect((await answer).status).toBe(201)
    expect(read(await find('key=key-1'))).toEqual({ charges: [made], has_more: false })
    expect(read(await find('reference=order-1')).charges).toEqual([made])
    expect(read(await find('reference=order-2')).charges).toEqual([])
    expect(read(await send('GET', `/v1/charges/${made.id}`))).toEqual(made)
    expect((await send('GET', '/v1/charges/ch_none')).status).toBe(404)
    const now = clock.monotonic()
    expect(read(await send('GET', '/ledger'))).toEqual({ charges: [made], authorisations: [], refunds: [], voids: [], declines: [] })
    expect(clock.monotonic()).toBe(now)
    expect(events[0]).toMatchObject({ src: 'mock', type: 'bank.received', t: 0, ask: 'charge', key: 'key-1', reference: 'order-1', amount: 9900, currency: 'USD' })
    expect(events[1]).toMatchObject({ type: 'bank.charged', t: 100, charge: made.id, key: 'key-1', reference: 'order-1', amount: 9900, currency: 'USD' })
    expect(events[3]).toMatchObject({ type: 'bank.looked_up', by: 'key', value: 'key-1', found: 1 })
  })
})

test.each([
  ['4000000000000002', 'generic_decline'],
  ['4000000000009995', 'insufficient_funds'],
  ['4000000000000069', 'expired_card'],
  ['tok_chargeDeclinedInsufficientFunds', 'insufficient_funds'],
])('card %s is declined with %s, and the decline is listed, retrievable and replayed', async (card, reason) => {
  const { bank, charge, find, run, events } = open()
  await run(async () => {
    const answer = await charge('key-1', { card })
    expect(answer.status).toBe(402)
    expect(read(answer)).toMatchObject({ status: 'declined', reason, amount: 9900, currency: 'USD', reference: 'order-1', key: 'key-1' })
    expect(read(await find('reference=order-1')).charges).toEqual([read(answer)])
    const again = await charge('key-1', { card })
    expect(again).toMatchObject({ status: 402, body: answer.body, headers: { 'idempotent-replayed': 'true' } })
    expect(bank.ledger.charges).toHaveLength(0)
    expect(bank.ledger.declines).toHaveLength(1)
    expect(events[1]).toMatchObject({ type: 'bank.declined', key: 'key-1', reference: 'order-1', amount: 9900, currency: 'USD', reason })
  })
})

test('a token charges like a good card and shows no digits', async () => {
  const { charge, run } = open()
  expect(read(await run(() => charge('key-1', { card: 'tok_visa' })))).toMatchObject({ status: 'succeeded', last4: null })
})

test('no card number reaches the events, the ledger or an answer, not even one of a refused request', async () => {
  const { charge, send, find, run, events, tell } = open()
  await run(async () => {
    tell('charge_then_500')
    const answers = [
      await charge('key-1'), await charge('key-1'), await charge('key-2', { card: '4000000000000002' }), await charge('key-1', { card: '4000000000000069' }),
      await charge('key-3', { amount: '4242424242424242' }), await charge('key-4', { card: '4242 4242 4242 4242' }), await charge('key-5', { currency: GOOD }),
      await find('reference=order-1'), await send('GET', '/ledger'),
    ]
    expect(answers.map((answer) => answer.status)).toEqual([500, 500, 402, 400, 400, 400, 400, 200, 200])
    expect(JSON.stringify([answers, events])).not.toMatch(/4242424242424242|4000000000000002|4000000000000069|4242 4242/)
  })
})

test('the same key and body get the first answer again, whatever the order of the fields, and no second charge', async () => {
  const { bank, charge, send, run, types } = open()
  await run(async () => {
    const first = await charge()
    const again = await send('POST', '/v1/charges', `{"card":"${GOOD}", "reference":"order-1","currency":"usd","amount":9900}`, { 'idempotency-key': 'key-1' })
    expect(again).toEqual({ ...first, headers: { ...first.headers, 'idempotent-replayed': 'true' } })
    expect(first.headers['idempotent-replayed']).toBeUndefined()
    expect(bank.ledger.charges).toHaveLength(1)
    expect(types()).toEqual(['bank.received', 'bank.charged', 'bank.received', 'bank.replayed'])
  })
})

test.each([{ amount: 9901 }, { currency: 'EUR' }, { reference: 'order-2' }, { card: '4000000000000002' }])('a used key with another %o is a 400 idempotency_error and no charge', async (change) => {
  const { bank, charge, run } = open()
  await run(async () => {
    await charge()
    const other = await charge('key-1', change)
    expect([other.status, read(other).code]).toEqual([400, 'idempotency_error'])
    expect(bank.ledger.charges).toHaveLength(1)
  })
})

test('a hundred requests at once with one key make one charge; the others hear 409 and may ask again', async () => {
  const { bank, charge, run } = open()
  await run(async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => charge()))
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, ...Array.from({ length: 99 }, () => 409)])
    const busy = answers.find((answer) => answer.status === 409)!
    expect([read(busy).code, busy.headers['retry-after']]).toEqual(['idempotency_key_in_use', '1'])
    expect((await charge()).headers['idempotent-replayed']).toBe('true')
    expect(bank.ledger.charges).toHaveLength(1)
  })
})

test('other keys, or none, charge again: the bank takes what it is asked for', async () => {
  const { bank, charge, find, run } = open()
  await run(async () => {
    await Promise.all([charge('key-1'), charge('key-2'), charge(null), charge(null)])
    expect(bank.ledger.charges.map((made) => made.key)).toEqual(['key-1', 'key-2', null, null])
    expect(read(await find('reference=order-1')).charges).toHaveLength(4)
  })
})

test('a key is forgotten 24 h after its first request, and then charges again; the reference still finds both', async () => {
  const { bank, clock, charge, find, run } = open()
  await run(async () => {
    await charge('key-1')
    await clock.sleep(DAY_MS - 101)
    const justBefore = charge('key-1')
    await clock.sleep(1)
    expect(clock.monotonic()).toBe(DAY_MS)
    const justAfter = charge('key-1')
    expect(read(await find('reference=order-1')).charges).toHaveLength(2)
    expect((await justBefore).headers['idempotent-replayed']).toBe('true')
    expect((await justAfter).headers['idempotent-replayed']).toBeUndefined()
    expect(bank.ledger.charges).toHaveLength(2)
    expect(read(await find('reference=order-1')).charges).toHaveLength(2)
    expect(read(await find('key=key-1')).charges).toHaveLength(1)
    await clock.sleep(DAY_MS)
    expect(read(await find('key=key-1')).charges).toEqual([])
  })
})

test('a malformed request is a 400 that neither uses its key nor is an event', async () => {
  const { bank, charge, send, shut, refund, find, run, types } = open()
  await run(async () => {
    const bad = [
      { amount: 0 }, { amount: 1.5 }, { amount: '9900' }, { amount: 1e15 }, { amount: null }, { currency: 'DOLLAR' }, { currency: 7 }, { reference: '' }, { reference: 'r'.repeat(256) }, { card: '42' }, { card: undefined },
    ]
    for (const change of bad) expect((await charge('key-1', change)).status, JSON.stringify(change)).toBe(400)
    for (const body of ['', '{', 'null', '[]', '7', '"x"']) {
      for (const path of ['/v1/charges', '/v1/refunds', '/v1/voids']) expect((await send('POST', path, body)).status, `${path} ${body}`).toBe(400)
    }
    expect((await charge('')).status).toBe(400)
    expect((await charge('k'.repeat(256))).status).toBe(400)
    expect((await refund('ch_x', -1)).status).toBe(400)
    expect((await shut('')).status).toBe(400)
    expect((await find('')).status).toBe(400)
    expect((await find('key=a&reference=b')).status).toBe(400)
    expect((await send('POST', '/v1/charges', ' '.repeat(70_000))).status).toBe(413)
    expect(types()).toEqual([])
    expect((await charge('key-1')).status).toBe(201)
    expect(bank.ledger.charges).toHaveLength(1)
  })
})

test('unknown routes are 404 and wrong methods 405, also those with names from Object.prototype', async () => {
  const { send, run } = open()
  await run(async () => {
    for (const path of ['/', '', '/v1', '/v2/charges', '/v1/charges/a/b', '__proto__', 'constructor']) expect((await send('GET', path)).status, path).toBe(404)
    const wrong = await send('DELETE', '/v1/charges')
    expect([wrong.status, wrong.headers.allow, wrong.headers['content-type']]).toEqual([405, 'POST, GET', 'application/problem+json'])
    expect((await send('toString', '/ledger')).status).toBe(405)
    expect((await send('POST', '/ledger')).status).toBe(405)
  })
})

test('refunds never exceed what was captured, not even at once, and are idempotent by key', async () => {
  const { bank, charge, refund, run, events } = open()
  await run(async () => {
    const { id } = read(await charge())
    const answers = await Promise.all([refund(id, 6000, 'r-1'), refund(id, 6000, 'r-2'), refund(id, 3900, 'r-3')])
    expect(answers.map((answer) => answer.status)).toEqual([201, 400, 201])
    expect(read(answers[1]!)).toMatchObject({ code: 'amount_too_large', left: 3900 })
    expect(await refund(id, 6000, 'r-1')).toMatchObject({ body: answers[0]!.body, headers: { 'idempotent-replayed': 'true' } })
    expect((await refund(id, 1, 'r-1')).status).toBe(400)
    expect((await refund('ch_none', 1)).status).toBe(404)
    expect(read(await refund(id, 1, 'key-1')).code).toBe('idempotency_error')
    expect(bank.ledger.refunds.map((made) => made.amount)).toEqual([6000, 3900])
    expect(bank.ledger.charges[0]!.refunded).toBe(9900)
    expect(events.find((event) => event.type === 'bank.refunded')).toMatchObject({ refund: bank.ledger.refunds[0]!.id, charge: id, reference: 'order-1', amount: 6000 })
  })
})

test('a declined or voided charge cannot be refunded', async () => {
  const { charge, refund, shut, run } = open()
  await run(async () => {
    const declined = read(await charge('key-1', { card: '4000000000000002' }))
    const charged = read(await charge('key-2', { reference: 'order-2' }))
    await shut('order-2')
    for (const id of [declined.id, charged.id]) expect(read(await refund(id, 1))).toMatchObject({ status: 409, code: 'not_refundable' })
  })
})

test('a void gives back every charge of its reference, once', async () => {
  const { bank, charge, shut, find, run, events } = open()
  await run(async () => {
    const made = [read(await charge('key-1')), read(await charge('key-2'))].map((answer) => answer.id)
    await charge('key-3', { reference: 'order-2' })
    await charge('key-4', { card: '4000000000000002' })
    const answer = await shut()
    expect([answer.status, read(answer)]).toMatchObject([200, { status: 'voided', reference: 'order-1', charges: made }])
    expect((await shut()).body).toBe(answer.body)
    expect(bank.ledger.voids).toHaveLength(1)
    expect(read(await find('reference=order-1')).charges.map((charged: { status: string }) => charged.status)).toEqual(['voided', 'voided', 'declined'])
    expect(read(await find('reference=order-2')).charges[0].status).toBe('succeeded')
    expect(events.filter((event) => event.type === 'bank.voided').map((event) => event.charge)).toEqual(made)
  })
})

test('a void closes the door: a later original is refused, and so is one that is still on its way', async () => {
  const { bank, clock, charge, shut, run, events, tell } = open()
  await run(async () => {
    tell('late_answer', { ms: 1000 })
    const late = charge('key-1')
    expect(read(await shut()).charges).toEqual([])
    expect(events.at(-1)).toMatchObject({ type: 'bank.voided', reference: 'order-1', charge: null })
    for (const answer of [await charge('key-2'), await late, await charge('key-1')]) expect([answer.status, read(answer).code]).toEqual([409, 'voided'])
    expect(clock.monotonic()).toBeGreaterThanOrEqual(1000)
    expect(bank.ledger.charges).toEqual([])
  })
})

test('charge_then_500 charges, answers 500, and the key repeats the 500 while look-ups find the charge', async () => {
  const { bank, charge, find, run, tell, events } = open()
  await run(async () => {
    tell('charge_then_500')
    expect((await charge()).status).toBe(500)
    expect(await charge()).toMatchObject({ status: 500, headers: { 'idempotent-replayed': 'true' } })
    expect(read(await find('key=key-1')).charges).toHaveLength(1)
    expect(bank.ledger.charges).toHaveLength(1)
    expect(events.filter((event) => event.type === 'bank.lied')).toMatchObject([{ lie: 'charge_then_500' }])
    expect(events.find((event) => event.type === 'bank.replayed')!.charge).toBe(bank.ledger.charges[0]!.id)
  })
})

test('charge_then_reset charges and cuts the connection, and the key replays the charge', async () => {
  const { bank, charge, run, tell } = open()
  await run(async () => {
    tell('charge_then_reset')
    await expect(charge()).rejects.toMatchObject({ code: 'CONNECTION_CUT' })
    expect(bank.ledger.charges).toHaveLength(1)
    expect(await charge()).toMatchObject({ status: 201, headers: { 'idempotent-replayed': 'true' } })
  })
})

test('error_500 charges nothing and leaves the key free', async () => {
  const { bank, charge, find, run, tell } = open()
  await run(async () => {
    tell('error_500')
    expect((await charge()).status).toBe(500)
    expect(read(await find('key=key-1')).charges).toEqual([])
    expect(bank.ledger.charges).toHaveLength(0)
    const again = await charge('key-1', { amount: 1 })
    expect([again.status, again.headers['idempotent-replayed']]).toEqual([201, undefined])
  })
})

test('delayed_apply answers 504 at once and charges later; in between the key is in use and nothing is found', async () => {
  const { bank, clock, charge, find, run, tell } = open()
  await run(async () => {
    tell('delayed_apply', { ms: 5000 })
    expect((await charge()).status).toBe(504)
    expect(clock.monotonic()).toBe(0)
    expect((await charge()).status).toBe(409)
    expect(read(await find('key=key-1')).charges).toEqual([])
    await clock.sleep(4799)
    expect([clock.monotonic(), bank.ledger.charges.length]).toEqual([4999, 0])
    await clock.sleep(2)
    expect(bank.ledger.charges).toHaveLength(1)
    expect(await charge()).toMatchObject({ status: 201, headers: { 'idempotent-replayed': 'true' } })
  })
})

test('late_answer charges after its time and then tells the truth', async () => {
  const { bank, clock, charge, run, tell } = open()
  await run(async () => {
    tell('late_answer', { ms: 8000 })
    const late = charge()
    await clock.sleep(7999)
    expect(bank.ledger.charges).toHaveLength(0)
    expect((await late).status).toBe(201)
    expect(clock.monotonic()).toBe(8000)
  })
})

test('wrong_amount charges what was asked and says otherwise, again and again; look-ups tell the truth', async () => {
  const { bank, charge, find, run, tell } = open()
  await run(async () => {
    tell('wrong_amount')
    expect(read(await charge()).amount).toBe(990_000)
    expect(read(await charge()).amount).toBe(990_000)
    expect(bank.ledger.charges.map((made) => made.amount)).toEqual([9900])
    expect(read(await find('key=key-1')).charges[0].amount).toBe(9900)
  })
})

test('garbage charges and answers 200 with HTML, and the key replays the charge', async () => {
  const { bank, charge, run, tell } = open()
  await run(async () => {
    tell('garbage')
    expect(await charge()).toMatchObject({ status: 200, headers: { 'content-type': 'text/html' } })
    expect(bank.ledger.charges).toHaveLength(1)
    expect((await charge()).status).toBe(201)
  })
})

test('portal answers the same HTML and does not charge, and the key may be tried again', async () => {
  const { bank, charge, find, run, tell } = open()
  await run(async () => {
    tell('portal')
    expect(await charge()).toMatchObject({ status: 200, headers: { 'content-type': 'text/html' } })
    expect(read(await find('key=key-1')).charges).toEqual([])
    expect((await charge()).status).toBe(201)
    expect(bank.ledger.charges).toHaveLength(1)
  })
})

test('lookup_down answers 503 to the next look-ups of any kind, and to nothing else', async () => {
  const { charge, find, send, run, tell, types } = open()
  await run(async () => {
    tell('lookup_down', { times: 3 })
    const { id } = read(await charge())
    expect([(await find('key=key-1')).status, (await find('reference=order-1')).status, (await send('GET', `/v1/charges/${id}`)).status]).toEqual([503, 503, 503])
    expect((await send('GET', '/ledger')).status).toBe(200)
    expect((await find('key=key-1')).status).toBe(200)
    expect(types().filter((type) => type === 'bank.looked_up')).toHaveLength(1)
  })
})

test('lookup_lag hides charges younger than its time, and counts only look-ups that it spoils', async () => {
  const { clock, charge, find, send, run, tell, types } = open()
  const lied = () => types().filter((type) => type === 'bank.lied').length
  await run(async () => {
    tell('lookup_lag', { times: 3, ms: 2000 })
    expect(read(await find('key=key-1')).charges).toEqual([])
    expect(lied()).toBe(0)
    const { id } = read(await charge())
    expect(read(await find('key=key-1')).charges).toEqual([])
    expect((await send('GET', `/v1/charges/${id}`)).status).toBe(404)
    expect(lied()).toBe(2)
    await clock.sleep(2000)
    expect(read(await find('reference=order-1')).charges).toHaveLength(1)
    expect(lied()).toBe(2)
    await charge('key-2')
    expect(read(await find('reference=order-1')).charges.map((made: { key: string }) => made.key)).toEqual(['key-1'])
    expect(read(await find('reference=order-1')).charges).toHaveLength(2)
    expect(lied()).toBe(3)
  })
})

test('a lie lets its first matches pass, then applies as often as told; replays, declines and malformed requests are not counted', async () => {
  const { charge, run, tell, types } = open()
  await run(async () => {
    tell('error_500', { after: 2, times: 2 })
    const statuses: number[] = []
    for (const [key, change] of [['a', {}], ['a', {}], ['b', { card: '4000000000000002' }], ['c', { amount: 0 }], ['d', {}], ['e', {}], ['f', {}], ['g', {}]] as const) statuses.push((await charge(key, change)).status)
    expect(statuses).toEqual([201, 201, 402, 400, 201, 500, 500, 201])
    expect(types().filter((type) => type === 'bank.lied')).toHaveLength(2)
  })
})

test('a lie counts the requests that another one spoils', async () => {
  const { charge, run, tell } = open()
  await run(async () => {
    tell('error_500', { times: 2 })
    tell('garbage', { after: 2 })
    expect([(await charge('a')).status, (await charge('b')).status, (await charge('c')).status]).toEqual([500, 500, 200])
  })
})

test('of several lies the first told goes first; healing forgets the rest', async () => {
  const { bank, charge, find, run, tell } = open()
  await run(async () => {
    tell('charge_then_500')
    tell('garbage', { times: Number.POSITIVE_INFINITY })
    tell('lookup_down')
    expect((await charge('a')).status).toBe(500)
    expect((await charge('b')).status).toBe(200)
    expect((await charge('c')).status).toBe(200)
    bank.heal()
    expect((await charge('d')).status).toBe(201)
    expect((await find('key=d')).status).toBe(200)
  })
})

test('an unknown lie, senseless numbers and too many lies are refused', () => {
  const { tell } = open()
  expect(() => tell('charge_twice')).toThrow(expect.objectContaining({ code: 'UNKNOWN_LIE', hint: expect.stringContaining('charge_then_500') }))
  expect(() => tell('toString')).toThrow(expect.objectContaining({ code: 'UNKNOWN_LIE' }))
  for (const numbers of [{ times: 0 }, { times: 1.5 }, { after: -1 }, { ms: Number.NaN }, { ms: Number.POSITIVE_INFINITY }]) {
    expect(() => tell('garbage', numbers), JSON.stringify(numbers)).toThrow(expect.objectContaining({ code: 'INVALID_LIE' }))
  }
  for (let i = 0; i < 100; i++) tell('garbage')
  expect(() => tell('garbage')).toThrow(expect.objectContaining({ code: 'TOO_MANY_LIES' }))
})

test('every lie in the table is told when asked for, and says so', async () => {
  for (const kind of Object.keys(lies)) {
    const { bank, charge, find, send, refund, shut, run, tell, events, clock } = open()
    await run(async () => {
      bank.webhooks(() => Promise.resolve({ kind: 'ok', value: { status: 200, headers: {}, body: '' } }))
      tell(kind, { ms: 3000 })
      const quiet = (work: Promise<unknown>) => work.catch(() => undefined)
      await quiet(charge('key-1', { capture: false }))
      await quiet(charge('key-1', { capture: false }))
      await clock.sleep(2000)
      await find('reference=order-1')
      const [made] = bank.ledger.authorisations
      if (made) await quiet(send('POST', '/v1/captures', { charge: made.id }))
      await clock.sleep(2000)
      if (made) await quiet(refund(made.id, 100))
      await quiet(shut())
    })
    expect(events.filter((event) => event.type === 'bank.lied').map((event) => event.lie), kind).toEqual([kind])
  }
})

test('a full ledger answers 507 to what would change it, and still replays and looks up', async () => {
  const { bank, charge, find, refund, shut, run } = open({ ledgerLimit: 2 })
  await run(async () => {
    const first = read(await charge('a'))
    await shut('order-9')
    expect([(await charge('b')).status, (await refund(first.id, 1)).status, (await shut()).status]).toEqual([507, 507, 507])
    expect([(await charge('a')).status, (await find('key=a')).status, (await shut('order-9')).status]).toEqual([201, 200, 200])
    expect(bank.ledger.charges).toHaveLength(1)
  })
})

test('a look-up answers the newest hundred and says that there are more', async () => {
  const { charge, find, run } = open()
  await run(async () => {
    for (let i = 0; i < 101; i++) await charge(`key-${i}`)
    const page = read(await find('reference=order-1'))
    expect([page.charges.length, page.charges[0].key, page.charges[99].key, page.has_more]).toEqual([100, 'key-1', 'key-100', true])
  })
})

test('a dialect that keeps no errors executes them again, and one that replays other bodies charges nothing for them', async () => {
  dialects.testy = { ...dialects['stripe-v1']!, name: 'testy', otherBody: 'replay', keepsErrors: false }
  const { bank, charge, find, run, tell } = open({ dialect: 'testy' })
  await run(async () => {
    tell('charge_then_500')
    expect([(await charge()).status, (await charge()).status]).toEqual([500, 201])
    expect(bank.ledger.charges).toHaveLength(2)
    expect(read(await find('key=key-1')).charges).toHaveLength(2)
    expect(read(await charge('key-1', { amount: 5 })).amount).toBe(9900)
  })
})

test('an unknown dialect is refused by name', () => {
  expect(() => open({ dialect: 'stripe-v9' })).toThrow(expect.objectContaining({ code: 'UNKNOWN_DIALECT', hint: expect.stringContaining('stripe-v1') }))
  expect(() => open({ dialect: 'toString' })).toThrow(expect.objectContaining({ code: 'UNKNOWN_DIALECT' }))
})

test('latency is log-normal with the asked percentiles, never beyond its cut-off, and the same for the same seed', async () => {
  const measure = async () => {
    const { clock, charge, run } = open({ latency: { p50: 300, p99: 2000 } })
    const took: number[] = []
    await run(async () => {
      for (let i = 0; i < 2000; i++) {
        const begun = clock.monotonic()
        await charge(`key-${i}`)
        took.push(clock.monotonic() - begun)
      }
    })
    return took
  }
  const [took, again] = [await measure(), await measure()]
  expect(again).toEqual(took)
  const sorted = took.toSorted((a, b) => a - b)
  expect(sorted[1000]).toBeGreaterThan(270)
  expect(sorted[1000]).toBeLessThan(330)
  expect(sorted[1980]).toBeGreaterThan(1500)
  expect(sorted[1980]).toBeLessThan(2600)
  expect(sorted.at(-1)).toBeLessThanOrEqual(TAIL_P99S * 2000)
})

test('the cut-off of the latency holds for the wildest draw', async () => {
  const { clock, charge, run } = open({ latency: { p50: 1, p99: 1000 } })
  const wild = vi.spyOn(Random.prototype, 'logNormal').mockReturnValue(1e9)
  await run(() => charge()).finally(() => wild.mockRestore())
  expect(clock.monotonic()).toBe(TAIL_P99S * 1000)
})

test('without latency a charge needs no timer; a latency that cannot be is refused', async () => {
  const { charge } = open({ latency: { p50: 0, p99: 0 } })
  expect((await charge()).status).toBe(201)
  for (const latency of [{ p50: 10, p99: 5 }, { p50: 0, p99: 5 }, { p50: -1, p99: 5 }, { p50: Number.NaN, p99: 1 }]) {
    expect(() => open({ latency }), JSON.stringify(latency)).toThrow(expect.objectContaining({ code: 'INVALID_LATENCY' }))
  }
})
