/** The judge of webhooks: what it calls genuine is held against two libraries that sign, and every mood against its row in the inbox. */
import { createHmac, generateKeyPairSync, sign as signWith } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { Webhook as SvixWebhook } from 'svix'
import { describe, expect, test } from 'vitest'
import { newSecret, publicKeyOf, receiptValid, signer, verifyAck } from '../../../src/engines/webhook/signature.ts'
import { VIRTUAL_EPOCH_MS, VirtualClock } from '../../../src/clock.ts'
import { ResilError } from '../../../src/errors.ts'
import { EventLog } from '../../../src/events.ts'
import type { Event } from '../../../src/events.ts'
import type { HttpRequest, HttpResponse, Outcome } from '../../../src/network.ts'
import { Random } from '../../../src/random.ts'
import { customer, CUSTOMER_BODY_LIMIT } from '../../../src/proxy/mocks/customer.ts'
import type { CustomerOptions, Mood } from '../../../src/proxy/mocks/customer.ts'

const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
const OTHER = `whsec_${Buffer.alloc(32, 2).toString('base64')}`
const NOW_S = VIRTUAL_EPOCH_MS / 1000
const BODY = JSON.stringify({ type: 'invoice.paid', timestamp: '2030-01-01T00:00:00Z', data: { key: 'cust-7', n: 1, name: 'Zoë ✓' } })

const hmac = (secret: string, content: string) => createHmac('sha256', Buffer.from(secret.slice(6), 'base64')).update(content).digest('base64')

