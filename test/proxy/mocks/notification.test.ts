import { expect, test } from 'vitest'
import { VirtualClock } from '../../../src/clock.ts'
import { EventLog } from '../../../src/events.ts'
import type { Event } from '../../../src/events.ts'
import { Random } from '../../../src/random.ts'
import { lies, notification } from '../../../src/proxy/mocks/notification.ts'
import type { NotificationOptions } from '../../../src/proxy/mocks/notification.ts'

function open(options?: NotificationOptions) {
  const clock = new VirtualClock()
  const log = new EventLog('test', clock)
  const events: Event[] = []
  log.subscribe((event) => events.push(event))
  const it = notification({ clock, random: Random.seeded(1), log: log.from('mock'), latency: { p50: 20, p99: 20 } }, options)
  const send = (method: string, path: string, body: string, headers: Record<string, string> = {}) => it.handle({ method, path, headers, body })
  const notify = (id: unknown = 'ntf_1', headers?: Record<string, string>) => send('POST', '/v1/notifications', JSON.stringify({ id, payment: 'pay_1', card: '4242424242424242' }), headers)
  const tell = (kind: keyof typeof lies, ms = 0) => it.lie({ kind, times: 1, after: 0, ms })
  const run = <T>(work: () => Promise<T>) => clock.run(work())
  return { notification: it, clock, events, send, notify, tell, run }
}

test('a message is taken with 202 after the latency, and a second one with its id is taken as a duplicate', async () => {
  const { clock, send, notify, run, events } = open()
  await run(async () => {
    const first = await notify('ntf_1', { 'idempotency-key': 'ntf_1' })
    expect([clock.monotonic(), first.status, JSON.parse(first.body)]).toEqual([20, 202, { id: 'ntf_1', duplicate: false }])
    expect(JSON.parse((await notify('ntf_1')).body).duplicate).toBe(true)
    expect(JSON.parse((await notify('ntf_2')).body).duplicate).toBe(false)
    expect(events).toMatchObject([
      { src: 'mock', type: 'notification.received', id: 'ntf_1', payment: 'pay_1', duplicate: false },
      { type: 'notification.received', id: 'ntf_1', duplicate: true },
      { type: 'notification.received', id: 'ntf_2', duplicate: false },
    ])
    const ledger = await send('GET', '/ledger', '')
    expect(JSON.parse(ledger.body).notifications.map((taken: { id: string; key: string; duplicate: boolean }) => [taken.id, taken.key, taken.duplicate])).toEqual([['ntf_1', 'ntf_1', false], ['ntf_1', null, true], ['ntf_2', null, false]])
    expect(ledger.body + JSON.stringify(events)).not.toContain('4242424242424242')
  })
})

test('two copies at once are one message and one duplicate', async () => {
  const { notify, run } = open()
  const answers = await run(() => Promise.all([notify(), notify()]))
  expect(answers.map((answer) => JSON.parse(answer.body).duplicate)).toEqual([false, true])
})

test('malformed requests are 400, unknown routes 404, wrong methods 405, and nothing is taken', async () => {
  const { notify, send, run, events } = open()
  await run(async () => {
    for (const id of ['', 7, null, 'i'.repeat(256)]) expect((await notify(id)).status, String(id)).toBe(400)
    expect((await notify('ntf_1', { 'idempotency-key': '' })).status).toBe(400)
    expect((await send('POST', '/v1/notifications', 'hello')).status).toBe(400)
    expect((await send('POST', '/v1/notify', '{}')).status).toBe(404)
    expect((await send('PUT', '/v1/notifications', '{}')).status).toBe(405)
    expect(events).toEqual([])
  })
})

test('error_500 takes nothing, so the next copy is the first', async () => {
  const { notify, tell, run, events } = open()
  await run(async () => {
    tell('error_500')
    expect((await notify()).status).toBe(500)
    expect(events).toMatchObject([{ type: 'notification.lied', lie: 'error_500' }])
    expect(JSON.parse((await notify()).body).duplicate).toBe(false)
  })
})

test('taken_then_500 takes the message, so the next copy is a duplicate', async () => {
  const { notify, tell, run } = open()
  await run(async () => {
    tell('taken_then_500')
    expect((await notify()).status).toBe(500)
    expect(JSON.parse((await notify()).body).duplicate).toBe(true)
  })
})

test('late_answer takes its time; healing ends a lie before it is told', async () => {
  const { notification, clock, notify, tell, run } = open()
  await run(async () => {
    tell('late_answer', 3000)
    expect((await notify()).status).toBe(202)
    expect(clock.monotonic()).toBe(3000)
    tell('late_answer', 3000)
    notification.heal()
    await notify()
    expect(clock.monotonic()).toBe(3020)
  })
})

test('a full ledger answers 507', async () => {
  const { notify, run } = open({ ledgerLimit: 1 })
  await run(async () => expect([(await notify('a')).status, (await notify('b')).status]).toEqual([202, 507]))
})
