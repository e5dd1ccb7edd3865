/**
 * With no toxic that acts, the link is a wire. What HTTP proxies are known to change, swallow or invent passes as it came, byte for byte
 * and end for end: once with no rule at all, and once with ten rules that make the link look for messages and match none.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2'
import type { AddressInfo, Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, createServer as createTls } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { ToxicSpec } from '../../src/scenario.ts'
import { deferred, openWire } from './wire.ts'
import type { End, Wire } from './wire.ts'

const TEN_THAT_DO_NOT_MATCH: Omit<ToxicSpec, 'link'>[] = [
  { type: 'latency', attributes: { path: '/never', latency: 1000 } },
  { type: 'bandwidth', attributes: { path: '/never/**', rate: 1 } },
  { type: 'timeout', attributes: { path: '/never' } },
  { type: 'reset_peer', attributes: { method: 'BREW' } },
  { type: 'http_error', attributes: { method: 'BREW' } },
  { type: 'lost_request', attributes: { path: '/never' } },
  { type: 'lost_response', attributes: { path: '/never' } },
  { type: 'partial_response', attributes: { path: '/never' } },
  { type: 'duplicate_request', attributes: { path: '/never' } },
  { type: 'dribble', attributes: { path: '/never' } },
]

/** Once `bytes` of them have come, or the other side has ended. */
async function received(end: End, bytes: number): Promise<void> {
  const arrived = async () => {
    while (end.bytes.length < bytes) await once(end.socket, 'data')
  }
  await Promise.race([arrived(), end.ended])
}

interface Row {
  title: string
  asked: string
  /** What the service sends once it has the request whole. */
  answered: string
  /** What the service does then; it stays open without. */
  then?: 'fin' | 'rst'
}