function open(options: CustomerOptions = {}) {
  const clock = new VirtualClock()
  const log = new EventLog('test', clock)
  const events: Event[] = []
  log.subscribe((event) => events.push(event))
  const it = customer({ clock, random: Random.seeded(1), log: log.from('mock'), latency: { p50: 20, p99: 20 } }, { secrets: [SECRET], ...options })
  const send = (method: string, path: string, body: string, headers: Record<string, string> = {}) => it.handle({ method, path, headers, body })
  const run = <T>(work: () => Promise<T>) => clock.run(work())
  /** A genuine webhook, signed at the world's time. */
  const deliver = (id = 'evt_1', more: Record<string, string> = {}, body = BODY) => {
    const seconds = Math.floor(clock.now() / 1000)
    return send('POST', '/hooks/resil', body, { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': `v1,${hmac(SECRET, `${id}.${seconds}.${body}`)}`, ...more })
  }
  const cut = (work: Promise<HttpResponse>) => work.then((response) => response.status, (error: ResilError) => error.code)
  const received = () => events.filter(({ type }) => type === 'customer.received')
  return { customer: it, clock, events, received, send, deliver, run, cut }
}

describe('what is genuine', () => {
  /** `atS`: the timestamp that is signed and sent. */
  const judged = (headers: Record<string, string>, body = BODY, options: CustomerOptions = {}) => {
    const { send, run, customer } = open(options)
    return run(async () => {
      const { status } = await send('POST', '/', body, headers)
      return { status, signed: customer.ledger.requests[0]!.signed, processed: customer.ledger.effects === 1 }
    })
  }
  const headersOf = (signature: string, id = 'evt_1', timestamp = String(NOW_S)) => ({ 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature })
  const valid = { status: 204, signed: 'valid', processed: true }
  const refused = (signed: string) => ({ status: 401, signed, processed: false })

  test('the published vector, at its time', async () => {
    const { customer: it, send, run } = open({ secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'], skewMs: 1_614_265_330_000 - VIRTUAL_EPOCH_MS })
    const headers = headersOf('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '1614265330')
    expect((await run(() => send('POST', '/', '{"test": 2432232314}', headers))).status).toBe(204)
    expect(it.ledger.requests).toMatchObject([{ signed: 'valid', at: 1_614_265_330_000 }])
  })

  test.each([
    ['standardwebhooks', (id: string, at: Date, body: string) => new Webhook(SECRET).sign(id, at, body)],
    ['svix', (id: string, at: Date, body: string) => new SvixWebhook(SECRET).sign(id, at, body)],
  ])('what %s signs, empty and 256 KiB bodies and names beyond ASCII among it', async (_, sign) => {
    for (const body of ['', BODY, 'x'.repeat(256 * 1024), '{"e":"\u{1f600}"}']) {
      expect(await judged(headersOf(sign('evt_1', new Date(VIRTUAL_EPOCH_MS), body)), body)).toEqual(valid)
      expect(await judged(headersOf(sign('evt_1', new Date(VIRTUAL_EPOCH_MS), `${body} `)), body)).toEqual(refused('invalid'))
    }
  })

  const good = `v1,${hmac(SECRET, `evt_1.${NOW_S}.${BODY}`)}`
  const wrong = `v1,${hmac(OTHER, `evt_1.${NOW_S}.${BODY}`)}`
  test.each([
    ['of another secret', wrong, 'evt_1', refused('invalid')],
    ['of another id', good, 'evt_2', refused('invalid')],
    ['missing', '', 'evt_1', refused('missing')],
    ['without an id', good, '', refused('missing')],
    ['of a version that nobody knows', good.replace('v1', 'v0'), 'evt_1', refused('invalid')],
    ['without a version', good.slice(3), 'evt_1', refused('invalid')],
    ['two, the second of them good', `${wrong} ${good}`, 'evt_1', valid],
    ['two, the first of them good', `${good} ${wrong}`, 'evt_1', valid],
    ['one good among versions that nobody knows', `v0,x v2,y ${good}`, 'evt_1', valid],
    ['two, both wrong', `${wrong} ${wrong}`, 'evt_1', refused('invalid')],
    ['garbage for base64', 'v1,!!!not-base64!!!', 'evt_1', refused('invalid')],
    ['the same bytes in another spelling of base64', good.replace(/=$/, ''), 'evt_1', refused('invalid')],
    ['cut short', good.slice(0, -8), 'evt_1', refused('invalid')],
    ['nothing but commas', ',,,', 'evt_1', refused('invalid')],
    ['good, but behind more others than anybody has secrets', `${`${wrong} `.repeat(40)}${good}`, 'evt_1', refused('invalid')],
  ])('119 a signature %s', async (_, signature, id, expected) => {
    expect(await judged(headersOf(signature, id))).toEqual(expected)
  })

  test('119 an id with a dot is refused although it is signed: it could stand for another one', async () => {
    expect(await judged(headersOf(`v1,${hmac(SECRET, `evt.1.${NOW_S}.${BODY}`)}`, 'evt.1'))).toEqual(refused('invalid'))
    // The same signed content, cut at another dot.
    const content = `evt_1.${NOW_S}.5.${BODY}`
    expect(await judged(headersOf(`v1,${hmac(SECRET, content)}`, 'evt_1', `${NOW_S}.5`))).toEqual(refused('invalid'))
  })

  test.each([
    ['-301 s', NOW_S - 301, refused('stale')],
    ['-300 s', NOW_S - 300, valid],
    ['+300 s', NOW_S + 300, valid],
    ['+301 s', NOW_S + 301, refused('stale')],
    ['NaN', 'NaN', refused('invalid')],
    ['a negative one', -NOW_S, refused('invalid')],
    ['10^18', '1000000000000000000', refused('invalid')],
    ['the largest that is read', '9'.repeat(16), refused('stale')],
    ['a fraction', `${NOW_S}.0`, refused('invalid')],
    ['one with a zero in front', `0${NOW_S}`, refused('invalid')],
    ['one in ms', NOW_S * 1000, refused('stale')],
    ['one with a space in it', `${NOW_S} 0`, refused('invalid')],
  ])('120 a timestamp of %s', async (_, timestamp, expected) => {
    expect(await judged(headersOf(`v1,${hmac(SECRET, `evt_1.${timestamp}.${BODY}`)}`, 'evt_1', String(timestamp)))).toEqual(expected)
  })

  test('a wrong signature of old age is wrong, not old', async () => {
    expect(await judged(headersOf(wrong, 'evt_1', String(NOW_S - 400)))).toEqual(refused('invalid'))
  })

  test('v1a: an ed25519 signature against its public key, beside v1', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const key = `whpk_${Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url').toString('base64')}`
    const signed = `v1a,${signWith(null, Buffer.from(`evt_1.${NOW_S}.${BODY}`), privateKey).toString('base64')}`
    const forged = `v1a,${signWith(null, Buffer.from(`evt_2.${NOW_S}.${BODY}`), privateKey).toString('base64')}`
    expect(await judged(headersOf(signed), BODY, { secrets: [key] })).toEqual(valid)
    expect(await judged(headersOf(forged), BODY, { secrets: [key] })).toEqual(refused('invalid'))
    expect(await judged(headersOf('v1a,AAAA'), BODY, { secrets: [key] })).toEqual(refused('invalid'))
    expect(await judged(headersOf(signed), BODY, { secrets: [SECRET] })).toEqual(refused('invalid'))
    expect(await judged(headersOf(`${wrong} ${signed}`), BODY, { secrets: [SECRET, key] })).toEqual(valid)
  })

  test('while a secret is rotated both are good; a revoked one is not', async () => {
    const { customer: it, deliver, run } = open()
    await run(async () => {
      const statuses = []
      for (const [n, secrets] of [[SECRET], [OTHER, SECRET], [OTHER]].entries()) {
        it.trust(secrets)
        statuses.push((await deliver(`evt_${n}`)).status)
      }
      expect(statuses).toEqual([204, 204, 401])
    })
  })

  test('with no secret nothing is checked; one that is not strict writes a wrong signature down and goes on', async () => {
    expect(await judged({}, 'anything', { secrets: [] })).toEqual({ status: 204, signed: 'unchecked', processed: true })
    expect(await judged(headersOf(wrong), BODY, { strict: false })).toEqual({ status: 204, signed: 'invalid', processed: true })
  })

  test('W-SKEW a clock that is off by 4:59 takes it, one that is off by 5:01 does not, and Date tells how it is set', async () => {
    for (const [skewMs, status] of [[299_000, 204], [-299_000, 204], [301_000, 401], [-301_000, 401]] as const) {
      const { customer: it, deliver, run, clock } = open()
      it.skew(skewMs)
      const response = await run(() => deliver())
      expect([skewMs, response.status]).toEqual([skewMs, status])
      expect(Date.parse(response.headers['date']!)).toBe(Math.floor((clock.now() + skewMs) / 1000) * 1000)
    }
  })

  test('what is no secret is refused, and not repeated', () => {
    const { customer: it } = open()
    for (const text of ['', 'secret', 'whsec_', 'whsec_****', `whsec_${Buffer.alloc(23).toString('base64')}`, `whsec_${Buffer.alloc(65).toString('base64')}`, 'whpk_AAAA', `whsk_${Buffer.alloc(32, 7).toString('base64')}`]) {
      const refusal = (() => {
        try {
          return it.trust([text])
        } catch (error) {
          return error as ResilError
        }
      })()
      expect(refusal, text).toMatchObject({ code: 'INVALID_SECRET' })
      if (text.length > 7) expect(`${refusal!.message}${refusal!.hint}`).not.toContain(text.slice(6))
    }
    expect(() => it.trust(new Array(17).fill(SECRET))).toThrow(/at most/)
  })
})

describe('the inbox', () => {
  test('a webhook is processed after the latency, and a second copy of it is a duplicate without an effect', async () => {
    const { clock, send, deliver, run, events } = open({ name: 'customer-2' })
    await run(async () => {
      expect((await deliver('evt_1', { 'webhook-sequence': '7', 'webhook-endpoint': 'ep_1' })).status).toBe(204)
      expect(clock.monotonic()).toBe(20)
      expect((await deliver('evt_1')).status).toBe(204)
      expect(events).toEqual([
        expect.objectContaining({ src: 'mock', type: 'customer.received', customer: 'customer-2', id: 'evt_1', sequence: 7, what: 'invoice.paid', key: 'cust-7', signed: 'valid', duplicate: false, processed: true, status: 204, mood: 'healthy' }),
        expect.objectContaining({ type: 'customer.received', id: 'evt_1', sequence: null, duplicate: true, processed: false }),
      ])
      const ledger = JSON.parse((await send('GET', '/ledger', '')).body)
      expect(ledger).toMatchObject({ effects: 1, unread: 0, requests: [{ id: 'evt_1', timestamp: String(NOW_S), sequence: 7, type: 'invoice.paid', key: 'cust-7', at: VIRTUAL_EPOCH_MS, attempt: 1, signed: 'valid', status: 204, duplicate: false, processed: true }, { attempt: 2, duplicate: true, processed: false }] })
      expect(JSON.stringify(ledger)).not.toContain(Buffer.alloc(32, 1).toString('base64'))
      expect(ledger.requests[0]).not.toHaveProperty('secret')
    })
  })

  test('two copies at once are one effect; a naive receiver has two', async () => {
    for (const [dedupe, effects] of [[true, 1], [false, 2]] as const) {
      const { customer: it, deliver, run } = open({ dedupe })
      await run(() => Promise.all([deliver(), deliver()]))
      expect(it.ledger.effects).toBe(effects)
      expect(it.ledger.requests.map(({ attempt, duplicate }) => [attempt, duplicate])).toEqual([[1, false], [2, true]])
    }
  })

  test('a forged copy is no duplicate of what was never processed, and does not keep the genuine one out', async () => {
    const { customer: it, send, deliver, run } = open()
    await run(async () => {
      await send('POST', '/', BODY, { 'webhook-id': 'evt_1' })
      await deliver('evt_1')
    })
    expect(it.ledger.requests.map(({ signed, duplicate, processed, attempt }) => [signed, duplicate, processed, attempt])).toEqual([['missing', false, false, 1], ['valid', false, true, 2]])
  })

  test('it tells what it holds, loses as many as it is told to, and takes those again', async () => {
    const { customer: it, deliver, run } = open()
    await run(async () => {
      for (const n of [3, 1, 2, 4]) await deliver(`evt_${n}`)
      expect(it.processed()).toEqual(['evt_1', 'evt_2', 'evt_3', 'evt_4'])
      const lost = it.forget(2, Random.seeded(5))
      expect(new Set(lost).size).toBe(2)
      expect(it.processed()).toEqual(['evt_1', 'evt_2', 'evt_3', 'evt_4'].filter((id) => !lost.includes(id)))
      for (const id of lost) await deliver(id)
      expect(it.processed()).toHaveLength(4)
      expect(it.ledger.effects).toBe(6)
      expect(it.forget(100, Random.seeded(5))).toHaveLength(4)
    })
  })

  test('a full inbox answers 507, a body over the limit 413, and other routes and methods are refused', async () => {
    const { deliver, send, run } = open({ ledgerLimit: 1 })
    await run(async () => {
      expect([(await deliver('a')).status, (await deliver('b')).status]).toEqual([204, 507])
      expect((await deliver('c', {}, 'x'.repeat(CUSTOMER_BODY_LIMIT + 1))).status).toBe(413)
      expect([(await send('GET', '/', '')).status, (await send('PUT', '/ledger', '')).status]).toEqual([405, 405])
    })
  })

  test('headers that are nonsense are taken for none', async () => {
    const { customer: it, deliver, run } = open()
    await run(() => deliver('evt_1', { 'webhook-sequence': '-1' }, '[]'))
    expect(it.ledger.requests).toMatchObject([{ sequence: null, type: null, key: null, signed: 'valid' }])
  })
})

describe('a mood holds until the next one', () => {
  /** Statuses (or the code of the cut) of messages of their own, with what the inbox says. */
  async function inMood(mood: Mood, ids: readonly string[] = ['evt_1'], options: CustomerOptions = {}) {
    const world = open(options)
    const { customer: it, deliver, run, cut, clock } = world
    it.mood(mood)
    const answers: { status: number | string; headers: Record<string, string>; body: string; ms: number }[] = []
    await run(async () => {
      for (const id of ids) {
        const began = clock.monotonic()
        await deliver(id).then(
          ({ status, headers, body }) => answers.push({ status, headers, body, ms: clock.monotonic() - began }),
          (error: ResilError) => answers.push({ status: error.code, headers: {}, body: '', ms: clock.monotonic() - began }),
        )
      }
    })
    return { ...world, cut, answers, statuses: answers.map(({ status }) => status), processed: it.processed() }
  }

  test('slow: the effect and the answer come after ms', async () => {
    const { answers, processed } = await inMood({ kind: 'slow', ms: 10_000 })
    expect(answers).toMatchObject([{ status: 204, ms: 10_000 }])
    expect(processed).toEqual(['evt_1'])
  })

  test('down: cut at once, nothing is read, and the ledger can still be asked', async () => {
    const { answers, customer: it, received, send, run } = await inMood({ kind: 'down' })
    expect(answers).toMatchObject([{ status: 'CONNECTION_CUT', ms: 0 }])
    expect([it.ledger.requests.length, it.ledger.unread, received().length]).toEqual([0, 1, 0])
    expect((await run(() => send('GET', '/ledger', ''))).status).toBe(200)
  })

  test('flapping: up, down and up again by the clock', async () => {
    const { customer: it, clock, deliver, run, cut } = open()
    await run(async () => {
      await clock.sleep(12_345)
      it.mood({ kind: 'flapping', upMs: 30_000, downMs: 20_000 })
      const seen = []
      for (const at of [0, 29_999, 30_000, 49_999, 50_000, 80_000]) {
        await clock.sleep(12_345 + at - clock.monotonic())
        seen.push(cut(deliver(`evt_${at}`)))
        await Promise.resolve()
      }
      expect(await Promise.all(seen)).toEqual([204, 204, 'CONNECTION_CUT', 'CONNECTION_CUT', 204, 'CONNECTION_CUT'])
    })
  })

  test.each([400, 401, 403, 404, 408, 409, 410, 413, 425, 429, 500, 502, 503, 504])('error %d: answered, written down, not processed', async (status) => {
    const { statuses, processed, customer: it } = await inMood({ kind: 'error', status })
    expect([statuses, processed]).toEqual([[status], []])
    expect(it.ledger.requests).toMatchObject([{ status, processed: false, signed: 'valid', mood: 'error' }])
  })

  test.each([[120, '120'], ['Tue, 01 Jan 2030 00:02:00 GMT', 'Tue, 01 Jan 2030 00:02:00 GMT'], ['soon', 'soon'], [-5, '-5'], [1e9, '1000000000']])('429 with Retry-After %s', async (retryAfter, expected) => {
    const { answers } = await inMood({ kind: 'error', status: 429, retryAfter })
    expect(answers).toMatchObject([{ status: 429, headers: { 'retry-after': expected } }])
  })

  test.each([300, 301, 302, 303, 304, 307, 308])('redirect %d', async (status) => {
    expect((await inMood({ kind: 'redirect', status, location: 'http://127.0.0.1/x' })).answers).toMatchObject([{ status, headers: { location: 'http://127.0.0.1/x' } }])
    const { answers, processed } = await inMood({ kind: 'redirect', status })
    expect(answers[0]!.headers).not.toHaveProperty('location')
    expect(processed).toEqual([])
  })

  test('W-RST-AFTER-BODY read, processed or not, and no answer', async () => {
    for (const processes of [undefined, true, false]) {
      const { statuses, processed, customer: it } = await inMood({ kind: 'reset_after_body', processes })
      expect([statuses, processed]).toEqual([['CONNECTION_CUT'], processes === false ? [] : ['evt_1']])
      expect(it.ledger.requests).toMatchObject([{ status: 0, attempt: 1 }])
    }
  })

  test('W-200-LIE a login page, and nothing was processed', async () => {
    const { answers, processed } = await inMood({ kind: 'lie_200' })
    expect(answers).toMatchObject([{ status: 200, headers: { 'content-type': 'text/html' }, body: expect.stringContaining('sign in') }])
    expect(processed).toEqual([])
  })

  test('forgetful: 204 for all, and those that match are not held; the sender may bring them again', async () => {
    const tenth = await inMood({ kind: 'forgetful', every: 2 }, ['a', 'b', 'c', 'd'])
    expect([tenth.statuses, tenth.processed]).toEqual([[204, 204, 204, 204], ['a', 'c']])
    const named = await inMood({ kind: 'forgetful', ids: ['b'] }, ['a', 'b', 'c', 'b'])
    expect([named.statuses, named.processed]).toEqual([[204, 204, 204, 204], ['a', 'c']])
    named.customer.mood({ kind: 'healthy' })
    await named.run(() => named.deliver('b'))
    expect(named.customer.processed()).toEqual(['a', 'b', 'c'])
  })

  test('gone_for: one message is poison however often it comes, the rest are well', async () => {
    expect((await inMood({ kind: 'gone_for', ids: ['b'] }, ['a', 'b', 'b', 'c'])).statuses).toEqual([204, 500, 500, 204])
    expect((await inMood({ kind: 'gone_for', keys: ['cust-7'] }, ['a'])).statuses).toEqual([500])
    expect((await inMood({ kind: 'gone_for', bodies: ['invoice.paid'] }, ['a'])).statuses).toEqual([500])
    expect((await inMood({ kind: 'gone_for', bodies: ['nowhere'] }, ['a'])).statuses).toEqual([204])
    expect((await inMood({ kind: 'gone_for', every: 2 }, ['a', 'b', 'b', 'c', 'b', 'd', 'a'])).statuses).toEqual([204, 500, 500, 204, 500, 500, 204])
  })

  test('reject_every: each third request, whichever message it is', async () => {
    expect((await inMood({ kind: 'reject_every', every: 3 }, ['a', 'b', 'c', 'c', 'd', 'e'])).statuses).toEqual([204, 204, 500, 204, 204, 500])
  })

  test('receipt: signed under the secret that was used, for this attempt', async () => {
    const { answers } = await inMood({ kind: 'receipt' })
    expect(answers[0]!.headers['webhook-receipt']).toBe(hmac(SECRET, `receipt.evt_1.${NOW_S}`))
    expect((await inMood({ kind: 'healthy' })).answers[0]!.headers).not.toHaveProperty('webhook-receipt')
    expect((await inMood({ kind: 'lie_200' }, ['evt_1'], { receipts: true })).answers[0]!.headers).not.toHaveProperty('webhook-receipt')
    expect((await inMood({ kind: 'healthy' }, ['evt_1'], { receipts: true, secrets: [OTHER, SECRET] })).answers[0]!.headers['webhook-receipt']).toBe(hmac(SECRET, `receipt.evt_1.${NOW_S}`))
    expect((await inMood({ kind: 'receipt' }, ['evt_1'], { secrets: [] })).answers[0]!.headers).not.toHaveProperty('webhook-receipt')
  })

  test('an error does not ask whose signature it was, a 401 comes from the customer itself', async () => {
    const { customer: it, send, run } = open()
    it.mood({ kind: 'error', status: 503 })
    expect((await run(() => send('POST', '/', BODY))).status).toBe(503)
    it.mood({ kind: 'deferred', ackMs: 0 })
    expect((await run(() => send('POST', '/', BODY))).status).toBe(401)
    it.mood({ kind: 'reset_after_body' })
    await expect(run(() => send('POST', '/', BODY))).rejects.toMatchObject({ code: 'CONNECTION_CUT' })
    expect(it.ledger).toMatchObject({ effects: 0, requests: [{ signed: 'missing' }, { signed: 'missing' }, { signed: 'missing' }] })
  })

  test('a change is said, and holds for requests that come after it', async () => {
    const { customer: it, deliver, run, events } = open({ name: 'customer-1' })
    await run(async () => {
      const before = deliver('a')
      it.mood({ kind: 'error', status: 429, retryAfter: 120 })
      const after = deliver('b')
      expect([(await before).status, (await after).status]).toEqual([204, 429])
    })
    expect(events[0]).toMatchObject({ src: 'mock', type: 'customer.changed', customer: 'customer-1', mood: 'error, status 429, retryAfter 120' })
  })

  const senseless: Mood[] = [
    { kind: 'slow', ms: -1 }, { kind: 'slow', ms: Number.NaN }, { kind: 'flapping', upMs: 0, downMs: 1 }, { kind: 'error', status: 200 }, { kind: 'error', status: 600 },
    { kind: 'error', status: 429, retryAfter: 'a\r\nb: c' }, { kind: 'redirect', status: 309 }, { kind: 'redirect', status: 302, location: 'x\n' }, { kind: 'forgetful' }, { kind: 'gone_for', every: 0 },
    { kind: 'gone_for', ids: new Array(10_001).fill('x') }, { kind: 'reject_every', every: 0.5 }, { kind: 'deferred', ackMs: -1 }, { kind: 'sad' } as unknown as Mood,
  ]
  test.each(senseless)('no customer is in this mood: $kind', (mood) => {
    const { customer: it } = open()
    expect(() => it.mood(mood)).toThrow(expect.objectContaining({ code: 'INVALID_MOOD' }))
  })
})

describe('a deferred acknowledgement', () => {
  function deferring(answers: (attempt: number) => Outcome<HttpResponse>, ackMs: number | 'never' = 5000) {
    const world = open()
    const acks: { at: number; request: HttpRequest }[] = []
    const unbind = world.customer.webhooks(async (request) => {
      acks.push({ at: world.clock.monotonic(), request })
      return answers(acks.length)
    })
    world.customer.mood({ kind: 'deferred', ackMs })
    return { ...world, acks, unbind }
  }
  const ok: Outcome<HttpResponse> = { kind: 'ok', value: { status: 204, headers: {}, body: '' } }
  const lost: Outcome<HttpResponse> = { kind: 'unknown', error: new ResilError('RESET', 'lost') }

  test('W-200-DEFER 202, then the effect, then the acknowledgement, signed at its own time', async () => {
    const { customer: it, acks, clock, deliver, run, events } = deferring(() => ok)
    await run(async () => {
      expect(await deliver('evt_1', { 'webhook-endpoint': 'ep_1' })).toMatchObject({ status: 202, headers: { 'webhook-ack': 'deferred' } })
      expect(it.processed()).toEqual([])
      await clock.sleep(5000)
      expect(it.processed()).toEqual(['evt_1'])
    })
    const seconds = NOW_S + 5
    expect(acks).toEqual([{ at: 5020, request: { method: 'POST', path: '/v1/acks', headers: { 'content-type': 'application/json', 'webhook-timestamp': String(seconds), 'webhook-ack-signature': hmac(SECRET, `ack.evt_1.${seconds}`) }, body: '{"id":"evt_1","endpoint":"ep_1"}' } }])
    expect(events.map(({ type }) => type)).toEqual(['customer.changed', 'customer.received', 'customer.processed', 'customer.acked'])
    expect(it.ledger).toMatchObject({ effects: 1, requests: [{ status: 202, processed: true }] })
  })

  test('never: no effect, no acknowledgement', async () => {
    const { customer: it, acks, clock, deliver, run } = deferring(() => ok, 'never')
    await run(async () => {
      await deliver()
      await clock.sleep(3_600_000)
    })
    expect([acks, it.ledger.effects, it.ledger.requests[0]!.processed]).toEqual([[], 0, false])
  })

  test('an acknowledgement that is lost goes out again, and the message that comes meanwhile is answered 204', async () => {
    const { acks, clock, deliver, run } = deferring((attempt) => (attempt < 3 ? lost : ok), 100)
    await run(async () => {
      await deliver()
      await clock.sleep(500)
      expect((await deliver()).status).toBe(204)
      await clock.sleep(60_000)
    })
    expect(acks.map(({ at }) => at)).toEqual([120, 1120, 3120])
  })

  test('it gives up after five', async () => {
    const { acks, clock, deliver, run } = deferring(() => lost, 100)
    await run(async () => {
      await deliver()
      await clock.sleep(3_600_000)
    })
    expect(acks).toHaveLength(5)
  })

  test('a second copy while the first is put off is put off too, and the effect is one', async () => {
    const { customer: it, acks, clock, deliver, run } = deferring(() => ok)
    await run(async () => {
      expect([(await deliver()).status, (await deliver()).status]).toEqual([202, 202])
      await clock.sleep(60_000)
    })
    expect([acks.length, it.ledger.effects]).toEqual([1, 1])
  })

  test('it is signed under the secret of its webhook, for one customer may have several endpoints; under another one when that was revoked meanwhile', async () => {
    for (const [meanwhile, used] of [[[OTHER, SECRET], SECRET], [[OTHER], OTHER]] as const) {
      const { customer: it, acks, clock, deliver, run } = deferring(() => ok)
      it.trust([OTHER, SECRET])
      await run(async () => {
        await deliver()
        it.trust(meanwhile)
        await clock.sleep(5000)
      })
      expect(acks[0]!.request.headers['webhook-ack-signature']).toBe(hmac(used, `ack.evt_1.${NOW_S + 5}`))
    }
  })

  test('what was put off, done and then forgotten is put off and done again', async () => {
    const { customer: it, acks, clock, deliver, run } = deferring(() => ok)
    await run(async () => {
      await deliver()
      await clock.sleep(6000)
      it.forget(1, Random.seeded(1))
      expect((await deliver()).status).toBe(202)
      await clock.sleep(6000)
    })
    expect([acks.length, it.ledger.effects, it.processed()]).toEqual([2, 2, ['evt_1']])
  })

  test('once it is closed nothing comes any more; without a listener the effect comes alone', async () => {
    const closed = deferring(() => ok)
    await closed.run(async () => {
      await closed.deliver()
      closed.customer.close!()
      await closed.clock.sleep(60_000)
    })
    expect([closed.acks.length, closed.customer.ledger.effects]).toEqual([0, 0])
    const alone = deferring(() => ok)
    await alone.run(async () => {
      await alone.deliver()
      alone.unbind()
      await alone.clock.sleep(60_000)
    })
    expect([alone.acks.length, alone.customer.ledger.effects]).toEqual([0, 1])
  })
})

describe('a lie is a mood for single requests', () => {
  test.each([
    ['late_answer', 204, true], ['reset', 'CONNECTION_CUT', false], ['error_500', 500, false], ['error_503', 503, false], ['error_410', 410, false], ['busy_429', 429, false], ['redirect_302', 302, false],
    ['reset_after_body', 'CONNECTION_CUT', false], ['processed_then_500', 500, true], ['processed_then_reset', 'CONNECTION_CUT', true], ['lie_200', 200, false], ['forgetful', 204, false], ['deferred', 202, false], ['never_acked', 202, false],
  ])('%s: %s', async (kind, status, processed) => {
    const { customer: it, deliver, run, cut, events } = open()
    it.lie({ kind, times: 1, after: 1, ms: 3000 })
    await run(async () => {
      expect([await cut(deliver('a')), await cut(deliver('b')), await cut(deliver('c'))]).toEqual([204, status, 204])
      expect(it.processed().includes('b')).toBe(processed)
    })
    expect(events.find(({ type }) => type === 'customer.lied')).toMatchObject({ customer: 'customer', lie: kind })
  })

  test('healing ends it before it is told', async () => {
    const { customer: it, deliver, run } = open()
    it.lie({ kind: 'error_500', times: 1, after: 0, ms: 0 })
    it.heal()
    expect((await run(() => deliver())).status).toBe(204)
    expect(() => it.lie({ kind: 'rude', times: 1, after: 0, ms: 0 })).toThrow(expect.objectContaining({ code: 'UNKNOWN_LIE' }))
  })
})

describe('it and the engine agree, though neither knows the other', () => {
  const random = Random.seeded(3)

  test.each(['v1', 'v1a'] as const)('on the signature, %s', async (kind) => {
    const secret = newSecret(kind, random)
    const { customer: it, send, run } = open({ secrets: [kind === 'v1' ? secret : publicKeyOf(secret)] })
    const signature = signer([{ secret: newSecret(kind, random) }, { secret }]).sign('evt_1', NOW_S, BODY)
    const headers = { 'webhook-id': 'evt_1', 'webhook-timestamp': String(NOW_S), 'webhook-signature': signature }
    expect((await run(() => send('POST', '/', BODY, headers))).status).toBe(204)
    expect((await run(() => send('POST', '/', `${BODY} `, headers))).status).toBe(401)
    expect(it.ledger.effects).toBe(1)
  })

  test('on receipts and acknowledgements', async () => {
    const { customer: it, clock, deliver, run } = open()
    const acks: HttpRequest[] = []
    it.webhooks(async (request) => {
      acks.push(request)
      return { kind: 'ok', value: { status: 204, headers: {}, body: '' } }
    })
    await run(async () => {
      it.mood({ kind: 'receipt' })
      const { headers } = await deliver('evt_1')
      expect(receiptValid([SECRET], 'evt_1', NOW_S, headers['webhook-receipt']!)).toBe(true)
      expect(receiptValid([OTHER], 'evt_1', NOW_S, headers['webhook-receipt']!)).toBe(false)
      it.mood({ kind: 'deferred', ackMs: 2000 })
      await deliver('evt_2')
      await clock.sleep(5000)
    })
    expect(verifyAck([SECRET], acks[0]!.headers, 'evt_2', clock.now())).toEqual({ ok: true })
    expect(verifyAck([OTHER], acks[0]!.headers, 'evt_2', clock.now())).toMatchObject({ ok: false, reason: 'wrong' })
  })
})
