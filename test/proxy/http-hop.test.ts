/** The hop for upstreams that are URLs, over real sockets; and what it must not do, which forwarders are known for. */
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createHttp } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { silentLog } from '../../src/events.ts'
import { openHop } from '../../src/proxy/http-hop.ts'
import type { HopRoute, UpstreamTls } from '../../src/proxy/http-hop.ts'

/** An upstream of raw bytes: what each connection sent, and who is there. */
async function upstream(answer: (text: string, socket: Socket) => void) {
  const seen: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    const n = seen.push('') - 1
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    socket.setEncoding('latin1').on('data', (data: string) => {
      seen[n] += data
      answer(seen[n]!, socket)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    seen,
    sockets,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const answerWhole = (text: string, socket: Socket) => {
  if (text.endsWith('\r\n\r\n')) socket.write(OK)
}

async function hop(routes: readonly HopRoute[], tls?: UpstreamTls) {
  const opened = await openHop({ routes, tls, log: silentLog })
  return {
    port: opened.port,
    /** Bytes as they are; what came back until the connection ended, or `until` came. */
    raw: (bytes: string, until?: string) =>
      new Promise<string>((resolve) => {
        const socket = connect(opened.port, '127.0.0.1')
        let text = ''
        socket.setEncoding('latin1').on('data', (data: string) => {
          text += data
          if (until !== undefined && text.includes(until)) socket.destroy()
        })
        socket.on('error', () => {}).on('close', () => resolve(text))
        socket.write(bytes, 'latin1')
      }),
    [Symbol.asyncDispose]: () => opened.close(),
  }
}

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: me.example\r\n${more}\r\n`
const status = (text: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1])

describe('routes', () => {
  test('the first that fits by path or host has the request; Host becomes the upstream’s and its path goes before', async () => {
    await using a = await upstream(answerWhole)
    await using b = await upstream(answerWhole)
    await using c = await upstream(answerWhole)
    await using way = await hop([{ path: '/api/**', url: `${a.url}/v2` }, { host: 'b.example', url: b.url }, { url: c.url }])
    await way.raw(get('/api/x?y=1'), 'ok')
    await way.raw('GET /b HTTP/1.1\r\nHost: B.example:80\r\n\r\n', 'ok')
    await way.raw(get('/other'), 'ok')
    expect(a.seen[0]).toMatch(new RegExp(`^GET /v2/api/x\\?y=1 HTTP/1\\.1\\r\\n[^]*host: ${a.url.slice(7)}\\r\\n`, 'i'))
    expect(b.seen[0]).toMatch(/^GET \/b /)
    expect(c.seen[0]).toMatch(/^GET \/other /)
  })

  test.each([
    [[{ url: 'ftp://x' }], /no http/],
    [[{ url: 'nonsense' }], /no http/],
    [[{ url: 'http://u:p@x' }], /password/],
    [[{ url: 'http://x/?a' }], /query/],
    [[{ path: '/a', url: 'http://x' }], /last route/],
  ])('%j is refused', async (routes, message) => {
    await expect(openHop({ routes, log: silentLog })).rejects.toThrow(message)
  })

  test('an https upstream is checked by its authority, or not at all when asked', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'resil-test-'))
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', join(folder, 'key'), '-out', join(folder, 'cert'), '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'], { stdio: 'ignore' })
    const cert = readFileSync(join(folder, 'cert'), 'utf8')
    const server = createHttps({ key: readFileSync(join(folder, 'key')), cert }, (_request, response) => response.end('secret')).listen(0, '127.0.0.1')
    rmSync(folder, { recursive: true })
    await once(server, 'listening')
    const routes = [{ url: `https://localhost:${(server.address() as AddressInfo).port}` }]
    await using trusting = await hop(routes, { ca: cert })
    expect(await trusting.raw(get('/'), 'secret')).toContain('secret')
    await using blind = await hop(routes, { insecure: true })
    expect(await blind.raw(get('/'), 'secret')).toContain('secret')
    await using strict = await hop(routes)
    expect(status(await strict.raw(get('/')))).toBe(502)
    server.closeAllConnections()
    server.close()
  })

  test('a WebSocket passes, both ways', async () => {
    const server = createHttp()
    const sockets = new WebSocketServer({ server })
    sockets.on('connection', (socket) => socket.on('message', (message) => socket.send(`you said ${String(message)}`)))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    await using way = await hop([{ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }])
    const client = new WebSocket(`ws://127.0.0.1:${way.port}/chat`)
    await once(client, 'open')
    client.send('hello')
    expect(String((await once(client, 'message'))[0])).toBe('you said hello')
    client.terminate()
    sockets.close()
    server.closeAllConnections()
    server.close()
  })
})

