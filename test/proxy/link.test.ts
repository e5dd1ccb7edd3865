import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SystemClock } from '../../src/clock.ts'
import type { Cancel } from '../../src/clock.ts'
import { silentLog } from '../../src/events.ts'
import { HOLD_BYTES, Link } from '../../src/proxy/link.ts'
import { Rules } from '../../src/proxy/rules.ts'
import type { ToxicSpec } from '../../src/scenario.ts'
import { answer, deferred, http, openWire, post, toxics } from './wire.ts'
import type { End } from './wire.ts'

const echo = (end: End) => {
  end.socket.pipe(end.socket)
}

/** Resolves with the code of the error that connecting ends with, or `open`. */
async function knock(address: { host: string; port: number }): Promise<string> {
  const socket = connect(address)
  return new Promise((resolve) => {
    socket.once('connect', () => {
      socket.destroy()
      resolve('open')
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
  })
}

describe('without rules the link is a wire', () => {
  test('a client that half-closed is still answered', async () => {
    await using wire = await openWire((end) => end.socket.on('end', () => end.socket.end(`got ${end.text}`)))
    const client = await wire.client()
    client.socket.end('everything')
    expect(await client.ended).toBe('fin')
    expect(client.text).toBe('got everything')
    await wire.until('connection.closed')
    expect(wire.of('connection.closed')).toMatchObject([{ how: 'fin', upstreamBytes: 10, downstreamBytes: 14 }])
  })

  test('a service that half-closed still hears the client', async () => {
    const heard = deferred<string>()
    await using wire = await openWire((end) => {
      end.socket.end('bye')
      end.socket.on('end', () => heard.resolve(end.text))
    })
    const client = await wire.client()
    expect(await client.ended).toBe('fin')
    client.socket.end('still here')
    expect(await heard.promise).toBe('still here')
  })

  test("the service's RST reaches the client as an RST, before a byte and after some", async () => {
    await using wire = await openWire((end) => {
      end.socket.once('data', () => {
        if (end.text === 'now') return end.socket.resetAndDestroy()
        end.socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234')
        end.socket.once('data', () => end.socket.resetAndDestroy())
      })
    })
    const first = await wire.client()
    first.socket.write('now')
    expect(await first.ended).toBe('rst')
    const second = await wire.client()
    second.socket.write('GET / HTTP/1.1\r\n\r\n')
    await second.until('01234')
    second.socket.write('GET / HTTP/1.1\r\n\r\n')
    expect(await second.ended).toBe('rst')
    expect(wire.of('exchange.cut')[0]).toMatchObject({ how: 'rst', by: 'service' })
  })

  test("the client's RST reaches the service as an RST", async () => {
    const service = deferred<End>()
    await using wire = await openWire((end) => service.resolve(end))
    const client = await wire.client()
    client.socket.write('GET / HTTP/1.1\r\n\r\n')
    await (await service.promise).until('\r\n\r\n')
    client.socket.resetAndDestroy()
    expect(await (await service.promise).ended).toBe('rst')
    await wire.until('connection.closed')
    expect(wire.of('exchange.cut')).toMatchObject([{ how: 'rst', by: 'client' }])
  })

  test('a FIN inside a body passes as a FIN', async () => {
    await using wire = await openWire((end) => end.socket.once('data', () => end.socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234')))
    const client = await wire.client()
    client.socket.write('GET / HTTP/1.1\r\n\r\n')
    expect(await client.ended).toBe('fin')
    expect(client.text.endsWith('\r\n\r\n01234')).toBe(true)
    expect(wire.of('exchange.cut')).toMatchObject([{ how: 'fin', by: 'service' }])
  })

  test('what an HTTP proxy would change passes byte for byte: case, order, doubles, reason, interim answers, chunks, trailers', async () => {
    const asked = 'POST /a%2Fb?q HTTP/1.1\r\nHOST: x\r\nx-Twice: 1\r\nX-tWICE: 2\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\nTrailer-One: a\r\n\r\n'
    const answered = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 Quite Fine\r\nSet-Cookie: a\r\nset-cookie: b\r\nTransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum:  1 \r\n\r\n'
    const got = deferred<End>()
    await using wire = await openWire((end) => {
      got.resolve(end)
      end.socket.once('data', () => end.socket.write(answered))
    })
    // A rule that never matches makes the link look for messages all the same.
    wire.rules.add({ link: 'bank', type: 'lost_response', attributes: { path: '/never' } })
    const client = await wire.client()
    for (const character of asked) client.socket.write(character)
    await client.until('X-Sum:  1 \r\n\r\n')
    await (await got.promise).until('Trailer-One: a\r\n\r\n')
    expect((await got.promise).text).toBe(asked)
    expect(client.text).toBe(answered)
    expect(wire.of('exchange.answered')).toMatchObject([{ exchange: 1, status: 200 }])
    expect(wire.rules.unfired()).toEqual(['lost_response_downstream'])
  })

  test('another protocol passes without waiting for anything', async () => {
    await using wire = await openWire(echo)
    const client = await wire.client()
    client.socket.write('PING')
    await client.until('PING')
    expect(wire.of('exchange.opened')).toEqual([])
  })

  test('an answer that begins slowly is not held', async () => {
    await using wire = await openWire((end) => end.socket.once('data', () => end.socket.write('HTTP/1.1 2')))
    const client = await wire.client()
    client.socket.write('GET / HTTP/1.1\r\n\r\n')
    await client.until('HTTP/1.1 2')
  })

  test('an upgraded connection passes whatever it speaks', async () => {
    await using wire = await openWire((end) => {
      end.socket.once('data', () => {
        end.socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n')
        end.socket.on('data', (bytes: Buffer) => end.socket.write(bytes))
      })
    })
    wire.rules.add({ link: 'bank', type: 'lost_response', attributes: { path: '/never' } })
    const client = await wire.client()
    client.socket.write('GET /chat HTTP/1.1\r\nUpgrade: x\r\n\r\n')
    await client.until('\r\n\r\n')
    client.socket.write('GET')
    await client.until('\r\n\r\nGET')
    expect(wire.of('exchange.answered')).toMatchObject([{ status: 101 }])
  })

  test('64 streams of random bytes at once come back as they were', async () => {
    await using wire = await openWire(echo)
    const streams = fc.sample(fc.array(fc.uint8Array({ minLength: 1, maxLength: 9000 }), { minLength: 1, maxLength: 12 }), { seed: 20260104, numRuns: 64 })
    await Promise.all(
      streams.map(async (parts) => {
        const client = await wire.client()
        for (const part of parts) client.socket.write(part)
        client.socket.end()
        expect(await client.ended).toBe('fin')
        expect(client.bytes.equals(Buffer.concat(parts))).toBe(true)
      }),
    )
    await wire.until('connection.closed', 64)
    expect(wire.link.connections).toBe(0)
  })
})

describe('nothing is left behind', () => {
  test('300 requests that were given up leave no socket, whether by FIN or by RST', async () => {
    await using wire = await openWire((end) => end.socket.on('end', () => end.socket.end()))
    for (let round = 0; round < 3; round++) {
      await Promise.all(
        Array.from({ length: 100 }, async (_, i) => {
          const client = await wire.client()
          client.socket.write(post('/v1/charges'))
          await wire.until('exchange.opened', round * 100 + 1)
          if (i % 2 === 0) client.socket.destroy()
          else client.socket.resetAndDestroy()
        }),
      )
    }
    await wire.until('connection.closed', 300)
    await wire.untilServed(0)
    expect(wire.link.connections).toBe(0)
  })

  test('a service that cannot be reached resets the client and harms nobody else', async () => {
    const gone = createServer().listen(0, '127.0.0.1')
    await once(gone, 'listening')
    const { port } = gone.address() as AddressInfo
    gone.close()
    await once(gone, 'close')
    await using wire = await openWire(() => {}, { upstreamPort: port })
    const client = await wire.client()
    client.socket.write(post('/v1/charges'))
    expect(await client.ended).toBe('rst')
    await wire.until('connection.closed')
    expect(wire.link.connections).toBe(0)
  })

  test('while off the link refuses, what was open is closed, and then it listens on the same port again', async () => {
    await using wire = await openWire(echo)
    const client = await wire.client()
    client.socket.write('GET / HTTP/1.1\r\n\r\n')
    await client.until('\r\n\r\n')
    const { address } = wire.link
    await wire.link.setEnabled(false)
    await client.ended
    expect(await knock(address)).toBe('ECONNREFUSED')
    expect(wire.of('exchange.cut')).toMatchObject([{ by: 'toxic' }])
    await wire.link.setEnabled(true)
    await wire.link.setEnabled(true)
    expect(wire.link.address).toEqual(address)
    expect(await knock(address)).toBe('open')
  })

  test('off and on in one breath ends on', async () => {
    await using wire = await openWire(echo)
    await Promise.all([wire.link.setEnabled(false), wire.link.setEnabled(true), wire.link.setEnabled(false), wire.link.setEnabled(true)])
    expect(await knock(wire.link.address)).toBe('open')
  })

  test('closing ends a hanging client, a copy that is still to be sent, and every timer', async () => {
    const seen: string[] = []
    const timers = new Set<() => void>()
    class WatchedClock extends SystemClock {
      override after(ms: number, run: () => void): Cancel {
        const timer = () => {
          timers.delete(timer)
          run()
        }
        timers.add(timer)
        const cancel = super.after(ms, timer)
        return () => {
          timers.delete(timer)
          cancel()
        }
      }
    }
    await using wire = await openWire(http(seen, () => answer('done')), { clock: new WatchedClock() })
    wire.rules.add({ link: 'bank', type: 'duplicate_request', attributes: { delay: '1h', first: 1 } })
    wire.rules.add({ link: 'bank', type: 'lost_response', attributes: { then: 'hang' } })
    const client = await wire.client()
    client.socket.write(post('/v1/charges'))
    await wire.until('exchange.cut')
    await wire.link.close()
    await client.ended
    await wire.untilServed(0)
    await wire.until('connection.closed')
    expect(seen).toHaveLength(1)
    expect(wire.link.connections).toBe(0)
    expect(timers.size).toBe(0)
  })

  test('a port that is in use is refused, with its number', async () => {
    await using wire = await openWire(echo)
    const rules = new Rules({ link: 'other', seed: 1, toxics, clock: new SystemClock(), log: silentLog })
    const second = new Link({ name: 'other', listen: wire.link.address, upstream: wire.link.address, rules, clock: new SystemClock(), log: silentLog })
    await expect(second.setEnabled(true)).rejects.toMatchObject({ code: 'PORT_BUSY', message: expect.stringContaining(String(wire.link.address.port)) })
    await second.close()
  })
})

describe('bounds', () => {
  test('a service that sends more than passes is read no further, and on when it does', async () => {
    const bytes = 48 * 1024 * 1024
    const service = deferred<End>()
    await using wire = await openWire((end) => service.resolve(end))
    await using other = await openWire(echo)
    wire.rules.add({ link: 'bank', type: 'bandwidth', attributes: { rate: 0 }, name: 'stop' })
    const client = await wire.client()
    const { socket } = await service.promise
    const part = Buffer.alloc(64 * 1024, 7)
    let taken = 0
    const writeOn = () => {
      taken += part.length
      if (taken === bytes) socket.end(part)
      else socket.write(part, writeOn)
    }
    writeOn()
    await wire.until('toxic.hit')
    // Many turns of the event loop: a link that did not stop reading would have all of it by then.
    const pacer = await other.client()
    for (let i = 1; i <= 1000; i++) {
      pacer.socket.write('x')
      await pacer.until('x', i)
    }
    expect(taken).toBeLessThan(bytes / 2)
    wire.rules.remove('stop')
    expect(await client.ended).toBe('fin')
    expect(client.bytes.length).toBe(bytes)
  })

  test('a body that is too long to be held is cut at that part of what may be held', async () => {
    const big = `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${(HOLD_BYTES * 2).toString(16)}\r\n${'x'.repeat(HOLD_BYTES * 2)}\r\n0\r\n\r\n`
    await using wire = await openWire(http([], () => big))
    wire.rules.add({ link: 'bank', type: 'partial_response', attributes: { fraction: 0.5 } })
    const client = await wire.client()
    client.socket.write(post('/'))
    expect(await client.ended).toBe('fin')
    expect(client.bytes.length).toBe(big.indexOf('\r\n\r\n') + 4 + HOLD_BYTES / 2)
  })

  test('of a body that is too long to be held the rest follows the dribbled part', async () => {
    const big = answer('x'.repeat(HOLD_BYTES * 2) + 'END')
    await using wire = await openWire(http([], () => big))
    wire.rules.add({ link: 'bank', type: 'dribble', attributes: { pieces: 3, over: 20 } })
    const client = await wire.client()
    client.socket.write(post('/'))
    await client.until('END')
    expect(client.text).toBe(big)
  })
})

describe('rules that come and go under load', () => {
  test('every request is answered whole while rules on bytes and messages are added and removed', async () => {
    const body = 'y'.repeat(3000)
    await using wire = await openWire(http([], () => answer(body)))
    let working = 8
    const load = Promise.all(
      Array.from({ length: 8 }, async () => {
        const client = await wire.client()
        for (let i = 1; i <= 40; i++) {
          client.socket.write(post('/v1/charges', 'z'.repeat(i * 50)))
          await client.until(body, i)
        }
        expect(client.text).toBe(answer(body).repeat(40))
        working--
      }),
    )
    const specs: Omit<ToxicSpec, 'link'>[] = [
      { type: 'latency', attributes: { latency: 3, jitter: 3 } },
      { type: 'latency', attributes: { latency: 2, path: '/v1/*', every: 2 }, stream: 'upstream' },
      { type: 'bandwidth', attributes: { rate: 5000 } },
      { type: 'bandwidth', attributes: { rate: 0 }, stream: 'upstream' },
      { type: 'dribble', attributes: { pieces: 3, over: '1h' } },
      { type: 'partial_response', attributes: { bytes: 1_000_000, then: 'rst' } },
    ]
    const clock = new SystemClock()
    for (let i = 0; working > 0; i++) {
      const spec = specs[i % specs.length]!
      const rule = wire.rules.add({ link: 'bank', ...spec })
      await clock.sleep(2)
      wire.rules.remove(rule.name)
    }
    await load
    expect(wire.of('exchange.answered')).toHaveLength(320)
    expect(wire.of('exchange.cut')).toEqual([])
  })

  test('a rule added to an open connection acts on it', async () => {
    await using wire = await openWire(http([], () => answer('fine')))
    const client = await wire.client()
    client.socket.write(post('/'))
    await client.until('fine')
    wire.rules.add({ link: 'bank', type: 'reset_peer' })
    client.socket.write(post('/'))
    expect(await client.ended).toBe('rst')
  })

  test('a head that a rule waited for passes when the rule is gone', async () => {
    await using wire = await openWire(echo)
    wire.rules.add({ link: 'bank', type: 'lost_request', attributes: { path: '/never' } })
    const client = await wire.client()
    client.socket.write('GET / HT')
    client.socket.write('TP/1.1')
    const probe = await wire.client()
    probe.socket.write('hello') // no HTTP: comes back at once, behind what came before it
    await probe.until('hello')
    expect(client.text).toBe('')
    wire.rules.removeAll()
    await client.until('GET / HTTP/1.1')
  })
})

describe('decisions', () => {
  test('are the same for one connection after another and for all at once', async () => {
    const decide = async (connections: number) => {
      await using wire = await openWire(http([], () => answer('ok')), { seed: 7 })
      wire.rules.add({ link: 'bank', type: 'http_error', attributes: { probability: 0.4, body: 'ko' } })
      await Promise.all(
        Array.from({ length: connections }, async () => {
          const client = await wire.client()
          for (let i = 1; i <= 60 / connections; i++) {
            client.socket.write(post('/'))
            await client.until('\r\n\r\n', i)
          }
        }),
      )
      return wire.of('toxic.hit').map((hit) => hit.exchange as number).sort((a, b) => a - b)
    }
    const one = await decide(1)
    expect(one.length).toBeGreaterThan(10)
    expect(one.length).toBeLessThan(50)
    expect(await decide(60)).toEqual(one)
    expect(await decide(6)).toEqual(one)
  })

  test('on bytes without targeting are made once per connection, with it once per exchange', async () => {
    await using wire = await openWire(http([], () => answer('ok')))
    wire.rules.add({ link: 'bank', type: 'latency', attributes: { latency: 1 }, name: 'connection' })
    wire.rules.add({ link: 'bank', type: 'latency', attributes: { latency: 1, path: '/', every: 2 }, name: 'exchange' })
    const client = await wire.client()
    for (let i = 1; i <= 4; i++) {
      client.socket.write(post('/'))
      await client.until('ok', i)
    }
    const hits = (toxic: string) => wire.of('toxic.hit').filter((hit) => hit.toxic === toxic).map((hit) => hit.exchange)
    expect(hits('connection')).toEqual([1])
    expect(hits('exchange')).toEqual([2, 4])
    expect(wire.rules.get('connection')).toMatchObject({ hits: 1, chunks: 4 })
  })
})

describe('a link that moves', () => {
  const free = async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { server, port: (server.address() as AddressInfo).port }
  }

  test('listens at the new place and no longer at the old one; its rules stay and its connections end', async () => {
    await using wire = await openWire(http([], () => answer('fine')))
    wire.rules.add({ link: 'bank', type: 'noop' })
    const before = wire.link.address.port
    const old = await wire.client()
    old.socket.write(post('/'))
    await old.until('fine')
    await wire.link.update({ listen: { host: '127.0.0.1', port: 0 } })
    expect(wire.link.address.port).not.toBe(before)
    await old.ended
    const client = await wire.client()
    client.socket.write(post('/'))
    await client.until('fine')
    await expect(once(connect(before, '127.0.0.1'), 'connect')).rejects.toThrow('ECONNREFUSED')
    expect(wire.rules.list()).toHaveLength(1)
  })

  test('stays where it was, with its connections, when the new place is taken', async () => {
    const taken = await free()
    await using wire = await openWire(http([], () => answer('fine')))
    const { port } = wire.link.address
    const client = await wire.client()
    await expect(wire.link.update({ listen: { host: '127.0.0.1', port: taken.port } })).rejects.toMatchObject({ code: 'PORT_BUSY' })
    await expect(wire.link.update({ listen: { host: '192.0.2.1', port } })).rejects.toMatchObject({ code: 'LISTEN_FAILED' })
    expect(wire.link.address).toEqual({ host: '127.0.0.1', port })
    expect(wire.link.enabled).toBe(true)
    client.socket.write(post('/'))
    await client.until('fine')
    const next = await wire.client()
    next.socket.write(post('/'))
    await next.until('fine')
    taken.server.close()
  })

  test('goes to another service at the same place', async () => {
    await using other = await openWire(http([], () => answer('other')))
    await using wire = await openWire(http([], () => answer('fine')))
    const { port } = wire.link.address
    await wire.link.update({ upstream: { host: '127.0.0.1', port: other.link.address.port } })
    expect(wire.link.address.port).toBe(port)
    const client = await wire.client()
    client.socket.write(post('/'))
    await client.until('other')
  })

  test('closes nothing when nothing changes, and takes all spellings of everywhere for one', async () => {
    await using wire = await openWire(http([], () => answer('fine')))
    await wire.link.update({ listen: { host: '', port: wire.link.address.port } })
    const client = await wire.client()
    const { port } = wire.link.address
    for (const host of ['', '0.0.0.0', '::', '[::]']) await wire.link.update({ listen: { host, port }, upstream: wire.link.upstream })
    client.socket.write(post('/'))
    await client.until('fine')
  })

  test('while it is off, only remembers', async () => {
    const taken = await free()
    await using wire = await openWire(http([], () => answer('fine')))
    await wire.link.setEnabled(false)
    await wire.link.update({ listen: { port: taken.port } })
    await expect(wire.link.setEnabled(true)).rejects.toMatchObject({ code: 'PORT_BUSY' })
    expect(wire.link.enabled).toBe(false)
    taken.server.close()
    await once(taken.server, 'close')
    await wire.link.setEnabled(true)
    expect(wire.link.address.port).toBe(taken.port)
  })
})

test('its traffic is counted while connections are open', async () => {
  await using wire = await openWire(http([], (request) => (request.includes('/lost') ? undefined : answer('fine'))))
  const client = await wire.client()
  client.socket.write(post('/'))
  await client.until('fine')
  client.socket.write(post('/lost'))
  await wire.until('exchange.opened', 2)
  const request = post('/').length + post('/lost').length
  const { traffic } = wire.link
  expect(traffic).toMatchObject({
    connectionsTotal: 1,
    connectionsOpen: 1,
    connectionsFailed: 0,
    upstream: { received: request, sent: request },
    downstream: { received: answer('fine').length, sent: answer('fine').length },
    requestsTotal: 2,
    requestsInFlight: 1,
    answers: { 2: 1 },
    cut: 0,
  })
  expect(traffic.latency.count).toBe(1)
  expect(traffic.latency.buckets.reduce((a, b) => a + b, 0)).toBe(1)
  expect(wire.link.info()).toMatchObject([{ number: 1, client: expect.stringMatching(/^127\.0\.0\.1:\d+$/), upstreamBytes: request, exchanges: 2, protocol: 'http', state: 'open' }])
  client.socket.destroy()
  await wire.until('connection.closed')
  expect(traffic).toMatchObject({ connectionsOpen: 0, requestsInFlight: 0, cut: 1 })
  expect(wire.link.info()).toEqual([])
})

test('a client that ended its side and is left hanging is let go after a while: nothing else would show that it has gone', async () => {
  const waiting = new Map<() => void, number>()
  class MinutesClock extends SystemClock {
    override after(ms: number, run: () => void): Cancel {
      if (ms < 60_000) return super.after(ms, run)
      waiting.set(run, ms)
      return () => void waiting.delete(run)
    }
  }
  const serve = (end: End) => void end.until('\r\n\r\n').then(() => end.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
  await using wire = await openWire(serve, { clock: new MinutesClock() })
  wire.rules.add({ link: wire.link.name, type: 'lost_response', attributes: { then: 'hang' } })
  const client = await wire.client()
  client.socket.end('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await wire.until('exchange.cut')
  expect(wire.link.info()).toMatchObject([{ state: 'hanging' }])
  expect([...waiting.values()]).toEqual([600_000])
  for (const run of waiting.keys()) run()
  await wire.until('connection.closed')
  expect(wire.link.connections).toBe(0)
})

test('of a body that is held back and turns out to be no chunks, every byte comes, in its order', async () => {
  const body = '4\r\nwikino chunk\r\n'
  await using wire = await openWire((end) => void end.until('\r\n\r\n').then(() => {
    end.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    end.socket.end(body)
  }))
  wire.rules.add({ link: wire.link.name, type: 'dribble', attributes: { over: 1, pieces: 4 } })
  const client = await wire.client()
  client.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.ended
  expect(client.text).toBe(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`)
})

test.each<[string, string, boolean]>([
  ['ends in the middle, before the answer is lost', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc', true],
  ['turns out to be no HTTP', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n', false],
])('a request that %s does not keep the connection from being cut', async (_, bytes, ends) => {
  const asked = deferred<End>()
  await using wire = await openWire((end) => void end.until('\r\n\r\n').then(() => asked.resolve(end)))
  wire.rules.add({ link: wire.link.name, type: 'lost_response', attributes: { then: 'rst' } })
  const client = await wire.client()
  client.socket.write(bytes)
  const service = await asked.promise
  if (ends) {
    client.socket.end()
    await service.ended
  }
  service.socket.write('HTTP/1.1 204 No Content\r\n\r\n')
  expect(await client.ended).toBe('rst')
})
