/** Each toxic in both bodies of the network: over sockets, and in memory. */
import { describe, expect, test } from 'vitest'
import { VirtualClock } from '../../src/clock.ts'
import { EventLog } from '../../src/events.ts'
import type { Event } from '../../src/events.ts'
import type { HttpRequest, Service } from '../../src/network.ts'
import { COPY_BYTES } from '../../src/proxy/link.ts'
import { targeting } from '../../src/proxy/rules.ts'
import { SimulatedNetwork } from '../../src/proxy/simulated.ts'
import { answer, http, openWire, post, toxics } from './wire.ts'

const now = () => process.hrtime.bigint()
const msSince = (start: bigint) => Number(now() - start) / 1e6

/** Keeps this process from doing anything else. */
function stall(ms: number): void {
  const start = now()
  while (msSince(start) < ms);
}

/** Fires early by less than a timer's grain. */
const GRAIN_MS = 2

const REQUEST: HttpRequest = { method: 'POST', path: '/v1/charges', headers: { 'idempotency-key': 'k1' }, body: '{"amount":100}' }

function simulated(service: Service = async () => ({ status: 201, headers: {}, body: '0123456789' })) {
  const clock = new VirtualClock()
  const log = new EventLog('test', clock)
  const events: Event[] = []
  log.subscribe((event) => events.push(event))
  const seen: { request: HttpRequest; at: number }[] = []
  const bank: Service = (request) => {
    seen.push({ request, at: clock.monotonic() })
    return service(request)
  }
  const network = new SimulatedNetwork({ clock, log: log.from('proxy'), seed: 1, toxics, services: new Map([['bank', bank]]) })
  const { rules } = network.link('bank')
  const call = (timeoutMs = 10_000) => network.call('bank', REQUEST, { timeoutMs })
  const hits = () => events.filter((event) => event.type === 'toxic.hit')
  return { clock, network, rules, seen, events, call, hits }
}

/** One request over the wire, with a toxic on it. */
async function wired(type: string, attributes: Record<string, number | string>, stream?: 'upstream' | 'downstream', reply = answer('0123456789')) {
  const seen: string[] = []
  const wire = await openWire(http(seen, () => reply))
  wire.rules.add({ link: 'bank', type, attributes, stream })
  const client = await wire.client()
  return { wire, seen, client, send: () => void client.socket.write(post('/v1/charges')) }
}

test('no toxic has an attribute of its own that is called like one for targeting', () => {
  for (const toxic of Object.values(toxics)) expect(Object.keys(toxic.attributes).filter((key) => key in targeting)).toEqual([])
})

describe('latency', () => {
  test('over sockets, the answer comes late and whole', async () => {
    const { wire, client, send } = await wired('latency', { latency: '60ms' })
    await using _ = wire
    const start = now()
    send()
    await client.until('0123456789')
    expect(msSince(start)).toBeGreaterThanOrEqual(60 - GRAIN_MS)
    expect(wire.of('toxic.hit')).toMatchObject([{ toxic: 'latency_downstream', connection: 1, exchange: 1, action: 'bytes delayed', ms: 60 }])
  })

  test('in memory, it takes exactly its time in each direction', async () => {
    const { clock, rules, seen, call, hits } = simulated()
    rules.add({ link: 'bank', type: 'latency', attributes: { latency: 100 }, stream: 'upstream' })
    rules.add({ link: 'bank', type: 'latency', attributes: { latency: 200 } })
    expect((await clock.run(call())).kind).toBe('ok')
    expect(seen[0]!.at).toBe(100)
    expect(clock.monotonic()).toBe(300)
    expect(hits()).toHaveLength(2)
  })

  test('jitter stays within its bounds and is the same for the same seed', async () => {
    const draw = async () => {
      const { clock, rules, call, hits } = simulated()
      rules.add({ link: 'bank', type: 'latency', attributes: { latency: 100, jitter: 50 } })
      for (let i = 0; i < 200; i++) await clock.run(call())
      return hits().map((hit) => hit.ms as number)
    }
    const ms = await draw()
    expect(Math.min(...ms)).toBeGreaterThanOrEqual(50)
    expect(Math.min(...ms)).toBeLessThan(55)
    expect(Math.max(...ms)).toBeLessThanOrEqual(150)
    expect(Math.max(...ms)).toBeGreaterThan(145)
    expect(new Set(ms).size).toBeGreaterThan(150)
    expect(await draw()).toEqual(ms)
  })

  test('a request that is still on its way when its caller gives up is served later', async () => {
    const { clock, rules, seen, call } = simulated()
    rules.add({ link: 'bank', type: 'latency', attributes: { latency: 500 }, stream: 'upstream' })
    expect(await clock.run(call(100))).toMatchObject({ kind: 'unknown', error: { code: 'TIMEOUT' } })
    expect(seen).toEqual([])
    await clock.run(clock.sleep(1000))
    expect(seen).toMatchObject([{ at: 500 }])
  })
})

