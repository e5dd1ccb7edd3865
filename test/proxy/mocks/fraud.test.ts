import { expect, test } from 'vitest'
import { VirtualClock } from '../../../src/clock.ts'
import { EventLog } from '../../../src/events.ts'
import type { Event } from '../../../src/events.ts'
import { Random } from '../../../src/random.ts'
import { fraud, lies } from '../../../src/proxy/mocks/fraud.ts'
import type { FraudOptions } from '../../../src/proxy/mocks/fraud.ts'

const BLOCKED = '4100000000000019'

function open(options?: FraudOptions) {
  const clock = new VirtualClock()
  const log = new EventLog('test', clock)
  const events: Event[] = []
  log.subscribe((event) => events.push(event))
  const it = fraud({ clock, random: Random.seeded(1), log: log.from('mock'), latency: { p50: 40, p99: 40 } }, options)
  const send = (method: string, path: string, body: string) => it.handle({ method, path, headers: {}, body })
  const assess = (changes: Record<string, unknown> = {}) => send('POST', '/v1/assessments', JSON.stringify({ amount: 9900, currency: 'usd', reference: 'order-1', ...changes }))
  const tell = (kind: keyof typeof lies, numbers: { ms?: number } = {}) => it.lie({ kind, times: 1, after: 0, ms: 0, ...numbers })
  const run = <T>(work: () => Promise<T>) => clock.run(work())
  return { fraud: it, clock, events, send, assess, tell, run }
}

test('a payment is allowed after the latency, with or without a card, and the same question gets the same answer', async () => {
  const { fraud, clock, assess, run, events } = open()
  await run(async () => {
    const first = await assess()
    expect(clock.monotonic()).toBe(40)
    expect([first.status, JSON.parse(first.body)]).toEqual([200, { decision: 'allow', score: 12 }])
    expect(await assess()).toEqual(first)
    expect(await assess({ card: '4242424242424242' })).toEqual(first)
    expect(events[0]).toMatchObject({ src: 'mock', type: 'fraud.assessed', reference: 'order-1', amount: 9900, decision: 'allow' })
    expect(fraud.ledger.assessments).toMatchObject([{ last4: null, currency: 'USD' }, {}, { last4: '4242' }])
  })
})

test("Stripe's always-blocked card is denied, and its number appears nowhere", async () => {
  const { assess, send, run, events } = open()
  await run(async () => {
    const answer = await assess({ card: BLOCKED })
    expect([answer.status, JSON.parse(answer.body)]).toEqual([200, { decision: 'deny', score: 92 }])
    const ledger = await send('GET', '/ledger', '')
    expect(JSON.parse(ledger.body).assessments).toMatchObject([{ decision: 'deny', last4: '0019', reference: 'order-1' }])
    expect(ledger.body + JSON.stringify(events)).not.toContain(BLOCKED)
  })
})

test('malformed requests are 400, unknown routes 404, wrong methods 405, and nothing is assessed', async () => {
  const { fraud, assess, send, run, events } = open()
  await run(async () => {
    for (const change of [{ amount: 0 }, { amount: 0.5 }, { currency: '' }, { reference: 7 }, { card: 'visa' }, { card: null }]) expect((await assess(change)).status, JSON.stringify(change)).toBe(400)
    expect((await send('POST', '/v1/assessments', '{')).status).toBe(400)
    expect((await send('GET', '/v1/assessment', '')).status).toBe(404)
    expect((await send('GET', '/v1/assessments', '')).status).toBe(405)
    expect([fraud.ledger.assessments.length, events.length]).toEqual([0, 0])
  })
})

test('error_500 assesses nothing', async () => {
  const { fraud, assess, tell, run, events } = open()
  await run(async () => {
    tell('error_500')
    expect((await assess()).status).toBe(500)
    expect(fraud.ledger.assessments).toHaveLength(0)
    expect(events).toMatchObject([{ type: 'fraud.lied', lie: 'error_500' }])
    expect((await assess()).status).toBe(200)
  })
})

test('late_answer takes its time and tells the truth; healing ends a lie before it is told', async () => {
  const { fraud, clock, assess, tell, run } = open()
  await run(async () => {
    tell('late_answer', { ms: 3000 })
    expect(JSON.parse((await assess()).body).decision).toBe('allow')
    expect(clock.monotonic()).toBe(3000)
    tell('late_answer', { ms: 3000 })
    fraud.heal()
    await assess()
    expect(clock.monotonic()).toBe(3040)
  })
})

test('garbage answers 200 with HTML', async () => {
  const { assess, tell, run } = open()
  tell('garbage')
  expect(await run(() => assess())).toMatchObject({ status: 200, headers: { 'content-type': 'text/html' } })
})

test('a full ledger answers 507', async () => {
  const { assess, run } = open({ ledgerLimit: 1 })
  await run(async () => expect([(await assess()).status, (await assess()).status]).toEqual([200, 507]))
})
