/**
 * Messages that two readers could read differently, and peers that misbehave. A byte-exact link passes every byte on as it came; what it must
 * never do is find a request where the service may see none: a rule for that request would hit what is not there.
 * The numbers are those of the list of bad inputs for a proxy's data path.
 */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { QUEUE_BYTES } from '../../src/proxy/link.ts'
import { answer, deferred, http, openWire, post, toxics } from './wire.ts'
import type { End, Wire } from './wire.ts'

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n'
const NEXT = 'GET /next HTTP/1.1\r\nHost: b\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`

/** A link that would answer in place of the service, cut the answer and lose it, for a request to /smuggled. */
async function open(serve: (end: End) => void): Promise<Wire> {
  const wire = await openWire(serve)
  for (const type of ['http_error', 'lost_response', 'partial_response', 'reset_peer', 'corrupt']) wire.rules.add({ link: 'bank', type, attributes: { path: '/smuggled' } })
  return wire
}

const paths = (wire: Wire) => wire.of('exchange.opened').map((event) => event['path'])

/** Once `bytes` of them have come, or the other side has ended. */
async function received(end: End, bytes: number): Promise<void> {
  const arrived = async () => {
    while (end.bytes.length < bytes) await once(end.socket, 'data')
  }
  await Promise.race([arrived(), end.ended])
}

const head = (...lines: string[]) => `POST /a HTTP/1.1\r\nHost: b\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`

