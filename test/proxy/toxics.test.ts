/** Each toxic in both bodies of the network: over sockets, and in memory. */
import { describe, expect, test } from 'vitest'
import { VirtualClock } from '../../src/clock.ts'
import { EventLog } from '../../src/events.ts'
import type { Event } from '../../src/events.ts'
import type { HttpRequest, Service } from '../../src/network.ts'
import { COPY_BYTES } from '../../src/proxy/link.ts'
import { targeting } from '../../src/proxy/rules.ts'
import { SimulatedNetwork } from '../../src/proxy/simulated.ts'
import { answer, deferred, http, openWire, post, toxics } from './wire.ts'
import type { End, Wire } from './wire.ts'

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

/** What a rule decided about each of 48 requests on so many connections at once. */
async function decisions(connections: number): Promise<string> {
  const wire = await openWire(http([], () => answer('ok')), { seed: 7 })
  await using _ = wire
  wire.rules.add({ link: 'bank', type: 'http_error', attributes: { probability: 0.5 } })
  await Promise.all(
    Array.from({ length: connections }, async () => {
      const client = await wire.client()
      for (let n = 1; n <= 48 / connections; n++) {
        client.socket.write(post('/v1/charges'))
        await client.until('HTTP/1.1 ', n)
      }
    }),
  )
  await wire.until('exchange.answered', 48)
  const hits = new Set(wire.of('toxic.hit').map((hit) => hit.exchange as number)) // every exchange matches: its number is the ordinal
  return Array.from({ length: 48 }, (_, i) => (hits.has(i + 1) ? 1 : 0)).join('')
}