describe('what forwarders are known for, and this one does not do', () => {
  test.each(['DELETE', 'OPTIONS', 'GET', 'POST'])('D78 a %s with a body in chunks stays in chunks: what stands in it is no request', async (method) => {
    await using service = await upstream(answerWhole)
    await using way = await hop([{ url: service.url }])
    const inside = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
    await way.raw(`${method} /a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n${inside.length.toString(16)}\r\n${inside}\r\n0\r\n\r\n`, 'ok')
    const head = service.seen[0]!.slice(0, service.seen[0]!.indexOf('\r\n\r\n'))
    expect(head).toMatch(/transfer-encoding: chunked/i)
    expect(head).not.toMatch(/content-length/i)
    expect(service.seen[0]!.slice(head.length + 4)).toBe(`${inside.length.toString(16)}\r\n${inside}\r\n0\r\n\r\n`)
  })

  test('D93 300 clients that leave in the middle leave no socket to the upstream', async () => {
    await using service = await upstream((_text, socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegun'))
    await using way = await hop([{ url: service.url }])
    await Promise.all(Array.from({ length: 300 }, () => way.raw(get('/'), 'begun')))
    while (service.sockets.size > 0) await Promise.race([...service.sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    expect(service.seen.length).toBeGreaterThanOrEqual(300)
  })

  test('a refused upstream is 502, and the process lives, without a word on stderr', () => {
    const script = `
      import { openHop } from '${fileURLToPath(new URL('../../dist/proxy/http-hop.js', import.meta.url))}'
      import { once } from 'node:events'
      import { createServer } from 'node:net'
      const taken = createServer().listen(0, '127.0.0.1'); await once(taken, 'listening'); const { port } = taken.address(); taken.close(); await once(taken, 'close')
      const hop = await openHop({ routes: [{ url: 'http://127.0.0.1:' + port }], log: { emit() {} } })
      const told = []
      for (const method of ['GET', 'POST', 'DELETE']) told.push((await fetch('http://127.0.0.1:' + hop.port + '/', { method, body: method === 'GET' ? undefined : 'x' })).status)
      await hop.close()
      console.log(told.join())
    `
    const { status: exit, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 20_000 })
    expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: '502,502,502\n', stderr: '' })
  })

  test('D90 D92 an answer that breaks off is broken off, not completed, and not waited for', async () => {
    for (const how of ['end', 'resetAndDestroy'] as const) {
      await using service = await upstream((_text, socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', () => socket[how]()))
      await using way = await hop([{ url: service.url }])
      const text = await way.raw(get('/'))
      expect(status(text) === 502 || text.endsWith('half')).toBe(true)
    }
  })

  test('D85 a header that Connection names is for the hop alone', async () => {
    await using service = await upstream(answerWhole)
    await using way = await hop([{ url: service.url }])
    await way.raw(get('/', 'Connection: X-Secret\r\nX-Secret: 1\r\nX-Kept: 2\r\nTE: trailers\r\nKeep-Alive: 5\r\n'), 'ok')
    expect(service.seen[0]).toMatch(/x-kept: 2/i)
    expect(service.seen[0]).not.toMatch(/secret|^te:|keep-alive: 5/im)
  })

  test('D87 one 100 Continue, and the answer behind it', async () => {
    await using service = await upstream((text, socket) => void (text.endsWith('ab') && socket.write(OK)))
    await using way = await hop([{ url: service.url }])
    const text = await way.raw('POST / HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab', 'ok')
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 100', 'HTTP/1.1 200'])
  })

  test('D88 pipelined requests are answered in their order', async () => {
    await using service = await upstream((text, socket) => void (text.endsWith('\r\n\r\n') && socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${/(\/.) HTTP\/1\.1(?![^]*HTTP)/.exec(text)![1]}`)))
    await using way = await hop([{ url: service.url }])
    const text = await way.raw(get('/a') + get('/b') + get('/c'), '/c')
    expect(text.match(/\/[abc]/g)).toEqual(['/a', '/b', '/c'])
  })
})

const MIB = 1024 * 1024

const chunked = (more: string, body = '3\r\nabc\r\n0\r\n\r\n') => `POST / HTTP/1.1\r\nHost: b\r\n${more}\r\n${body}`

describe('what is not beyond doubt is refused, and nothing of it is forwarded', () => {
  test.each<[string, string, number]>([
    ['D59 a length and chunks', chunked('Content-Length: 3\r\nTransfer-Encoding: chunked\r\n'), 400],
    ['D60 two lengths that differ', chunked('Content-Length: 3\r\nContent-Length: 4\r\n', 'abcd'), 400],
    ['D61 two lengths that agree', chunked('Content-Length: 3\r\nContent-Length: 3\r\n', 'abc'), 400],
    ['D62 a list of lengths', chunked('Content-Length: 3, 3\r\n', 'abc'), 400],
    ['D63 a negative length', chunked('Content-Length: -3\r\n', 'abc'), 400],
    ['D64 a length with a plus', chunked('Content-Length: +3\r\n', 'abc'), 400],
    ['D65 a length beyond 2^64', chunked('Content-Length: 18446744073709551619\r\n', 'abc'), 400],
    ['D66 a coding that nobody knows', chunked('Transfer-Encoding: xchunked\r\n'), 400],
    ['D67 chunked, and identity behind it', chunked('Transfer-Encoding: chunked, identity\r\n'), 400],
    ['D68 a blank before the colon', chunked('Transfer-Encoding : chunked\r\n'), 400],
    ['D69 a vertical tab before chunked', chunked('Transfer-Encoding: \x0bchunked\r\n'), 400],
    ['D70 a chunk size with 0x', chunked('Transfer-Encoding: chunked\r\n', '0x3\r\nabc\r\n0\r\n\r\n'), 400],
    ['D71 chunks with bare line feeds', chunked('Transfer-Encoding: chunked\r\n', '3\nabc\n0\n\n'), 400],
    ['D72 bare line feeds', 'GET / HTTP/1.1\nHost: b\n\n', 400],
    ['D73 a bare carriage return', 'GET / HTTP/1.1\r\nHost: b\r\nX: a\rb\r\n\r\n', 400],
    ['D74 a folded header', 'GET / HTTP/1.1\r\nHost: b\r\nX: a\r\n b\r\n\r\n', 400],
    ['D74 a folded length', 'POST / HTTP/1.1\r\nHost: b\r\nContent-Length:\r\n 3\r\n\r\nabc', 400],
    ['D75 a NUL', 'GET / HTTP/1.1\r\nHost: b\r\nX: a\0b\r\n\r\n', 400],
    ['D76 no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['D79 two Hosts', 'GET / HTTP/1.1\r\nHost: b\r\nHost: c\r\n\r\n', 400],
    ['D82 a line of 0.9', 'GET /\r\n\r\n', 400],
    ['D83 a header of 20 kB', get('/', `X: ${'x'.repeat(20_000)}\r\n`), 431],
    ['D83 a URL of 20 kB', get(`/${'x'.repeat(20_000)}`), 431],
    ['D84 2,100 headers', get('/', 'x: 1\r\n'.repeat(2100)), 431],
    ['D81 CONNECT', 'CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n', 405],
    ['D81 an upgrade to HTTP/2', get('/', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'), 400],
  ])('%s: %s', async (_, bytes, expected) => {
    await using service = await upstream(answerWhole)
    await using way = await hop([{ url: service.url }])
    expect(status(await way.raw(bytes))).toBe(expected)
    expect(service.seen.join('')).toBe('')
  })

  test('D77 chunk extensions are taken away', async () => {
    await using service = await upstream(answerWhole)
    await using way = await hop([{ url: service.url }])
    await way.raw(chunked('Transfer-Encoding: chunked\r\n', '3;a=b\r\nabc\r\n0\r\n\r\n'), 'ok')
    expect(service.seen[0]).toMatch(/\r\n\r\n3\r\nabc\r\n0\r\n\r\n$/)
  })

  test.each([
    ['an upgrade that is refused', get('/', 'Connection: Upgrade\r\nUpgrade: h2c\r\n'), ' 400 '],
    ['CONNECT', 'CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n', ' 405 '],
    ['a WebSocket', get('/', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n'), ' 101 '],
  ])('%s whose client stays does not keep the hop from closing', async (_, bytes, answered) => {
    await using service = await upstream((text, socket) => void (text.endsWith('\r\n\r\n') && socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')))
    const opened = await openHop({ routes: [{ url: service.url }], log: silentLog })
    const client = connect({ port: opened.port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
    client.write(bytes)
    expect(String((await once(client, 'data'))[0])).toContain(answered)
    await opened.close()
    client.destroy()
  })

  test('D86 trailers do not pass, and no header announces them', async () => {
    await using service = await upstream((text, socket) => void (text.endsWith('0\r\n\r\n') && socket.write('HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n')))
    await using way = await hop([{ url: service.url }])
    const text = await way.raw(chunked('Trailer: X-Check\r\nTransfer-Encoding: chunked\r\n', '3\r\nabc\r\n0\r\nX-Check: 1\r\n\r\n'), '0\r\n\r\n')
    expect(status(text)).toBe(200)
    expect(text).toMatch(/\r\n\r\n2\r\nok\r\n0\r\n\r\n$/)
    expect(text).not.toMatch(/trailer|x-sum/i)
    expect(service.seen[0]).not.toMatch(/trailer|x-check/i)
  })

  test.each([
    ['a line break', 'X: a\rSet-Cookie: b'],
    ['a NUL', 'X: a\0b'],
    ['a length with chunks', 'Content-Length: 2\r\nTransfer-Encoding: chunked'],
  ])('D89 an answer with %s in a header is 502, and nothing of it passes', async (_, header) => {
    await using service = await upstream((_text, socket) => void socket.write(`HTTP/1.1 200 OK\r\n${header}\r\n\r\nok`))
    await using way = await hop([{ url: service.url }])
    const text = await way.raw(get('/'))
    expect(status(text)).toBe(502)
    expect(text).not.toMatch(/set-cookie|^x:/im)
  })

  test('D91 of 100,000 interim answers none is kept, and the answer behind them passes', async () => {
    const flood = Buffer.from('HTTP/1.1 102 Processing\r\n\r\n'.repeat(1000))
    await using service = await upstream((_text, socket) => {
      for (let n = 0; n < 100; n++) socket.write(flood)
      socket.write(OK)
    })
    await using way = await hop([{ url: service.url }])
    const before = process.memoryUsage().heapUsed
    expect(await way.raw(get('/'), 'ok')).toMatch(/^HTTP\/1\.1 200 [^]*ok$/)
    expect((process.memoryUsage().heapUsed - before) / MIB).toBeLessThan(64)
  })

  test('D91 headers without end are 502', async () => {
    await using service = await upstream((_text, socket) => {
      socket.write('HTTP/1.1 200 OK\r\n')
      const more = () => {
        while (!socket.destroyed && socket.write(`X: ${'x'.repeat(1000)}\r\n`));
      }
      socket.on('drain', more)
      more()
    })
    await using way = await hop([{ url: service.url }])
    expect(status(await way.raw(get('/')))).toBe(502)
  })

  test('D91 of a body of 10 GiB no more is read than the client takes, and the buffers between', async () => {
    const part = Buffer.alloc(64 * 1024, 'x')
    await using service = await upstream((_text, socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${10 * 1024 ** 3}\r\n\r\n`)
      const more = () => {
        while (!socket.destroyed && socket.write(part));
      }
      socket.on('drain', more)
      more()
    })
    await using way = await hop([{ url: service.url }])
    const client = connect(way.port, '127.0.0.1')
    client.write(get('/'))
    let most = 0
    while (client.bytesRead < 64 * MIB) {
      await once(client, 'data')
      const [source] = service.sockets
      most = Math.max(most, source!.bytesWritten - client.bytesRead)
    }
    client.destroy()
    expect(most / MIB).toBeLessThan(32)
  })

  test('D80 a target with another host in it goes to the upstream all the same', async () => {
    await using service = await upstream(answerWhole)
    await using way = await hop([{ url: service.url }])
    await way.raw('GET http://evil.example/x HTTP/1.1\r\nHost: b\r\n\r\n', 'HTTP/1.1')
    expect(service.seen.join('')).not.toMatch(/^host: evil/im)
  })

  test('D94 an exception in the service is its connection’s end, and the next request is served', async () => {
    let first = true
    await using service = await upstream((text, socket) => {
      if (first) socket.resetAndDestroy()
      else answerWhole(text, socket)
      first = false
    })
    await using way = await hop([{ url: service.url }])
    expect(status(await way.raw(get('/')))).toBe(502)
    expect(status(await way.raw(get('/'), 'ok'))).toBe(200)
  })
})