describe('bandwidth', () => {
  test('over sockets, the body takes its length over the rate', async () => {
    const { wire, client, send } = await wired('bandwidth', { rate: 100 }, undefined, answer('x'.repeat(10_000) + 'END'))
    await using _ = wire
    const start = now()
    send()
    await client.until('END')
    expect(msSince(start)).toBeGreaterThanOrEqual(100 - GRAIN_MS)
  })

  test('over sockets, rate 0 lets nothing pass until it is taken away', async () => {
    const { wire, client, send } = await wired('bandwidth', { rate: 0 })
    await using _ = wire
    send()
    await wire.until('toxic.hit')
    expect(client.text).toBe('')
    wire.rules.remove('bandwidth_downstream')
    await client.until('0123456789')
  })

  test('over sockets, a client that leaves a connection where nothing flows leaves nothing behind', async () => {
    const { wire, client, send } = await wired('bandwidth', { rate: 0 })
    await using _ = wire
    send()
    await wire.until('toxic.hit')
    client.socket.end()
    client.socket.destroy()
    await wire.until('connection.closed')
    expect(wire.link.connections).toBe(0)
    expect(wire.of('exchange.cut')).toMatchObject([{ exchange: 1, by: 'client' }])
  })

  test('in memory, a message takes its length over the rate; rate 0 holds it until the rule is gone', async () => {
    const { clock, rules, call } = simulated(async () => ({ status: 200, headers: {}, body: 'x'.repeat(100_000) }))
    rules.add({ link: 'bank', type: 'bandwidth', attributes: { rate: 1000 } })
    expect((await clock.run(call())).kind).toBe('ok')
    expect(clock.monotonic()).toBeGreaterThan(100)
    expect(clock.monotonic()).toBeLessThan(101)
    rules.removeAll()
    rules.add({ link: 'bank', type: 'bandwidth' })
    clock.after(500, () => rules.removeAll())
    const start = clock.monotonic()
    expect((await clock.run(call())).kind).toBe('ok')
    expect(clock.monotonic() - start).toBeCloseTo(500)
    rules.add({ link: 'bank', type: 'bandwidth' })
    expect(await clock.run(call(300))).toMatchObject({ kind: 'unknown', error: { code: 'TIMEOUT' } })
  })
})

describe('timeout', () => {
  test('over sockets, nothing passes and the connection closes', async () => {
    const { wire, seen, client, send } = await wired('timeout', { timeout: 30 }, 'upstream')
    await using _ = wire
    send()
    expect(await client.ended).toBe('fin')
    expect(client.text).toBe('')
    expect(seen).toEqual([])
  })

  test('over sockets, taking it away closes the connection that it swallowed bytes of, and no other', async () => {
    const { wire, client, send } = await wired('timeout', { timeout: 0 })
    await using _ = wire
    const idle = await wire.client()
    send()
    await wire.until('toxic.hit')
    wire.rules.remove('timeout_downstream')
    expect(await client.ended).toBe('fin')
    idle.socket.write(post('/v1/charges'))
    await idle.until('0123456789')
  })

  test('in memory, the caller is closed on after the time, or waits as long as it likes', async () => {
    const { clock, rules, seen, call } = simulated()
    rules.add({ link: 'bank', type: 'timeout', attributes: { timeout: 700 }, stream: 'upstream' })
    expect(await clock.run(call())).toMatchObject({ kind: 'unknown', error: { code: 'RESET' } })
    expect(clock.monotonic()).toBe(700)
    rules.removeAll()
    rules.add({ link: 'bank', type: 'timeout', stream: 'upstream' })
    expect(await clock.run(call(1000))).toMatchObject({ kind: 'unknown', error: { code: 'TIMEOUT' } })
    expect(seen).toEqual([])
  })
})