describe.each([
  ['in one piece', Number.POSITIVE_INFINITY],
  ['byte by byte', 1],
])('a request written %s passes as it came, and no request is found in it that may not be there', (_, step) => {
  test.each<[string, string, string[]]>([
    ['59 a length and chunks', `${head('Content-Length: 4', 'Transfer-Encoding: chunked')}0\r\n\r\n${SMUGGLED}`, []],
    ['59 chunks and a length', `${head('Transfer-Encoding: chunked', `Content-Length: ${5 + SMUGGLED.length}`)}0\r\n\r\n${SMUGGLED}`, []],
    ['60 two different lengths', `${head('Content-Length: 0', `Content-Length: ${SMUGGLED.length}`)}${SMUGGLED}`, []],
    ['61 the same length twice', `${head('Content-Length: 0', 'Content-Length: 0')}${SMUGGLED}`, []],
    ['62 a list of lengths', `${head('Content-Length: 3, 3')}abc${SMUGGLED}`, []],
    ['63 a negative length', `${head('Content-Length: -3')}${SMUGGLED}`, []],
    ['64 a length with a plus', `${head('Content-Length: +3')}abc${SMUGGLED}`, []],
    ['65 a length of more than 64 bits', `${head('Content-Length: 18446744073709551619')}abc${SMUGGLED}`, []],
    ['66 a coding like chunked', `${head('Transfer-Encoding: xchunked')}0\r\n\r\n${SMUGGLED}`, []],
    ['67 a coding behind chunked', `${head('Transfer-Encoding: chunked, identity')}0\r\n\r\n${SMUGGLED}`, []],
    ['67 two headers with a coding', `${head('Transfer-Encoding: chunked', 'Transfer-Encoding: identity')}0\r\n\r\n${SMUGGLED}`, []],
    ['68 a blank before the colon', `${head('Transfer-Encoding : chunked')}0\r\n\r\n${SMUGGLED}`, []],
    ['69 a vertical tab before chunked', `${head('Transfer-Encoding: \x0bchunked')}0\r\n\r\n${SMUGGLED}`, []],
    ['70 a chunk size with 0x', `${head('Transfer-Encoding: chunked')}0x3\r\nabc\r\n0\r\n\r\n${SMUGGLED}`, ['/a']],
    ['70 a chunk size with a blank', `${head('Transfer-Encoding: chunked')}0 \r\n\r\n${SMUGGLED}`, ['/a']],
    ['70 a chunk size of more than 64 bits', `${head('Transfer-Encoding: chunked')}10000000000000000\r\n${SMUGGLED}`, ['/a']],
    ['71 chunks that end in a bare LF', `${head('Transfer-Encoding: chunked')}3\nabc\n0\n\n${SMUGGLED}`, ['/a']],
    ['71 a chunk extension with a bare LF', `${head('Transfer-Encoding: chunked')}0;\n\r\n\r\n${SMUGGLED}`, ['/a']],
    ['72 headers that end in a bare LF', `POST /a HTTP/1.1\nHost: b\nContent-Length: 0\n\n${SMUGGLED}`, []],
    ['72 one header that ends in a bare LF', `${head('X: y\nContent-Length: 36')}${SMUGGLED}`, []],
    ['73 a bare CR in a header', `${head('X: y\rContent-Length: 36')}${SMUGGLED}`, []],
    ['74 a folded header', `${head('Transfer-Encoding:', ' chunked')}0\r\n\r\n${SMUGGLED}`, []],
    ['75 a NUL', `${head('Content-Length: 0\0')}${SMUGGLED}`, []],
    ['76 no Host: where it ends is beyond doubt', `POST /a HTTP/1.1\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}${NEXT}`, ['/a', '/next']],
    ['77 chunk extensions stay', `${head('Transfer-Encoding: chunked')}${SMUGGLED.length.toString(16)};a="b";c\r\n${SMUGGLED}\r\n0;d\r\n\r\n${NEXT}`, ['/a', '/next']],
    ['78 DELETE with chunks', `DELETE /a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n${chunk(SMUGGLED)}0\r\n\r\n${NEXT}`, ['/a', '/next']],
    ['78 OPTIONS with chunks', `OPTIONS /a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n${chunk(SMUGGLED)}0\r\n\r\n${NEXT}`, ['/a', '/next']],
    ['78 GET with a length', `GET /a HTTP/1.1\r\nHost: b\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}${NEXT}`, ['/a', '/next']],
    ['79 two Hosts: where it ends is beyond doubt', `${head('Host: c', `Content-Length: ${SMUGGLED.length}`)}${SMUGGLED}${NEXT}`, ['/a', '/next']],
    ['80 a target in absolute form keeps its host and its Host', `GET http://other.example/smuggled HTTP/1.1\r\nHost: b\r\n\r\n${NEXT}`, ['http://other.example/smuggled', '/next']],
    ['81 CONNECT, and whatever follows', `CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n${SMUGGLED}`, ['b:443']],
    ['82 a line of HTTP/0.9', `GET /smuggled\r\n${SMUGGLED}`, []],
    ['82 a version to come', `GET /smuggled HTTP/1.2\r\nHost: b\r\n\r\n${SMUGGLED}`, []],
    ['83 a header of 20 kB', `${head(`X: ${'x'.repeat(20_000)}`, 'Content-Length: 0')}${NEXT}`, ['/a', '/next']],
    ['83 a target of 20 kB', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: b\r\n\r\n${NEXT}`, [`/${'x'.repeat(20_000)}`, '/next']],
    ['83 a header of 70 kB', `${head(`X: ${'x'.repeat(70_000)}`)}${SMUGGLED}`, []],
    ['84 2,100 headers, in their order', `${head(...Array.from({ length: 2100 }, (__, i) => `x-${i}: ${i}`), 'Content-Length: 0')}${NEXT}`, ['/a', '/next']],
    ['85 headers that Connection names', `${head('Connection: X-Secret', 'X-Secret: 1', 'Content-Length: 0')}${NEXT}`, ['/a', '/next']],
    ['86 trailers, and lengths among them that say nothing', `${head('Transfer-Encoding: chunked')}0\r\nContent-Length: 500\r\nTransfer-Encoding: gzip\r\n\r\n${NEXT}`, ['/a', '/next']],
    ['88 pipelined requests in their order', `${head('Content-Length: 3')}abc${NEXT}${NEXT}`, ['/a', '/next', '/next']],
  ])('%s', async (__, asked, framed) => {
    const pieces = Math.max(step, Math.ceil(asked.length / 2000)) // of a long one not every byte by itself
    const service = deferred<End>()
    await using wire = await open(async (end) => {
      service.resolve(end)
      await received(end, asked.length)
      end.socket.write(OK)
    })
    const client = await wire.client()
    for (let from = 0; from < asked.length; from += pieces) client.socket.write(asked.slice(from, from + pieces), 'latin1')
    await received(client, OK.length)
    expect((await service.promise).text).toBe(asked)
    expect(client.text).toBe(OK)
    expect(paths(wire)).toEqual(framed)
    expect(wire.of('toxic.hit')).toEqual([])
  })
})

test('81 a request for h2c: once the service has switched, nothing is a request', async () => {
  const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'
  const service = deferred<End>()
  await using wire = await open((end) => {
    service.resolve(end)
    end.socket.once('data', () => end.socket.write(switched))
  })
  const client = await wire.client()
  const asked = 'GET /a HTTP/1.1\r\nHost: b\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n'
  client.socket.write(asked)
  await client.until('h2c\r\n\r\n')
  client.socket.write(SMUGGLED)
  await (await service.promise).until(SMUGGLED)
  expect((await service.promise).text).toBe(asked + SMUGGLED)
  expect(paths(wire)).toEqual(['/a'])
  expect(wire.of('toxic.hit')).toEqual([])
})

test('87 of Expect: 100-continue there is one 100, and it is that of the service', async () => {
  await using wire = await open(async (end) => {
    await end.until('\r\n\r\n')
    end.socket.write('HTTP/1.1 100 Continue\r\n\r\n')
    await end.until('ab')
    end.socket.write(OK)
  })
  const client = await wire.client()
  client.socket.write(head('Expect: 100-continue', 'Content-Length: 2'))
  await client.until('100 Continue')
  client.socket.write('ab')
  await client.until('ok')
  expect(client.text).toBe(`HTTP/1.1 100 Continue\r\n\r\n${OK}`)
})

describe('an answer passes as it came, and ends the exchanges when its end is in doubt', () => {
  test.each([
    ['89 a header that splits the answer in two', 'HTTP/1.1 200 OK\r\nX: a\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'],
    ['89 a bare CR in a header', 'HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n'],
    ['89 a bare LF in a header', 'HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n'],
    ['59 a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['60 two different lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello'],
    ['61 the same length twice', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello'],
    ['66 a coding like chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'],
    ['70 a malformed chunk size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n'],
    ['90 a body that is longer than its length', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more'],
  ])('%s', async (_, answered) => {
    await using wire = await open(async (end) => {
      await end.until('\r\n\r\n')
      end.socket.write(answered)
      await end.until(SMUGGLED)
      end.socket.write('the end')
    })
    const client = await wire.client()
    client.socket.write(head('Content-Length: 0'))
    await received(client, answered.length)
    client.socket.write(SMUGGLED)
    await client.until('the end')
    expect(client.text).toBe(`${answered}the end`)
    expect(paths(wire)).toEqual(['/a'])
    expect(wire.of('toxic.hit')).toEqual([])
  })
})

test.each([
  ['by its length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort'],
  ['by its chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nshort'],
])('90 a body that is shorter than it should be %s is cut short for the client too, who does not hang', async (_, answered) => {
  await using wire = await open((end) => end.socket.once('data', () => end.socket.end(answered)))
  const client = await wire.client()
  client.socket.write(head('Content-Length: 0'))
  expect(await client.ended).toBe('fin')
  expect(client.text).toBe(answered)
  expect(wire.of('exchange.cut')).toMatchObject([{ how: 'fin', by: 'service' }])
})

describe('91 a service that never stops is never gathered', () => {
  test('30,000 interim answers pass as they come', async () => {
    const interim = 'HTTP/1.1 102 Processing\r\n\r\n'
    await using wire = await open(async (end) => {
      await end.until('\r\n\r\n')
      for (let i = 0; i < 300; i++) end.socket.write(interim.repeat(100))
      end.socket.write(OK)
    })
    const client = await wire.client()
    client.socket.write(head('Content-Length: 0'))
    await received(client, interim.length * 30_000 + OK.length)
    expect(client.text).toBe(interim.repeat(30_000) + OK)
    expect(wire.of('exchange.answered')).toMatchObject([{ status: 200 }])
  })

  test.each([
    ['headers', 'HTTP/1.1 200 OK\r\n', 'X-More: and more of it\r\n'],
    ['trailers', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n', 'X-More: and more of it\r\n'],
    ['a chunk extension', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;', 'and=more;'],
  ])('endless %s are held no longer than a head may be', async (_, start, more) => {
    const answered = start + more.repeat(20_000)
    await using wire = await open(async (end) => {
      await end.until('\r\n\r\n')
      end.socket.write(answered)
    })
    const client = await wire.client()
    client.socket.write(head('Content-Length: 0'))
    await received(client, answered.length)
    expect(client.text).toBe(answered)
  })

  test.each([
    ['a body of 10 GiB', `HTTP/1.1 200 OK\r\nContent-Length: ${10 * 1024 ** 3}\r\n\r\n`],
    ['chunks without end', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${(2 ** 40).toString(16)}\r\n`],
    ['a body without a length', 'HTTP/1.1 200 OK\r\n\r\n'],
  ])('of %s no more is read than the client takes, and little more than a queue', async (_, start) => {
    const part = Buffer.alloc(64 * 1024, 'x')
    const service = deferred<Socket>()
    await using wire = await open(async (end) => {
      await end.until('\r\n\r\n')
      end.socket.write(start)
      const more = () => {
        while (!end.socket.destroyed && end.socket.write(part));
      }
      end.socket.on('drain', more)
      more()
      service.resolve(end.socket)
    })
    const client = await wire.client()
    client.socket.write(head('Content-Length: 0'))
    await service.promise
    let most = 0
    while (client.socket.bytesRead < 64 * QUEUE_BYTES) {
      await once(client.socket, 'data')
      const { downstreamBytes } = wire.link.info()[0]!
      most = Math.max(most, downstreamBytes - client.socket.bytesRead)
    }
    client.socket.resetAndDestroy()
    await wire.until('connection.closed')
    // Beside the link's queue there are the buffers of two sockets of the system.
    expect(most).toBeLessThan(32 * QUEUE_BYTES)
    expect(wire.of('exchange.cut')).toMatchObject([{ by: 'client' }])
  })
})

