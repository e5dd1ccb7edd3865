/** The bank's webhooks: what is told, how it is signed, how often it is tried, and the four ways in which it goes wrong. */
import { expect, test } from 'vitest'
import { createHmac } from 'node:crypto'
import type { HttpRequest, HttpResponse, Outcome } from '../../../src/network.ts'
import { ResilError } from '../../../src/errors.ts'
import { WEBHOOK_PATH, WEBHOOK_SECRET } from '../../../src/proxy/bank/webhooks.ts'
import { openBank, read } from './open-bank.ts'

function openListener(answer: (nth: number) => number = () => 200) {
  const world = openBank()
  const heard: (HttpRequest & { t: number; event: Record<string, any> })[] = []
  const listen = (request: HttpRequest): Promise<Outcome<HttpResponse>> => {
    heard.push({ ...request, t: world.clock.monotonic(), event: JSON.parse(request.body) })
    const status = answer(heard.length)
    return Promise.resolve(status === 0 ? { kind: 'unknown', error: new ResilError('ECONNRESET', 'reset') } : { kind: 'ok', value: { status, headers: {}, body: '' } })
  }
  const stop = world.bank.webhooks(listen)
  return { ...world, heard, stop, kinds: () => heard.map(({ event }) => event['type']) }
}

test('each thing that happens is told once, as it stood then, behind its answer', async () => {
  const { clock, charge, authorise, capture, refund, shut, heard, kinds, run, of } = openListener()
  await run(async () => {
    const { id } = read(await charge())
    expect(heard).toEqual([])
    await clock.sleep(50)
    expect(heard[0]).toMatchObject({ method: 'POST', path: WEBHOOK_PATH, t: 150, event: { id: expect.stringMatching(/^evt_/), type: 'charge.succeeded', created: of('bank.charged')[0]!.at, data: { object: { id, status: 'succeeded', refunded: 0 } } } })
    await refund(id, 100)
    await charge('key-2', { card: '4000000000000002' })
    const held = read(await authorise('auth-1', { reference: 'order-2' }))
    await capture(held.id)
    await shut('order-2')
    await clock.sleep(1000)
    expect(kinds()).toEqual(['charge.succeeded', 'refund.succeeded', 'charge.declined', 'charge.authorised', 'charge.captured', 'charge.voided'])
    expect(heard[1]!.event.data.object).toMatchObject({ charge: id, amount: 100 })
    expect(heard[3]!.event.data.object).toMatchObject({ id: held.id, status: 'authorised' })
    expect(of('bank.webhook_attempted')[0]).toMatchObject({ webhook: heard[0]!.event.id, about: 'charge.succeeded', reference: 'order-1', attempt: 1, status: 200 })
  })
})

test('the signature is HMAC-SHA256 of the seconds, a dot and the body', async () => {
  const { clock, charge, heard, run } = openListener()
  await run(async () => {
    await charge()
    await clock.sleep(50)
  })
  const [, seconds, hex] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(heard[0]!.headers['bank-signature']!)!
  expect(Number(seconds)).toBe(Math.floor(clock.now() / 1000))
  expect(hex).toBe(createHmac('sha256', WEBHOOK_SECRET).update(`${seconds}.${heard[0]!.body}`).digest('hex'))
})

test('what is not answered with 2xx is tried again after 1, 2, 4, 8 seconds, signed anew', async () => {
  const statuses = [500, 0, 302, 204]
  const { clock, charge, heard, run, of } = openListener((nth) => statuses[nth - 1]!)
  await run(async () => {
    await charge()
    await clock.sleep(3_600_000)
  })
  expect(heard.map(({ t }) => t)).toEqual([150, 1150, 3150, 7150])
  expect(new Set(heard.map(({ body }) => body)).size).toBe(1)
  expect(new Set(heard.map(({ headers }) => headers['bank-signature'])).size).toBe(4)
  expect(of('bank.webhook_attempted').map((event) => [event.attempt, event.status])).toEqual([[1, 500], [2, 0], [3, 302], [4, 204]])
})

test('eight attempts are all', async () => {
  const { clock, charge, heard, run } = openListener(() => 500)
  await run(async () => {
    await charge()
    await clock.sleep(3_600_000)
  })
  expect(heard).toHaveLength(8)
})

test('told to stop, it sends nothing more, retries included', async () => {
  const { clock, charge, heard, stop, run } = openListener(() => 500)
  await run(async () => {
    await charge()
    await clock.sleep(50)
    stop()
    await charge('key-2')
    await clock.sleep(3_600_000)
  })
  expect(heard).toHaveLength(1)
})

test('webhook_twice sends the same event two times', async () => {
  const { clock, charge, heard, tell, run } = openListener()
  await run(async () => {
    tell('webhook_twice')
    await charge()
    await clock.sleep(1000)
  })
  expect(heard.map(({ body }) => body)).toEqual([heard[0]!.body, heard[0]!.body])
})

test('webhook_late sends it so much later', async () => {
  const { clock, charge, heard, tell, run } = openListener()
  await run(async () => {
    tell('webhook_late', { ms: 30_000 })
    await charge()
    await clock.sleep(60_000)
  })
  expect(heard.map(({ t }) => t)).toEqual([30_100])
})

test('webhook_first is heard before the answer, which waits for it, but not for ever', async () => {
  const { clock, charge, heard, bank, tell, run } = openListener()
  await run(async () => {
    tell('webhook_first', { ms: 2000 })
    const answer = charge().then(() => heard.length)
    expect(await answer).toBe(1)
    expect(clock.monotonic()).toBe(100)
    bank.webhooks(() => new Promise(() => {}))
    tell('webhook_first', { ms: 2000 })
    expect((await charge('key-2')).status).toBe(201)
    expect(clock.monotonic()).toBe(2200)
  })
})

test('webhook_reordered is sent behind the next one, or when none comes', async () => {
  const { clock, charge, heard, kinds, refund, bank, tell, run } = openListener()
  await run(async () => {
    tell('webhook_reordered', { ms: 5000 })
    await charge()
    await refund(bank.ledger.charges[0]!.id, 100)
    await clock.sleep(1000)
    expect(kinds()).toEqual(['refund.succeeded', 'charge.succeeded'])
    tell('webhook_reordered', { ms: 5000 })
    await charge('key-2')
    const asked = clock.monotonic()
    await clock.sleep(10_000)
    expect(heard.slice(2).map(({ t }) => t - asked)).toEqual([5000])
  })
})