describe('reset_peer', () => {
  test('over sockets, both sides get an RST; an idle connection lives', async () => {
    const ends: Promise<string>[] = []
    await using wire = await openWire((end) => ends.push(end.ended))
    wire.rules.add({ link: 'bank', type: 'reset_peer', attributes: { timeout: 10 }, stream: 'upstream' })
    const idle = await wire.client()
    const client = await wire.client()
    client.socket.write('anything')
    expect(await client.ended).toBe('rst')
    expect(await Promise.race(ends)).toBe('rst')
    expect(idle.socket.destroyed).toBe(false)
    await wire.until('connection.closed')
    expect(wire.link.connections).toBe(1)
    expect(wire.of('connection.closed')).toMatchObject([{ connection: 2, how: 'rst' }])
  })

  test('in memory, upstream the service is spared, downstream it has done its work', async () => {
    const { clock, rules, seen, call } = simulated()
    rules.add({ link: 'bank', type: 'reset_peer', attributes: { timeout: 50 }, stream: 'upstream' })
    expect(await clock.run(call())).toMatchObject({ kind: 'unknown', error: { code: 'RESET' } })
    expect(seen).toHaveLength(0)
    rules.removeAll()
    rules.add({ link: 'bank', type: 'reset_peer' })
    expect(await clock.run(call())).toMatchObject({ kind: 'unknown', error: { code: 'RESET' } })
    expect(seen).toHaveLength(1)
    expect(clock.monotonic()).toBe(50)
  })
})

describe('partial_response', () => {
  test('over sockets, the head and so many bytes pass, then FIN', async () => {
    const { wire, client, send } = await wired('partial_response', { bytes: 4 })
    await using _ = wire
    send()
    expect(await client.ended).toBe('fin')
    expect(client.text).toBe('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123')
    expect(wire.of('exchange.cut')).toMatchObject([{ exchange: 1, how: 'fin', by: 'toxic' }])
  })

  test('over sockets, an RST comes after the bytes, as an RST', async () => {
    const { wire, client, send } = await wired('partial_response', { bytes: 4, then: 'rst' })
    await using _ = wire
    wire.log.subscribe(({ type }) => {
      if (type === 'exchange.cut') queueMicrotask(() => stall(20)) // the reader is late: the gap is over before it reads
    })
    send()
    expect(await client.ended).toBe('rst')
    expect(client.text.endsWith('\r\n\r\n0123')).toBe(true)
  })

  test('over sockets, a fraction of a chunked body is of the whole that the service sent', async () => {
    const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n'
    const { wire, client, send } = await wired('partial_response', { fraction: 0.5 }, undefined, chunked)
    await using _ = wire
    send()
    expect(await client.ended).toBe('fin')
    const body = '5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n'
    expect(client.text.split('\r\n\r\n').slice(1).join('\r\n\r\n')).toBe(body.slice(0, body.length / 2))
  })

  test('over sockets, a body that is no longer than asked for passes whole, and is no hit', async () => {
    const { wire, client, send } = await wired('partial_response', { bytes: 10 })
    await using _ = wire
    send()
    await client.until('0123456789')
    send()
    await client.until('0123456789', 2)
    expect(wire.rules.unfired()).toEqual(['partial_response_downstream'])
  })

  test('over sockets, hang keeps the connection open without another byte, until the client leaves', async () => {
    const { wire, client, send } = await wired('partial_response', { bytes: 4, then: 'hang' })
    await using _ = wire
    send()
    await client.until('\r\n\r\n0123')
    send()
    await wire.until('exchange.cut')
    expect(client.socket.readableEnded).toBe(false)
    client.socket.end()
    await wire.until('connection.closed')
    expect(client.text.endsWith('0123')).toBe(true)
  })

  test('in memory, the outcome is unknown unless nothing was cut', async () => {
    const { clock, rules, seen, call, hits } = simulated()
    rules.add({ link: 'bank', type: 'partial_response', attributes: { fraction: 0.5, first: 1 }, name: 'half' })
    rules.add({ link: 'bank', type: 'partial_response', attributes: { bytes: 10 }, name: 'all' })
    expect(await clock.run(call())).toMatchObject({ kind: 'unknown', error: { code: 'TRUNCATED' } })
    expect(await clock.run(call())).toMatchObject({ kind: 'ok', value: { body: '0123456789' } })
    expect(seen).toHaveLength(2)
    expect(hits()).toHaveLength(1)
    expect(rules.unfired()).toEqual(['all'])
    rules.removeAll()
    rules.add({ link: 'bank', type: 'partial_response', attributes: { then: 'hang' } })
    expect(await clock.run(call())).toMatchObject({ kind: 'unknown', error: { code: 'TIMEOUT' } })
  })
})