test('92 a service that resets inside the body is passed on, and told as its own doing', async () => {
  await using wire = await open((end) => {
    end.socket.once('data', () => {
      end.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
      end.socket.once('data', () => end.socket.resetAndDestroy())
    })
  })
  const client = await wire.client()
  client.socket.write(head('Content-Length: 1'))
  await client.until('half')
  client.socket.write('x')
  expect(await client.ended).toBe('rst')
  await wire.until('connection.closed')
  expect(wire.of('exchange.cut')).toMatchObject([{ how: 'rst', by: 'service' }])
  expect(wire.of('toxic.hit')).toEqual([])
})

describe('94 a toxic with a bug', () => {
  const fail = () => {
    throw new Error('a bug')
  }
  afterEach(() => void delete toxics['broken'])

  test.each(['onRequest', 'onResponse', 'onChunk', 'onEnd', 'onConnect', 'onListen'])('in %s does nothing, says so, and harms nobody', async (place) => {
    toxics['broken'] = { name: 'broken', summary: '', stream: 'upstream', attributes: {}, [place]: fail }
    await using wire = await openWire(http([], () => OK))
    wire.rules.add({ link: 'bank', type: 'broken' })
    for (let i = 1; i <= 2; i++) {
      const client = await wire.client()
      client.socket.end(post('/a'))
      expect(await client.ended).toBe('fin')
      expect(client.text).toBe(OK)
    }
    expect(wire.of('toxic.failed')[0]).toMatchObject({ link: 'bank', toxic: 'broken_upstream', toxicType: 'broken', why: 'Error: a bug' })
    expect(wire.rules.unfired()).toEqual(['broken_upstream'])
  })
})

test('a good request on the next connection is answered after each of them', async () => {
  await using wire = await open(http([], () => answer('ok')))
  for (const bad of ['\0', 'GET', '\r\n\r\n', 'POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']) {
    const hostile = await wire.client()
    hostile.socket.write(bad)
    const client = await wire.client()
    client.socket.write(post('/a'))
    await client.until('ok')
    hostile.socket.resetAndDestroy()
  }
})
