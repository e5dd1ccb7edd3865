import { describe, expect, test } from 'vitest'
import { VirtualClock } from '../../src/clock.ts'
import { EventLog } from '../../src/events.ts'
import type { Event } from '../../src/events.ts'
import { connectionCut } from '../../src/network.ts'
import type { HttpRequest, Service } from '../../src/network.ts'
import { SimulatedNetwork } from '../../src/proxy/simulated.ts'
import { toxics } from './wire.ts'

const request: HttpRequest = { method: 'POST', path: '/v1/charges?x=1', headers: { 'idempotency-key': 'k1' }, body: '{}' }

function setup(services: Record<string, Service>) {
  const clock = new VirtualClock()
  const log = new EventLog('test', clock)
  const events: Event[] = []
  log.subscribe((event) => events.push(event))
  const map = new Map(Object.entries(services))
  const network = new SimulatedNetwork({ clock, log: log.from('proxy'), seed: 1, toxics, services: map })
  const call = (service: string, timeoutMs = 1000, signal?: AbortSignal) => network.call(service, request, { timeoutMs, signal })
  return { clock, network, services: map, events, call, of: (type: string) => events.filter((event) => event.type === type) }
}

const fine: Service = async () => ({ status: 200, headers: {}, body: 'fine' })

test('without rules a call is answered in no time, and journalled', async () => {
  const { clock, call, events } = setup({ bank: fine })
  expect(await clock.run(call('bank'))).toEqual({ kind: 'ok', value: { status: 200, headers: {}, body: 'fine' } })
  expect(clock.monotonic()).toBe(0)
  expect(events).toMatchObject([
    { src: 'proxy', type: 'exchange.opened', link: 'bank', connection: 1, exchange: 1, method: 'POST', path: '/v1/charges?x=1', key: 'k1' },
    { src: 'proxy', type: 'exchange.answered', link: 'bank', exchange: 1, status: 200, ms: 0 },
  ])
})

test('the service begins after the caller went on, never inside its call', async () => {
  const order: string[] = []
  const { clock, call } = setup({ bank: async (asked) => (order.push('service'), fine(asked)) })
  const answered = call('bank')
  order.push('caller')
  await clock.run(answered)
  expect(order).toEqual(['caller', 'service'])
})

test('an unknown service is a wrong use', async () => {
  const { network, call } = setup({ bank: fine })
  await expect(call('bnak')).rejects.toMatchObject({ code: 'UNKNOWN_SERVICE', hint: expect.stringContaining('bank') })
  expect(() => network.link('bnak')).toThrow(expect.objectContaining({ code: 'UNKNOWN_SERVICE' }))
})

test('a service may be replaced while the network runs', async () => {
  const { clock, call, services } = setup({ bank: fine })
  services.set('bank', async () => ({ status: 503, headers: {}, body: '' }))
  expect(await clock.run(call('bank'))).toMatchObject({ value: { status: 503 } })
})

describe('a caller that gives up', () => {
  test('does not know, and the service goes on', async () => {
    const done: number[] = []
    const { clock, call, of } = setup({
      bank: async (asked) => {
        await clock.sleep(5000)
        done.push(clock.monotonic())
        return fine(asked)
      },
    })
    expect(await clock.run(call('bank'))).toMatchObject({ kind: 'unknown', error: { code: 'TIMEOUT' } })
    expect(clock.monotonic()).toBe(1000)
    await clock.run(clock.sleep(10_000))
    expect(done).toEqual([5000])
    expect(of('exchange.cut')).toMatchObject([{ exchange: 1, how: 'fin', by: 'client' }])
    expect(of('exchange.answered')).toEqual([])
  })

  test('by its signal does not know, either, unless it was before the call', async () => {
    const { clock, call, of } = setup({ bank: () => new Promise(() => {}) })
    const controller = new AbortController()
    clock.after(300, () => controller.abort())
    expect(await clock.run(call('bank', 1000, controller.signal))).toMatchObject({ kind: 'unknown', error: { code: 'ABORTED' } })
    expect(clock.monotonic()).toBe(300)
    expect(await clock.run(call('bank', 1000, controller.signal))).toMatchObject({ kind: 'failed', error: { code: 'ABORTED' } })
    expect(of('exchange.opened')).toHaveLength(1)
  })

  test('meets no fault on an answer that it no longer waits for', async () => {
    const { clock, network, call } = setup({ bank: async (asked) => (await clock.sleep(5000), fine(asked)) })
    network.link('bank').rules.add({ link: 'bank', type: 'lost_response' })
    await clock.run(call('bank'))
    await clock.run(clock.sleep(10_000))
    expect(network.link('bank').rules.unfired()).toEqual(['lost_response_downstream'])
  })
})