test('the same seed and the same requests make the same decisions, however many connections bring them', async () => {
  const one = await decisions(1)
  expect(one).toMatch(/1.*0.*1/)
  expect([await decisions(4), await decisions(16), await decisions(48)]).toEqual([one, one, one])
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

  test('over sockets, its headers are those that were asked for', async () => {
    const { wire, client, send } = await wired('http_error', { headers: 'X-Reason: maintenance\r\nSet-Cookie: a=b; Path=/\nContent-Type: application/json\n', body: '{}' })
    await using _ = wire
    send()
    await client.until('{}')
    expect(client.text).toContain('\r\nx-reason: maintenance\r\nset-cookie: a=b; Path=/\r\n')
    expect(client.text.match(/^content-type: .*$/gim)).toEqual(['content-type: application/json'])
  })

  test.each(['no colon', 'X-A : b', ': b', 'X-A: \0', 'Content-Length: 3', 'transfer-encoding: chunked', 'Connection: close'])('headers may not be %j', async (headers) => {
    await using wire = await openWire(http([], () => undefined))
    expect(() => wire.rules.add({ link: 'bank', type: 'http_error', attributes: { headers } })).toThrow(/headers has .*; write "name: value" lines/)
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

/** A service that answers raw bytes to raw bytes, once. */
const echo = (end: End) => void end.socket.on('data', (bytes: Buffer) => end.socket.write(bytes)).on('end', () => end.socket.end())

async function echoing(type: string, attributes: Record<string, number | string>, stream?: 'upstream' | 'downstream') {
  const wire = await openWire(echo)
  const rule = wire.rules.add({ link: 'bank', type, attributes, stream })
  return { wire, rule, client: await wire.client() }
}

describe('noop', () => {
  test('changes nothing, in both bodies', async () => {
    const { wire, client } = await echoing('noop', {})
    await using _ = wire
    client.socket.write('ping')
    await client.until('ping')
    expect(wire.rules.unfired()).toEqual(['noop_downstream'])
    const { clock, rules, call } = simulated()
    rules.add({ link: 'bank', type: 'noop' })
    expect((await clock.run(call())).kind).toBe('ok')
    expect(clock.monotonic()).toBe(0)
  })
})

describe('slow_close', () => {
  test('over sockets, the data passes at once and the FIN later', async () => {
    const { wire, client } = await echoing('slow_close', { delay: 80 })
    await using _ = wire
    const start = now()
    client.socket.end('ping')
    await client.until('ping')
    expect(await client.ended).toBe('fin')
    expect(msSince(start)).toBeGreaterThanOrEqual(80 - GRAIN_MS)
    expect(wire.of('toxic.hit')).toMatchObject([{ action: 'closing delayed', ms: 80 }])
  })

  test('over sockets, taking it away lets the FIN go', async () => {
    const { wire, client, rule } = await echoing('slow_close', { delay: '1h' })
    await using _ = wire
    client.socket.end('ping')
    await wire.until('toxic.hit')
    wire.rules.remove(rule.name)
    expect(await client.ended).toBe('fin')
  })
})

describe('slicer', () => {
  test('over sockets, every byte arrives in order, in pieces with pauses', async () => {
    const { wire, client } = await echoing('slicer', { average_size: 100, size_variation: 50, delay: 1000 })
    await using _ = wire
    const text = Array.from({ length: 500 }, (_, i) => String(i).padStart(4, '0')).join('')
    const start = now()
    client.socket.end(text)
    expect(await client.ended).toBe('fin')
    expect(client.text).toBe(text)
    expect(msSince(start)).toBeGreaterThanOrEqual(2000 / 150 - 1 - GRAIN_MS)
  })

  test('without a size it leaves the bytes alone; a variation as large as the size is refused', async () => {
    const { wire, client } = await echoing('slicer', {})
    await using _ = wire
    client.socket.write('ping')
    await client.until('ping')
    expect(wire.of('toxic.hit')).toEqual([])
    expect(() => wire.rules.add({ link: 'bank', type: 'slicer', name: 'wrong', attributes: { average_size: 5, size_variation: 5 } })).toThrow(/less than average_size/)
  })

  test('pieces add up to the chunk and keep to the variation', () => {
    for (const [bytes, average_size, size_variation] of [[65_536, 1, 0], [65_536, 1000, 300], [7, 3, 2], [1, 1, 0]] as const) {
      let n = 0
      const action = toxics['slicer']!.onChunk!({ average_size, size_variation, delay: 0 }, () => (n++ * 0.37) % 1, { bytes, before: 0, ageMs: 0, memory: {} })
      const sizes = action?.do === 'slice' ? action.sizes : []
      expect(sizes.reduce((a, b) => a + b, 0)).toBe(bytes)
      expect(Math.min(...sizes)).toBeGreaterThan(0)
      expect(Math.max(...sizes)).toBeLessThanOrEqual(average_size + size_variation)
    }
  })

  test('in memory it takes the time of its pauses', async () => {
    const { clock, rules, call } = simulated(async () => ({ status: 200, headers: {}, body: 'x'.repeat(1000) }))
    rules.add({ link: 'bank', type: 'slicer', attributes: { average_size: 10, delay: 1000 } })
    expect((await clock.run(call())).kind).toBe('ok')
    expect(clock.monotonic()).toBeGreaterThan(99)
  })
})

describe.each([['limit_data', 'fin'], ['reset_after', 'rst']] as const)('%s', (type, how) => {
  test.each([0, 1, 7, 10])(`over sockets, exactly %i bytes pass, then ${how}`, async (bytes) => {
    const { wire, client } = await echoing(type, { bytes })
    await using _ = wire
    client.socket.write('01234')
    if (bytes > 5) await client.until('01234')
    client.socket.write('56789')
    expect(await client.ended).toBe(how)
    expect(client.text).toBe('0123456789'.slice(0, bytes))
    await wire.untilServed(0)
  })

  test('over sockets, upstream, the service gets exactly so much', async () => {
    const service = deferred<End>()
    await using wire = await openWire((end) => service.resolve(end))
    wire.rules.add({ link: 'bank', type, attributes: { bytes: 3 }, stream: 'upstream' })
    const client = await wire.client()
    client.socket.write('0123456789')
    const end = await service.promise
    expect(await end.ended).toBe(how)
    expect(end.text).toBe('012')
    expect(await client.ended).toBe(how)
  })

  test('over sockets, the count goes on when the limit changes', async () => {
    const { wire, client, rule } = await echoing(type, { bytes: 100 })
    await using _ = wire
    client.socket.write('01234')
    await client.until('01234')
    wire.rules.update(rule.name, { attributes: { bytes: 8 } })
    client.socket.write('56789')
    expect(await client.ended).toBe(how)
    expect(client.text).toBe('01234567')
  })

  test('in memory, a message that does not pass whole is cut', async () => {
    const { clock, rules, call } = simulated()
    rules.add({ link: 'bank', type, attributes: { bytes: 20 } })
    expect(await clock.run(call())).toMatchObject({ kind: 'unknown', error: { code: 'TRUNCATED' } })
    rules.removeAll()
    rules.add({ link: 'bank', type, attributes: { bytes: 2000 } })
    expect((await clock.run(call())).kind).toBe('ok')
  })
})

describe('packet_loss', () => {
  test('over sockets, chunks go missing, and the connection still ends', async () => {
    const { wire, client } = await echoing('packet_loss', { loss_rate: 1 })
    await using _ = wire
    client.socket.end('ping')
    expect(await client.ended).toBe('fin')
    expect(client.text).toBe('')
    expect(wire.of('toxic.hit')).toMatchObject([{ action: 'bytes dropped' }])
  })

  test('losses are as many as asked, and come together when correlated', () => {
    const count = (attributes: Record<string, number>) => {
      const memory = {}
      let n = 0
      const draw = () => (n++ * 0.618_033_988_749) % 1
      const lost = Array.from({ length: 2000 }, () => toxics['packet_loss']!.onChunk!(attributes, draw, { bytes: 1, before: 0, ageMs: 0, memory })?.do === 'drop')
      return { lost: lost.filter(Boolean).length, pairs: lost.filter((one, i) => one && lost[i - 1]).length }
    }
    const alone = count({ loss_rate: 0.1, correlation: 0 })
    expect(alone.lost).toBeGreaterThan(150)
    expect(alone.lost).toBeLessThan(250)
    expect(count({ loss_rate: 0.1, correlation: 0.8 }).pairs).toBeGreaterThan(alone.pairs * 3)
  })

  test('in memory, the caller waits in vain', async () => {
    const { clock, rules, seen, call } = simulated()
    rules.add({ link: 'bank', type: 'packet_loss', attributes: { loss_rate: 1 }, stream: 'upstream' })
    expect(await clock.run(call())).toMatchObject({ kind: 'unknown', error: { code: 'TIMEOUT' } })
    expect(seen).toEqual([])
  })
})

describe('corrupt', () => {
  test('over sockets, lengths stay and some bytes differ', async () => {
    const { wire, client } = await echoing('corrupt', { bytes: 3 })
    await using _ = wire
    const sent = 'x'.repeat(1000)
    client.socket.end(sent)
    expect(await client.ended).toBe('fin')
    expect(client.bytes).toHaveLength(1000)
    const changed = [...client.bytes].filter((byte) => byte !== 120).length
    expect(changed).toBeGreaterThan(0)
    expect(changed % 3 === 0 || changed > 3).toBe(true)
  })

  test('in memory, the message is no HTTP any more', async () => {
    const { clock, rules, call } = simulated()
    rules.add({ link: 'bank', type: 'corrupt' })
    expect(await clock.run(call())).toMatchObject({ kind: 'unknown', error: { code: 'MALFORMED' } })
  })
})

describe('http_delay', () => {
  test.each(['forward', 'first_byte', 'body'] as const)('over sockets, %s is late by that much, and the rest as it was', async (where) => {
    const { wire, seen, client, send } = await wired('http_delay', { ms: 60, where })
    await using _ = wire
    const start = now()
    send()
    if (where === 'body') {
      await client.until('\r\n\r\n')
      expect(client.text.endsWith('\r\n\r\n')).toBe(true)
    }
    await client.until('0123456789')
    expect(msSince(start)).toBeGreaterThanOrEqual(60 - GRAIN_MS)
    expect(client.text).toBe(answer('0123456789'))
    expect(seen).toEqual([post('/v1/charges')])
    expect(wire.of('toxic.hit')).toMatchObject([{ action: { forward: 'request delayed', first_byte: 'answer delayed', body: 'body delayed' }[where], ms: 60 }])
  })

  test('over sockets, taking it away lets go of what it held, both ways', async () => {
    for (const where of ['forward', 'first_byte', 'body']) {
      const { wire, client, send } = await wired('http_delay', { ms: '1h', where })
      await using _ = wire
      send()
      await wire.until('toxic.hit')
      wire.rules.removeAll()
      await client.until('0123456789')
    }
  })

  test('over sockets, an error after a delay comes late, and at once when the delay goes', async () => {
    await using wire = await openWire(http([], () => answer('never')))
    const hold = wire.rules.add({ link: 'bank', type: 'http_delay', attributes: { ms: '1h', where: 'forward' } })
    wire.rules.add({ link: 'bank', type: 'http_error', attributes: { body: 'late' } })
    const client = await wire.client()
    client.socket.write(post('/'))
    await wire.until('toxic.hit', 2)
    expect(client.text).toBe('')
    wire.rules.remove(hold.name)
    await client.until('late')
  })

  test.each([
    ['fixed', 100, 100, 100],
    ['uniform', 100, 50, 150],
    ['normal', 100, 0, 300],
    ['lognormal', 100, 20, 500],
    ['longtail', 141, 100, 10_000],
  ] as const)('in memory, %s delays have their median and their bounds, the same for the same seed', async (distribution, median, least, most) => {
    const draw = async () => {
      const { clock, rules, call, hits } = simulated()
      rules.add({ link: 'bank', type: 'http_delay', attributes: { ms: 100, distribution, spread: 50, where: 'forward' } })
      for (let i = 0; i < 301; i++) await clock.run(call(60_000))
      return hits().map((event) => event['ms'] as number)
    }
    const delays = await draw()
    const sorted = delays.toSorted((a, b) => a - b)
    expect(sorted[0]).toBeGreaterThanOrEqual(least)
    expect(sorted.at(-1)).toBeLessThanOrEqual(most)
    expect(Math.abs(sorted[sorted.length >> 1]! - median)).toBeLessThanOrEqual(median * 0.12)
    expect(await draw()).toEqual(delays)
  })
})

describe('hang', () => {
  test.each([['request', 0], ['response', 1]] as const)('over sockets, at the %s the client waits, and the service has seen %i', async (where, served) => {
    const { wire, seen, client, send } = await wired('hang', { where })
    await using _ = wire
    send()
    await wire.until('exchange.cut')
    expect(seen).toHaveLength(served)
    expect(client.text).toBe('')
    client.socket.end()
    await wire.until('connection.closed')
  })

  test.each([['request', 0], ['response', 1]] as const)('in memory, at the %s the caller runs out of time', async (where, served) => {
    const { clock, rules, seen, call } = simulated()
    rules.add({ link: 'bank', type: 'hang', attributes: { where } })
    expect(await clock.run(call())).toMatchObject({ kind: 'unknown', error: { code: 'TIMEOUT' } })
    expect(seen).toHaveLength(served)
  })
})

describe('reorder', () => {
  test('over sockets, the second request reaches the service before the first', async () => {
    const seen: string[] = []
    await using wire = await openWire(http(seen, () => answer('ok')))
    wire.rules.add({ link: 'bank', type: 'reorder', attributes: { wait: '1h' } })
    const [first, second] = [await wire.client(), await wire.client()]
    first.socket.write(post('/first'))
    await wire.until('exchange.opened')
    second.socket.write(post('/second'))
    await Promise.all([first.until('ok'), second.until('ok')])
    expect(seen.map((request) => request.split(' ')[1])).toEqual(['/second', '/first'])
    expect(wire.of('toxic.hit')).toMatchObject([{ connection: 1, action: 'request overtaken' }])
  })

  test('over sockets, one that nobody overtakes goes alone, and that is no hit', async () => {
    const { wire, client, send } = await wired('reorder', { wait: 20 })
    await using _ = wire
    send()
    await client.until('0123456789')
    expect(wire.of('toxic.hit')).toEqual([])
  })

  test('in memory, the second is served before the first', async () => {
    const { clock, network, rules, seen, hits } = simulated()
    rules.add({ link: 'bank', type: 'reorder' })
    const call = (path: string) => network.call('bank', { ...REQUEST, path }, { timeoutMs: 10_000 })
    await clock.run(Promise.all([call('/first'), clock.sleep(10).then(() => call('/second'))]))
    expect(seen.map(({ request }) => request.path)).toEqual(['/second', '/first'])
    expect(hits()).toHaveLength(1)
  })
})

describe('quota', () => {
  test('over sockets, requests above the limit are turned away', async () => {
    const { wire, seen, client, send } = await wired('quota', { limit: 1, per: '1h' })
    await using _ = wire
    send()
    await client.until('0123456789')
    send()
    await client.until('"QUOTA"')
    expect(client.text).toMatch(/HTTP\/1\.1 429 [^]*retry-after: 3600\r\n/)
    expect(seen).toHaveLength(1)
  })

  test('in memory, each window has its own, and Retry-After says when the next begins', async () => {
    const { clock, rules, call } = simulated()
    rules.add({ link: 'bank', type: 'quota', attributes: { limit: 2, per: '10s', status: 503 } })
    const answers: [number, string | undefined][] = []
    for (let i = 0; i < 5; i++) {
      const outcome = await clock.run(call())
      if (outcome.kind === 'ok') answers.push([outcome.value.status, outcome.value.headers['retry-after']])
      await clock.run(clock.sleep(3000))
    }
    expect(answers).toEqual([[201, undefined], [201, undefined], [503, '4'], [503, '1'], [201, undefined]])
  })
})

describe('header_edit', () => {
  test('over sockets, one header of the request changes, every other byte stays', async () => {
    const { wire, seen, client } = await wired('header_edit', { set: 'X-Trace: new' })
    await using _ = wire
    client.socket.write('POST /x HTTP/1.1\r\nHOST: bank\r\nx-trace: old\r\nContent-Length: 2\r\n\r\n{}')
    await client.until('0123456789')
    expect(seen).toEqual(['POST /x HTTP/1.1\r\nHOST: bank\r\nX-Trace: new\r\nContent-Length: 2\r\n\r\n{}'])
    expect(client.text).toBe(answer('0123456789'))
  })

  test('over sockets, one header of the response goes', async () => {
    const { wire, client, send } = await wired('header_edit', { remove: 'x-gone', of: 'response' }, undefined, answer('0123456789', 'X-Gone: 1\r\nX-Kept: 2\r\n'))
    await using _ = wire
    send()
    await client.until('0123456789')
    expect(client.text).toBe(answer('0123456789', 'X-Kept: 2\r\n'))
    expect(wire.of('toxic.hit')).toMatchObject([{ action: 'header removed', header: 'x-gone' }])
  })

  test.each([{}, { set: 'a: 1', remove: 'b' }, { set: 'no colon' }, { set: 'a b: 1' }, { set: 'a: 1\r\nb: 2' }, { remove: 'a:' }, { set: ': x' }])('%j is refused', async (attributes) => {
    const { rules } = simulated()
    expect(() => rules.add({ link: 'bank', type: 'header_edit', attributes: attributes as Record<string, string> })).toThrow(/set or remove|is no header/)
  })

  test('in memory, both ways', async () => {
    const { clock, rules, seen, call } = simulated()
    rules.add({ link: 'bank', type: 'header_edit', attributes: { set: 'Idempotency-Key: other' }, name: 'in' })
    rules.add({ link: 'bank', type: 'header_edit', attributes: { set: 'x-new: 1', of: 'response' }, name: 'out' })
    expect(await clock.run(call())).toMatchObject({ kind: 'ok', value: { headers: { 'x-new': '1' } } })
    expect(seen[0]!.request.headers).toEqual({ 'Idempotency-Key': 'other' })
  })
})

const refusedTo = async (wire: Wire): Promise<string> => wire.client().then(() => 'accepted', (error: NodeJS.ErrnoException) => String(error.code))

/** What a new connection meets; the reset may come before Node has told that it was accepted. */
async function fateOf(wire: Wire): Promise<string> {
  const client = await wire.client().catch((error: NodeJS.ErrnoException) => String(error.code))
  if (typeof client === 'string') return client === 'ECONNRESET' ? 'rst' : client
  client.socket.write('ping')
  return Promise.race([client.ended, client.until('ping').then(() => 'served', () => 'rst')])
}

describe('outage', () => {
  test('over sockets, open connections are reset, new ones refused, and the same port listens again after', async () => {
    await using wire = await openWire(echo)
    const { port } = wire.link.address
    const client = await wire.client()
    client.socket.write('ping')
    await client.until('ping')
    const start = now()
    wire.rules.add({ link: 'bank', type: 'outage', attributes: { down: 60 } })
    expect(await client.ended).toBe('rst')
    expect(await refusedTo(wire)).toBe('ECONNREFUSED')
    expect(wire.of('toxic.hit')).toMatchObject([{ action: 'connection refused' }])
    while ((await refusedTo(wire)) === 'ECONNREFUSED') await new Promise((resolve) => setImmediate(resolve))
    expect(msSince(start)).toBeGreaterThanOrEqual(60 - GRAIN_MS)
    expect(wire.link.address.port).toBe(port)
  })

  test('over sockets, taking it away ends it', async () => {
    await using wire = await openWire(echo)
    wire.rules.add({ link: 'bank', type: 'outage' })
    await wire.until('toxic.hit')
    wire.rules.removeAll()
    while ((await refusedTo(wire)) === 'ECONNREFUSED') await new Promise((resolve) => setImmediate(resolve))
  })

  test('over sockets, for some clients only, they are accepted and reset', async () => {
    await using wire = await openWire(echo)
    wire.rules.add({ link: 'bank', type: 'outage', attributes: { client: '10.0.0.0/8' }, name: 'others' })
    const spared = await wire.client()
    spared.socket.write('ping')
    await spared.until('ping')
    wire.rules.add({ link: 'bank', type: 'outage', attributes: { client: '127.0.0.0/8' }, name: 'us' })
    expect(await fateOf(wire)).toBe('rst')
    spared.socket.write('pong')
    await spared.until('pong')
  })

  test('in memory, it flaps: refused while down, an exchange in the middle is cut', async () => {
    const { clock, rules, call } = simulated(async () => ({ status: 200, headers: {}, body: '' }))
    rules.add({ link: 'bank', type: 'outage', attributes: { delay: 100, down: 50, period: 200 } })
    rules.add({ link: 'bank', type: 'latency', attributes: { latency: 20 } })
    const outcomes: string[] = []
    for (const at of [10, 90, 120, 160, 310, 360]) {
      await clock.run(clock.sleep(at - clock.monotonic()))
      const outcome = await clock.run(call())
      outcomes.push(outcome.kind === 'ok' ? 'ok' : outcome.error.code)
    }
    expect(outcomes).toEqual(['ok', 'RESET', 'REFUSED', 'ok', 'REFUSED', 'ok'])
  })
})

describe('connect_refused', () => {
  test('over sockets, new connections are refused and open ones live on', async () => {
    await using wire = await openWire(echo)
    const client = await wire.client()
    client.socket.write('ping')
    await client.until('ping')
    wire.rules.add({ link: 'bank', type: 'connect_refused' })
    await wire.until('toxic.hit')
    expect(await refusedTo(wire)).toBe('ECONNREFUSED')
    client.socket.write('pong')
    await client.until('pong')
  })

  test('over sockets, with a toxicity some connections are accepted and reset', async () => {
    await using wire = await openWire(echo)
    wire.rules.add({ link: 'bank', type: 'connect_refused', toxicity: 0.5 })
    const fates: string[] = []
    for (let i = 0; i < 20; i++) fates.push(await fateOf(wire))
    expect(new Set(fates)).toEqual(new Set(['rst', 'served']))
  })

  test('in memory, the caller is refused', async () => {
    const { clock, rules, call, hits } = simulated()
    rules.add({ link: 'bank', type: 'connect_refused' })
    expect(await clock.run(call())).toMatchObject({ kind: 'failed', error: { code: 'REFUSED' } })
    expect(hits()).toHaveLength(1)
  })
})

describe('connect_delay', () => {
  test('over sockets, what the client sends waits until the service is connected to', async () => {
    const { wire, client } = await echoing('connect_delay', { delay: 50 })
    await using _ = wire
    const start = now()
    client.socket.write('ping')
    await client.until('ping')
    expect(msSince(start)).toBeGreaterThanOrEqual(50 - 2 * GRAIN_MS)
    expect(wire.of('toxic.hit')).toMatchObject([{ action: 'connecting delayed', ms: 50 }])
  })

  test('over sockets, a client that leaves in the meantime leaves nothing behind', async () => {
    const { wire, client } = await echoing('connect_delay', { delay: '1h' })
    await using _ = wire
    await wire.until('toxic.hit')
    client.socket.resetAndDestroy()
    await wire.link.close()
    expect(wire.served.size).toBe(0)
  })

  test('in memory, it takes its time once', async () => {
    const { clock, rules, call } = simulated()
    rules.add({ link: 'bank', type: 'connect_delay', attributes: { delay: 70 } })
    expect((await clock.run(call())).kind).toBe('ok')
    expect(clock.monotonic()).toBe(70)
  })
})

describe('ramp', () => {
  test('in memory, the delay grows evenly and stays', async () => {
    const { clock, rules, call, hits } = simulated()
    rules.add({ link: 'bank', type: 'ramp', attributes: { from: 100, to: 300, over: 1000 } })
    for (const at of [0, 500, 1000, 2000]) {
      await clock.run(clock.sleep(Math.max(0, at - clock.monotonic())))
      await clock.run(call())
    }
    expect(hits().map((event) => event['ms'])).toEqual([100, 200, 300, 300])
  })

  test('over sockets, the bytes come late', async () => {
    const { wire, client } = await echoing('ramp', { from: 40, to: 40 })
    await using _ = wire
    const start = now()
    client.socket.write('ping')
    await client.until('ping')
    expect(msSince(start)).toBeGreaterThanOrEqual(40 - GRAIN_MS)
  })
})

test('reset_peer resets at the end of a stream too', async () => {
  const { wire, client } = await echoing('reset_peer', {}, 'upstream')
  await using _ = wire
  client.socket.end()
  expect(await client.ended).toBe('rst')
})

test('every toxic works in memory with nothing but its defaults, or says what it needs', async () => {
  for (const type of Object.keys(toxics)) {
    const { clock, rules, call } = simulated()
    if (type === 'header_edit') expect(() => rules.add({ link: 'bank', type })).toThrow(/set or remove/)
    else rules.add({ link: 'bank', type })
    expect(['ok', 'failed', 'unknown']).toContain((await clock.run(call())).kind)
  }
})