describe('http_error', () => {
  test('over sockets, the link answers and the service sees nothing; the connection goes on', async () => {
    const { wire, seen, client, send } = await wired('http_error', { status: '429', retry_after: 7, first: 1 })
    await using _ = wire
    send()
    await client.until('}')
    expect(client.text).toMatch(/^HTTP\/1\.1 429 Too Many Requests\r\n/)
    expect(client.text).toContain('retry-after: 7\r\n')
    expect(seen).toEqual([])
    send()
    await client.until('0123456789')
    expect(wire.of('exchange.answered')).toMatchObject([{ exchange: 1, status: 429 }, { exchange: 2, status: 200 }])
  })

  test('over sockets, its answer waits behind the answers to earlier requests of the connection', async () => {
    const seen: string[] = []
    let finish: (() => void) | undefined
    await using wire = await openWire((end) => {
      http(seen, () => undefined)(end)
      finish = () => void end.socket.write(answer('first'))
    })
    wire.rules.add({ link: 'bank', type: 'http_error', attributes: { path: '/second', body: 'second' } })
    const client = await wire.client()
    client.socket.write(post('/first') + post('/second'))
    await wire.until('toxic.hit')
    finish!()
    await client.until('second')
    expect(client.text.indexOf('first')).toBeLessThan(client.text.indexOf('second'))
    expect(seen).toHaveLength(1)
  })

  test('over sockets, a client that asked for the end of the connection gets it', async () => {
    const { wire, client } = await wired('http_error', {})
    await using _ = wire
    client.socket.write(post('/v1/charges', '{}', 'Connection: close\r\n'))
    expect(await client.ended).toBe('fin')
    expect(client.text).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/)
    expect(wire.of('exchange.cut')).toEqual([])
  })

  test('over sockets, a client that waits for 100-continue is answered at once', async () => {
    const { wire, client } = await wired('http_error', { body: 'no' })
    await using _ = wire
    client.socket.write('POST / HTTP/1.1\r\nhost: bank\r\nexpect: 100-continue\r\ncontent-length: 1000000\r\n\r\n')
    await client.until('\r\n\r\nno')
    expect(await client.ended).toBe('fin')
  })

  test('in memory, the answer is ok to the network and the service sees nothing', async () => {
    const { clock, rules, seen, call } = simulated()
    rules.add({ link: 'bank', type: 'http_error', attributes: { status: 500, body: 'oops' } })
    expect(await clock.run(call())).toMatchObject({ kind: 'ok', value: { status: 500, body: 'oops' } })
    expect(seen).toEqual([])
  })
})

describe('lost_request', () => {
  test.each(['rst', 'fin'] as const)('over sockets, the service never sees it and the client gets %s', async (then) => {
    const { wire, seen, client, send } = await wired('lost_request', { then })
    await using _ = wire
    send()
    expect(await client.ended).toBe(then)
    client.socket.destroy()
    await wire.until('connection.closed')
    await wire.untilServed(0)
    expect(seen).toEqual([])
  })

  test('in memory, the service is never called and the outcome is unknown', async () => {
    const { clock, rules, seen, call, events } = simulated()
    rules.add({ link: 'bank', type: 'lost_request', attributes: { times: 1 } })
    rules.add({ link: 'bank', type: 'lost_request', attributes: { then: 'hang' }, name: 'silent' })
    expect(await clock.run(call())).toMatchObject({ kind: 'unknown', error: { code: 'RESET' } })
    expect(await clock.run(call(400))).toMatchObject({ kind: 'unknown', error: { code: 'TIMEOUT' } })
    expect(clock.monotonic()).toBe(400)
    expect(seen).toEqual([])
    expect(events.filter((event) => event.type === 'exchange.cut')).toMatchObject([{ how: 'rst', by: 'toxic' }, { how: 'hang', by: 'toxic' }])
  })
})