describe('a service that breaks', () => {
  test('by cutting its connection leaves the caller not knowing', async () => {
    const { clock, call, of } = setup({
      bank: async () => {
        throw connectionCut('power cut')
      },
    })
    expect(await clock.run(call('bank'))).toMatchObject({ kind: 'unknown', error: { code: 'RESET' } })
    expect(of('exchange.cut')).toMatchObject([{ how: 'rst', by: 'service' }])
  })

  test('by throwing anything else answers 500, and the journal says what', async () => {
    const { clock, call, of } = setup({
      bank: async () => {
        throw new TypeError('x is not a function')
      },
    })
    expect(await clock.run(call('bank'))).toMatchObject({ kind: 'ok', value: { status: 500 } })
    expect(of('exchange.answered')).toMatchObject([{ status: 500, threw: 'TypeError: x is not a function' }])
  })
})

describe('a link that is off', () => {
  test('refuses: what is called then did not happen', async () => {
    const { clock, network, call, events } = setup({ bank: fine })
    void network.link('bank').setEnabled(false)
    expect(await clock.run(call('bank'))).toMatchObject({ kind: 'failed', error: { code: 'REFUSED' } })
    expect(events).toEqual([])
    void network.link('bank').setEnabled(true)
    expect(await clock.run(call('bank'))).toMatchObject({ kind: 'ok' })
  })

  test('cuts what is under way: a request still on its way never arrives, an answer is lost', async () => {
    let served = 0
    const { clock, network, call, of } = setup({ bank: async (asked) => (served++, await clock.sleep(500), fine(asked)) })
    const link = network.link('bank')
    link.rules.add({ link: 'bank', type: 'latency', attributes: { latency: 200, after: 1 }, stream: 'upstream' })
    clock.after(100, () => void link.setEnabled(false))
    const [first, second] = await clock.run(Promise.all([call('bank'), call('bank')]))
    expect(first).toMatchObject({ kind: 'unknown', error: { code: 'RESET' } })
    expect(second).toMatchObject({ kind: 'unknown', error: { code: 'RESET' } })
    await clock.run(clock.sleep(5000))
    expect(served).toBe(1)
    expect(of('exchange.cut')).toMatchObject([{ exchange: 1 }, { exchange: 2 }])
    expect(of('exchange.answered')).toEqual([])
  })
})

test('a request that was cut on its way meets no further rule', async () => {
  const { clock, network, call } = setup({ bank: fine })
  const link = network.link('bank')
  for (const name of ['first', 'second']) link.rules.add({ link: 'bank', type: 'latency', name, attributes: { latency: 100 }, stream: 'upstream' })
  clock.after(50, () => void link.setEnabled(false))
  await clock.run(call('bank'))
  expect(link.rules.unfired()).toEqual(['second'])
})

test('what a rule holds goes on when the rule is taken away', async () => {
  const { clock, network, call } = setup({ bank: fine })
  const { rules } = network.link('bank')
  rules.add({ link: 'bank', type: 'latency', attributes: { latency: '1h' } })
  clock.after(70, () => rules.removeAll())
  expect(await clock.run(call('bank'))).toMatchObject({ kind: 'ok' })
  expect(clock.monotonic()).toBe(70)
})

test('the same seed decides the same for one call after another and for all at once', async () => {
  const decide = async (atOnce: boolean) => {
    const { clock, network, call, of } = setup({ bank: fine })
    network.link('bank').rules.add({ link: 'bank', type: 'lost_response', attributes: { probability: 0.4 } })
    if (atOnce) await clock.run(Promise.all(Array.from({ length: 60 }, () => call('bank'))))
    else for (let i = 0; i < 60; i++) await clock.run(call('bank'))
    return of('toxic.hit').map((hit) => hit.exchange as number)
  }
  const one = await decide(false)
  expect(one.length).toBeGreaterThan(10)
  expect(one.length).toBeLessThan(50)
  expect(await decide(true)).toEqual(one)
})

test('links keep their own count and their own rules', async () => {
  const { clock, network, call, of } = setup({ bank: fine, fraud: fine })
  network.link('bank').rules.add({ link: 'bank', type: 'http_error' })
  expect(await clock.run(call('fraud'))).toMatchObject({ value: { status: 200 } })
  expect(await clock.run(call('bank'))).toMatchObject({ value: { status: 503 } })
  expect(of('exchange.opened')).toMatchObject([{ link: 'fraud', exchange: 1 }, { link: 'bank', exchange: 1 }])
  expect(network.link('bank')).toBe(network.link('bank'))
})