const ROWS: Row[] = [
  { title: 'a FIN inside a body of known length', asked: 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n', answered: 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', then: 'fin' },
  { title: 'a FIN inside a chunk', asked: 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n', answered: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nff\r\nhal', then: 'fin' },
  { title: 'a FIN where the next chunk would begin', asked: 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n', answered: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', then: 'fin' },
  { title: 'a FIN inside a head', asked: 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n', answered: 'HTTP/1.1 200 OK\r\nContent-Le', then: 'fin' },
  { title: 'an RST inside a body of known length', asked: 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n', answered: 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', then: 'rst' },
  { title: 'an RST inside a chunk', asked: 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n', answered: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf', then: 'rst' },
  { title: 'an RST before a byte of the answer', asked: 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n', answered: '', then: 'rst' },
  { title: 'an empty answer', asked: 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n', answered: '', then: 'fin' },
  { title: 'a garbage answer', asked: 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n', answered: '\x00\x01\xff garbage\r\n\r\n', then: 'fin' },
  { title: 'a malformed chunk size', asked: 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n', answered: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n' },
  { title: 'an answer of 1.0 that ends with the connection', asked: 'GET /a HTTP/1.0\r\n\r\n', answered: 'HTTP/1.0 200 OK\r\n\r\nuntil the end', then: 'fin' },
  { title: '103 Early Hints', asked: 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n', answered: 'HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </t.js>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' },
  { title: 'trailers, both ways', asked: 'POST /a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nx-sum:2\r\n\r\n', answered: 'HTTP/1.1 200 OK\r\nTrailer: Expires\r\nTransfer-Encoding: chunked\r\n\r\n3;a="b c"\r\nabc\r\n0000\r\nExpires:  never\t\r\n\r\n' },
  { title: 'case, order, blanks and doubles of headers, both ways', asked: 'GET /a HTTP/1.1\r\nzEBRA: 1\r\nHOST:b\r\nx-Twice:  1\r\nX-tWICE:2 \r\nACCEPT: */*\r\nx-Empty:\r\nCookie: a=1\r\ncookie: b=2\r\n\r\n', answered: 'HTTP/1.1 200 OK\r\nset-cookie: a\r\nSET-COOKIE: b\r\nSet-Cookie: a\r\nContent-length: 0\r\nDATE: yesterday\r\nConnection: keep-alive, X-Hop\r\nX-Hop: \xe9\r\n\r\n' },
  { title: 'a reason phrase of its own', asked: 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n', answered: 'HTTP/1.1 299 Sant\xe9, quite  fine!\r\nContent-Length: 0\r\n\r\n' },
  { title: 'no reason phrase', asked: 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n', answered: 'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n' },
  { title: 'a target that others would normalise', asked: 'GET /a/../%2e%2F//b;c?d=%zz&&e#f HTTP/1.1\r\nHost: b\r\n\r\n', answered: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n' },
  { title: 'pipelined requests and their answers in one piece', asked: Array.from({ length: 5 }, (_, i) => `POST /${i} HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nab${i}`).join(''), answered: Array.from({ length: 5 }, (_, i) => `HTTP/1.1 20${i} OK\r\nContent-Length: 1\r\n\r\n${i}`).join('') },
  { title: 'a chunked DELETE and the request behind it', asked: 'DELETE /a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\nGET /smuggled HTTP/1.1\r\n\r\n\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: b\r\n\r\n', answered: 'HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n' },
  { title: 'answers to HEAD and 304 that announce a length', asked: 'HEAD /a HTTP/1.1\r\nHost: b\r\n\r\nGET /a HTTP/1.1\r\nHost: b\r\nIf-None-Match: x\r\n\r\n', answered: 'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 999\r\n\r\n' },
  { title: 'CONNECT, and what is said in the tunnel', asked: 'CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\nGET /in-the-tunnel HTTP/1.1\r\n\r\n\x00\x16\x03', answered: 'HTTP/1.1 200 Connection Established\r\n\r\n\x00\xff\r\nHTTP/1.1 500 no' },
  { title: 'the preface of HTTP/2', asked: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00', answered: '\x00\x00\x00\x04\x00\x00\x00\x00\x00' },
]

describe.each([
  ['with no rule', [] as typeof TEN_THAT_DO_NOT_MATCH],
  ['with ten rules that do not match', TEN_THAT_DO_NOT_MATCH],
])('%s', (_, rules) => {
  async function open(serve: (end: End) => void, upstreamPort?: number): Promise<Wire> {
    const wire = await openWire(serve, { upstreamPort })
    for (const rule of rules) wire.rules.add({ link: 'bank', ...rule })
    return wire
  }

  /** A link in front of a server of somebody else. */
  async function openBefore(server: Server): Promise<Wire> {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return open(() => {}, (server.address() as AddressInfo).port)
  }

  describe.each([
    ['in one piece', Number.POSITIVE_INFINITY],
    ['byte by byte', 1],
  ])('written %s', (_, step) => {
    const send = (socket: Socket, bytes: Buffer) => {
      for (let from = 0; from < bytes.length; from += step) socket.write(bytes.subarray(from, from + step))
    }

    test.each(ROWS)('$title', async ({ asked, answered, then }) => {
      const request = Buffer.from(asked, 'latin1')
      const response = Buffer.from(answered, 'latin1')
      const answerRead = deferred<void>()
      const service = deferred<End>()
      await using wire = await open(async (end) => {
        service.resolve(end)
        await received(end, request.length)
        send(end.socket, response)
        if (then === 'fin') end.socket.end()
        if (then !== 'rst') return
        await answerRead.promise // an RST may overtake what was sent before it
        end.socket.resetAndDestroy()
      })
      const client = await wire.client()
      send(client.socket, request)
      await received(client, response.length)
      answerRead.resolve()
      if (then) expect(await client.ended).toBe(then)
      expect(client.text).toBe(answered)
      expect((await service.promise).text).toBe(asked)
      client.socket.end()
      await service.promise.then((end) => end.socket.end())
      await wire.until('connection.closed')
      expect(wire.of('connection.closed')).toMatchObject([{ how: then ?? 'fin', upstreamBytes: request.length, downstreamBytes: response.length }])
      expect(wire.of('toxic.hit')).toEqual([])
      expect(wire.link.connections).toBe(0)
    })
  })

  test('a request that was half-closed is still answered', async () => {
    await using wire = await open((end) => end.socket.on('end', () => end.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')))
    const client = await wire.client()
    client.socket.end('POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 4\r\n\r\nbody')
    expect(await client.ended).toBe('fin')
    expect(client.text).toBe('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })

  test('a service that has answered and half-closed still gets the rest of the request', async () => {
    const asked = 'POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 10\r\n\r\n01234'
    const heard = deferred<string>()
    await using wire = await open((end) => {
      end.socket.once('data', () => end.socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n'))
      end.socket.on('end', () => heard.resolve(end.text))
    })
    const client = await wire.client()
    client.socket.write(asked)
    expect(await client.ended).toBe('fin')
    client.socket.end('56789')
    expect(await heard.promise).toBe(`${asked}56789`)
  })

  test.each([
    ['an RST', 'rst'],
    ['a FIN', 'fin'],
  ])('a client that gives up inside the answer by %s is felt by the service', async (_, how) => {
    const service = deferred<End>()
    await using wire = await open((end) => {
      service.resolve(end)
      end.socket.once('data', () => end.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'))
    })
    const client = await wire.client()
    client.socket.write('GET /a HTTP/1.1\r\nHost: b\r\n\r\n')
    await client.until('half')
    if (how === 'rst') client.socket.resetAndDestroy()
    else client.socket.end()
    expect(await (await service.promise).ended).toBe(how)
  })

  test('a client that gives up inside its request is felt by the service, which has all that was sent', async () => {
    const service = deferred<End>()
    await using wire = await open((end) => service.resolve(end))
    const client = await wire.client()
    client.socket.write('POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 100\r\n\r\nhalf')
    const end = await service.promise
    await end.until('half')
    client.socket.resetAndDestroy()
    expect(await end.ended).toBe('rst')
    expect(end.text).toBe('POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 100\r\n\r\nhalf')
  })

  test.each([
    ['lets the body come', 'HTTP/1.1 100 Continue\r\nX-From: the service\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['refuses the body', '', 'HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n'],
  ])('Expect: 100-continue is answered by the service alone, which %s', async (_, interim, final) => {
    const head = 'POST /a HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n'
    const service = deferred<End>()
    await using wire = await open(async (end) => {
      service.resolve(end)
      await end.until('\r\n\r\n')
      if (interim !== '') {
        end.socket.write(interim)
        await end.until('body')
      }
      end.socket.write(final)
    })
    const client = await wire.client()
    client.socket.write(head)
    if (interim !== '') {
      await client.until('100 Continue')
      client.socket.write('body')
    }
    await client.until('Content-Length: 0\r\n\r\n')
    expect(client.text).toBe(interim + final)
    expect((await service.promise).text).toBe(interim === '' ? head : `${head}body`)
  })

  test('a WebSocket of the ws package echoes text, a MiB of bytes, pings and the code it is closed with', async () => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: true })
    await once(server, 'listening')
    const closedWith = deferred<unknown>()
    server.on('connection', (socket) => {
      socket.on('message', (bytes, binary) => socket.send(bytes, { binary }))
      socket.on('close', (code, why) => closedWith.resolve([code, String(why)]))
    })
    try {
      await using wire = await open(() => {}, (server.address() as AddressInfo).port)
      const client = new WebSocket(`ws://127.0.0.1:${wire.link.address.port}/chat`, { perMessageDeflate: true })
      await once(client, 'open')
      client.send('GET / HTTP/1.1\r\n\r\n')
      expect(String((await once(client, 'message'))[0])).toBe('GET / HTTP/1.1\r\n\r\n')
      const large = Buffer.alloc(1024 * 1024, Buffer.from([...Array(251).keys()]))
      client.send(large)
      const [back, binary] = await once(client, 'message')
      expect([large.equals(back), binary]).toEqual([true, true])
      client.ping('still there')
      expect(String((await once(client, 'pong'))[0])).toBe('still there')
      client.close(4321, 'enough')
      expect(await closedWith.promise).toEqual([4321, 'enough'])
      await wire.until('connection.closed')
      expect(wire.of('exchange.answered')).toMatchObject([{ status: 101 }])
    } finally {
      server.close()
    }
  })

  test('HTTP/2 by prior knowledge works between its own ends: bodies both ways, trailers, many streams', async () => {
    const server = createHttp2()
    server.on('stream', (stream, headers) => {
      stream.respond({ ':status': 200, 'x-path': headers[':path'] }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': 'kept' }))
      stream.pipe(stream)
    })
    await using wire = await openBefore(server)
    const session = connectHttp2(`http://127.0.0.1:${wire.link.address.port}`)
    try {
      await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const stream = session.request({ ':method': 'POST', ':path': `/${i}` })
          const body = Buffer.alloc(40_000, i)
          const parts: Buffer[] = []
          stream.on('data', (bytes: Buffer) => parts.push(bytes))
          let trailers: Record<string, unknown> = {}
          stream.on('trailers', (given) => (trailers = given))
          stream.end(body)
          const [headers] = await once(stream, 'response')
          await once(stream, 'close')
          expect(headers['x-path']).toBe(`/${i}`)
          expect(trailers['x-sum']).toBe('kept')
          expect(Buffer.concat(parts).equals(body)).toBe(true)
        }),
      )
      expect(wire.of('exchange.opened')).toEqual([])
    } finally {
      session.close()
      await once(session, 'close')
      server.close()
    }
  })

  describe('TLS passes through', () => {
    let folder: string
    let key: Buffer
    let cert: Buffer
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'resil-tls-'))
      const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
      const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
      execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-keyout', keyFile, '-out', certFile, ...subject], { stdio: 'pipe' })
      key = readFileSync(keyFile)
      cert = readFileSync(certFile)
    })
    afterAll(() => rmSync(folder, { recursive: true }))

    test("the client sees the service's own certificate and protocol, and both see every byte and the end", async () => {
      const heard = deferred<string>()
      const server = createTls({ key, cert, ALPNProtocols: ['http/1.1'] }, (socket: TLSSocket) => {
        const parts: Buffer[] = []
        socket.on('data', (bytes: Buffer) => parts.push(bytes))
        socket.on('end', () => {
          heard.resolve(Buffer.concat(parts).toString('latin1'))
          socket.end('HTTP/1.1 200 OK\r\n\r\nall of it')
        })
      })
      await using wire = await openBefore(server)
      const client = connectTls({ ...wire.link.address, servername: 'localhost', ca: cert, ALPNProtocols: ['http/1.1'] })
      try {
        await once(client, 'secureConnect')
        expect(client.authorized).toBe(true)
        expect(client.alpnProtocol).toBe('http/1.1')
        const parts: Buffer[] = []
        client.on('data', (bytes: Buffer) => parts.push(bytes))
        client.end('POST /never HTTP/1.1\r\n\r\n')
        await once(client, 'end')
        expect(await heard.promise).toBe('POST /never HTTP/1.1\r\n\r\n')
        expect(String(Buffer.concat(parts))).toBe('HTTP/1.1 200 OK\r\n\r\nall of it')
        expect(wire.of('exchange.opened')).toEqual([])
      } finally {
        client.destroy()
        server.close()
      }
    })

    test('a cut without close_notify arrives as a cut', async () => {
      const server = createTls({ key, cert })
      const raw = deferred<Socket>()
      server.on('connection', (socket: Socket) => raw.resolve(socket))
      await using wire = await openBefore(server)
      const client = connectTls({ ...wire.link.address, servername: 'localhost', ca: cert })
      await once(client, 'secureConnect')
      const failed = once(client, 'error')
      ;(await raw.promise).resetAndDestroy()
      expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET' })
      server.close()
    })
  })
})