describe('lost_response', () => {
  test.each(['rst', 'fin'] as const)('over sockets, the service has done its work and the client gets %s without a byte', async (then) => {
    const { wire, seen, client, send } = await wired('lost_response', { then })
    await using _ = wire
    send()
    expect(await client.ended).toBe(then)
    expect(client.text).toBe('')
    client.socket.destroy()
    await wire.until('connection.closed')
    await wire.untilServed(0)
    expect(seen).toHaveLength(1)
  })

  test('over sockets, a service that answers early still gets the whole request, and can end its answer', async () => {
    let finish: (() => void) | undefined
    let got: (() => string) | undefined
    await using wire = await openWire((end) => {
      got = () => end.text
      end.socket.once('data', () => end.socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234'))
      finish = () => void end.socket.end('56789')
    })
    wire.rules.add({ link: 'bank', type: 'lost_response' })
    const client = await wire.client()
    client.socket.write(post('/', 'ab').slice(0, -1))
    await wire.until('toxic.hit')
    expect(wire.of('exchange.cut')).toEqual([])
    client.socket.write('b')
    expect(await client.ended).toBe('rst')
    expect(got!().endsWith('ab')).toBe(true)
    finish!()
    await wire.until('connection.closed')
    expect(wire.of('connection.closed')).toMatchObject([{ downstreamBytes: answer('0123456789').length }])
  })

  test('over sockets, hang holds the client until it leaves', async () => {
    const { wire, seen, client, send } = await wired('lost_response', { then: 'hang' })
    await using _ = wire
    send()
    await wire.until('exchange.cut')
    expect(seen).toHaveLength(1)
    expect(client.socket.readableEnded).toBe(false)
    client.socket.end()
    await wire.until('connection.closed')
    expect(client.text).toBe('')
  })

  test('in memory, the service is called and the outcome is unknown', async () => {
    const { clock, rules, seen, call } = simulated()
    rules.add({ link: 'bank', type: 'lost_response', attributes: { first: 1 } })
    expect(await clock.run(call())).toMatchObject({ kind: 'unknown', error: { code: 'RESET' } })
    expect(await clock.run(call())).toMatchObject({ kind: 'ok' })
    rules.add({ link: 'bank', type: 'lost_response', attributes: { then: 'hang' }, name: 'silent' })
    expect(await clock.run(call(250))).toMatchObject({ kind: 'unknown', error: { code: 'TIMEOUT' } })
    expect(seen).toHaveLength(3)
  })
})

describe('duplicate_request', () => {
  test('over sockets, the service sees the same bytes twice and the client one answer', async () => {
    const { wire, seen, client, send } = await wired('duplicate_request', { delay: 5 })
    await using _ = wire
    send()
    await client.until('0123456789')
    await wire.until('toxic.hit')
    await wire.untilServed(1) // the copy has had its answer
    expect(seen).toEqual([post('/v1/charges'), post('/v1/charges')])
    expect(client.text).toBe(answer('0123456789'))
  })

  test('over sockets, a request that is too long to be kept is sent once, and is no hit', async () => {
    const { wire, seen, client } = await wired('duplicate_request', { delay: 0 })
    await using _ = wire
    client.socket.write(post('/v1/charges', 'x'.repeat(COPY_BYTES)))
    await client.until('0123456789')
    expect(seen).toHaveLength(1)
    expect(wire.rules.unfired()).toEqual(['duplicate_request_upstream'])
    expect(wire.of('connection.opened')).toHaveLength(1)
  })

  test('in memory, the copy is served later and its answer dropped', async () => {
    const { clock, rules, seen, call, events } = simulated()
    rules.add({ link: 'bank', type: 'duplicate_request', attributes: { delay: 300 } })
    expect((await clock.run(call())).kind).toBe('ok')
    expect(clock.monotonic()).toBe(0)
    await clock.run(clock.sleep(1000))
    expect(seen.map(({ at }) => at)).toEqual([0, 300])
    expect(events.filter((event) => event.type === 'exchange.answered')).toHaveLength(1)
  })
})

describe('dribble', () => {
  test('over sockets, the body comes in pieces over the time, whole', async () => {
    const { wire, client, send } = await wired('dribble', { pieces: 5, over: 50 })
    await using _ = wire
    const pieces: string[] = []
    client.socket.on('data', (bytes: Buffer) => pieces.push(bytes.toString()))
    const start = now()
    send()
    await client.until('89')
    expect(msSince(start)).toBeGreaterThanOrEqual(50 - GRAIN_MS)
    expect(client.text).toBe(answer('0123456789'))
    expect(pieces.length).toBeGreaterThan(2)
    expect(wire.of('exchange.answered')).toHaveLength(1)
  })

  test('over sockets, the next answer waits behind it', async () => {
    const { wire, client } = await wired('dribble', { pieces: 2, over: 20, first: 1 })
    await using _ = wire
    client.socket.write(post('/a') + post('/b'))
    await client.until('89', 2)
    expect(client.text).toBe(answer('0123456789').repeat(2))
  })

  test('in memory, it takes its time', async () => {
    const { clock, rules, call } = simulated()
    rules.add({ link: 'bank', type: 'dribble', attributes: { over: '3s' } })
    expect((await clock.run(call())).kind).toBe('ok')
    expect(clock.monotonic()).toBe(3000)
  })
})
