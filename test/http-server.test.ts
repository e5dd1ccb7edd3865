import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { SystemClock } from '../src/clock.ts'
import type { Fields } from '../src/events.ts'
import { type HttpServer, serveHttp, type ServeOptions } from '../src/http-server.ts'
import { connectionCut, type HttpRequest, json, type Service } from '../src/network.ts'

const clock = new SystemClock()

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

async function serve(service: Service, options: Partial<ServeOptions> = {}): Promise<HttpServer> {
  const server = await serveHttp(service, { clock, ...options })
  cleanups.push(() => server.close(0))
  return server
}

/** A raw client: what it reads, and how its connection ends. */
function dial(server: HttpServer) {
  const socket: Socket = connect(server.port, server.host)
  cleanups.push(() => socket.destroy())
  let text = ''
  let wake = () => {}
  socket.setEncoding('latin1')
  socket.on('data', (chunk) => {
    text += chunk
    wake()
  })
  const ended = new Promise<'fin' | 'rst'>((resolve) => {
    socket.on('end', () => resolve('fin'))
    socket.on('error', () => resolve('rst'))
  })
  return {
    socket,
    ended,
    write: (bytes: string | Buffer) => void socket.write(bytes),
    /** All that was read once `pattern` is in it. */
    async read(pattern: RegExp): Promise<string> {
      while (!pattern.test(text)) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return text
    },
    /** All that was read when the connection ended. */
    async rest(): Promise<string> {
      await ended
      return text
    },
  }
}

/** A promise with its end outside. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

const whole = /\r\n\r\n.*\}$/s
const post = (body: string, headers = '') => `POST /payments?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`

describe('a request becomes a plain record', () => {
  async function seen(bytes: string | Buffer): Promise<HttpRequest> {
    const requests: HttpRequest[] = []
    const client = dial(await serve(async (request) => {
      requests.push(request)
      return json(200, {})
    }))
    client.write(bytes)
    await client.read(whole)
    return requests[0]!
  }

  test('method, path with its query, header names in lower case, body', async () => {
    expect(await seen(post('{"a":"é"}', 'X-Trace: T1\r\n'))).toEqual({
      method: 'POST', path: '/payments?x=1', headers: { host: 'a', 'content-length': '10', 'x-trace': 'T1' }, body: '{"a":"é"}',
    })
  })

  test.each(['Idempotency-Key', 'Authorization', 'Content-Type', 'User-Agent', 'Retry-After', 'Constructor'])('a second %s line is joined to the first', async (name) => {
    expect((await seen(post('{}', `${name}: k1\r\n${name.toUpperCase()}: k2\r\n`))).headers[name.toLowerCase()]).toBe('k1, k2')
  })

  test('a chunked body is put together, a split character included', async () => {
    expect((await seen(Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\xc3\r\n1\r\n\xa9\r\n0\r\n\r\n', 'latin1'))).body).toBe('é')
  })

  test('a request without a body has an empty one', async () => {
    expect(await seen('GET / HTTP/1.1\r\nHost: a\r\n\r\n')).toMatchObject({ method: 'GET', body: '' })
  })
})

describe('what the Service must not see is answered before it', () => {
  const lines = (count: number) => Array.from({ length: count }, (_, i) => `x-${i}: 1\r\n`).join('')
  const rows: { name: string; bytes: string | Buffer; answer: RegExp }[] = [
    { name: 'a body that is not UTF-8', bytes: Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n\xff\xfe', 'latin1'), answer: /^HTTP\/1.1 400 .*application\/problem\+json.*"code":"BODY_NOT_UTF8"/s },
    { name: 'a declared body over the limit', bytes: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n', answer: /^HTTP\/1.1 413 .*application\/problem\+json.*[Cc]onnection: close.*"code":"BODY_TOO_LARGE"/s },
    { name: 'a chunked body over the limit', bytes: `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n${'x'.repeat(101)}\r\n`, answer: /^HTTP\/1.1 413 .*"code":"BODY_TOO_LARGE"/s },
    { name: '201 header lines', bytes: `GET / HTTP/1.1\r\nHost: a\r\n${lines(200)}\r\n`, answer: /^HTTP\/1.1 431 .*"code":"TOO_MANY_HEADERS"/s },
    { name: '2000 header lines', bytes: `GET / HTTP/1.1\r\nHost: a\r\n${lines(2000)}\r\n`, answer: /^HTTP\/1.1 431 /s },
    { name: 'a head over 16 KiB', bytes: `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, answer: /^HTTP\/1.1 431 / },
    { name: 'two Hosts', bytes: 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', answer: /^HTTP\/1.1 400 .*"code":"TWO_HOSTS"/s },
    { name: 'no Host', bytes: 'GET / HTTP/1.1\r\n\r\n', answer: /^HTTP\/1.1 400 / },
    { name: 'a length and chunks', bytes: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', answer: /^HTTP\/1.1 400 / },
    { name: 'two lengths', bytes: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x', answer: /^HTTP\/1.1 400 / },
    { name: 'a chunk size that is no number', bytes: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', answer: /^HTTP\/1.1 400 / },
    { name: 'garbage', bytes: '\x16\x03\x01 hello\r\n\r\n', answer: /^HTTP\/1.1 400 / },
  ]
  test.each(rows)('$name', async ({ bytes, answer }) => {
    let calls = 0
    const server = await serve(async () => {
      calls++
      return json(200, {})
    }, { maxBodyBytes: 100 })
    const client = dial(server)
    client.write(bytes)
    expect(await client.read(answer)).toMatch(answer)
    expect(calls).toBe(0)
    const next = dial(server)
    next.write(post('{}'))
    expect(await next.read(whole)).toMatch(/^HTTP\/1.1 200 /)
  })

  test('200 header lines and a body at the limit are let through', async () => {
    const client = dial(await serve(async ({ headers, body }) => json(200, { lines: Object.keys(headers).length, bytes: body.length }), { maxBodyBytes: 100 }))
    client.write(post('x'.repeat(100), lines(198)))
    expect(await client.read(whole)).toContain('{"lines":200,"bytes":100}')
  })

  test('HTTP/1.0 without a Host is served', async () => {
    const client = dial(await serve(async () => json(200, {})))
    client.write('GET / HTTP/1.0\r\n\r\n')
    expect(await client.rest()).toMatch(/^HTTP\/1.1 200 /)
  })

  test('a client that goes on sending after a 413 can still read it, then meets the end', async () => {
    const client = dial(await serve(async () => json(200, {}), { maxBodyBytes: 100 }))
    client.socket.pause()
    await new Promise((resolve) => client.socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n${'x'.repeat(4_000_000)}`, resolve))
    client.socket.resume()
    expect(await client.rest()).toMatch(/^HTTP\/1.1 413 .*"code":"BODY_TOO_LARGE".*\}$/s)
    expect(await client.ended).toBe('fin')
  })

  test('a client that keeps a refused body to itself is let go after a moment', async () => {
    const client = dial(await serve(async () => json(200, {}), { maxBodyBytes: 100 }))
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n')
    expect(await client.ended).toBe('fin')
  })
})

describe('an answer', () => {
  test('goes out with its length and a date, and the connection stays', async () => {
    const client = dial(await serve(async ({ path }) => json(201, { path, name: 'é' }, { 'x-id': '7' })))
    client.write(post('{}'))
    const text = await client.read(whole)
    expect(text).toMatch(/^HTTP\/1.1 201 /)
    expect(text).toMatch(/\r\nDate: .* GMT\r\n/)
    expect(text).toContain('content-length: 36')
    expect(text).toContain('x-id: 7')
    client.write(post('{}'))
    await client.read(/201 .*201 .*\}$/s)
  })

  test('without a body has none', async () => {
    const client = dial(await serve(async ({ path }) => (path === '/last' ? json(200, {}) : { status: 204, headers: {}, body: '' })))
    client.write('DELETE / HTTP/1.1\r\nHost: a\r\n\r\nGET /last HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(await client.read(whole)).not.toMatch(/204 No Content[^]*content-length[^]*HTTP\/1.1 200/)
  })

  test('to HEAD tells the length and keeps the body', async () => {
    const client = dial(await serve(async () => json(200, { a: 1 })))
    client.write('HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    const text = await client.rest()
    expect(text).toContain('content-length: 7')
    expect(text.endsWith('\r\n\r\n')).toBe(true)
  })

  const failures: { name: string; service: Service }[] = [
    { name: 'throws', service: async () => { throw new Error('the secret is 42') } },
    { name: 'throws what is no error', service: async () => { throw 'the secret is 42' } }, // eslint-disable-line no-throw-literal
    { name: 'throws before it could return a promise', service: () => { throw new Error('the secret is 42') } },
    { name: 'answers with a header that cannot be written', service: async () => json(200, {}, { 'x-secret': 'the secret is 42\r\nx: y' }) },
    { name: 'answers with a status that is not final', service: async () => json(102, { why: 'the secret is 42' }) },
  ]
  test.each(failures)('of a Service that $name is 500 and tells nothing; the log is told', async ({ name, service }) => {
    const said: { type: string; fields?: Fields }[] = []
    const client = dial(await serve(service, { log: { emit: (type, fields) => void said.push({ type, fields }) } }))
    client.write(post('{}'))
    const text = await client.read(whole)
    expect(text).toMatch(/^HTTP\/1.1 500 .*application\/problem\+json.*"code":"INTERNAL"/s)
    expect(text).not.toMatch(/secret|http-server|at /)
    expect(said).toMatchObject([{ type: 'service.failed', fields: { method: 'POST', path: '/payments?x=1', why: expect.stringMatching(name.startsWith('throws') ? /the secret is 42/ : /./) } }])
  })

  test('of a Service that cuts the connection is a reset, without one byte', async () => {
    const client = dial(await serve(async () => {
      throw connectionCut('the test wants it')
    }))
    client.write(post('{}'))
    expect(await client.ended).toBe('rst')
    expect(await client.rest()).toBe('')
  })
})

test('a client that leaves does not stop the Service', async () => {
  const begun = gate()
  const left = gate()
  const done = gate()
  const server = await serve(async () => {
    begun.open()
    await left.opened
    done.open()
    return json(200, {})
  })
  const client = dial(server)
  client.write(post('{}'))
  await begun.opened
  client.socket.resetAndDestroy()
  left.open()
  await done.opened
  const next = dial(server)
  next.write(post('{}'))
  expect(await next.read(whole)).toMatch(/^HTTP\/1.1 200 /)
})

test('a client that leaves inside its request is never served', async () => {
  let calls = 0
  const server = await serve(async () => {
    calls++
    return json(200, {})
  })
  const client = dial(server)
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{}')
  await clock.sleep(20)
  client.socket.end()
  await client.ended
  const next = dial(server)
  next.write(post('{}'))
  await next.read(whole)
  expect(calls).toBe(1)
})

describe('closing', () => {
  test('answers what is in flight and tells it to go, cuts the idle and the silent, refuses the new', async () => {
    const begun = gate()
    const finish = gate()
    const server = await serve(async ({ path }) => {
      if (path === '/slow') {
        begun.open()
        await finish.opened
      }
      return json(200, { path })
    })
    const idle = dial(server)
    idle.write('GET /quick HTTP/1.1\r\nHost: a\r\n\r\n')
    await idle.read(whole)
    const silent = dial(server)
    await new Promise((resolve) => silent.socket.once('connect', resolve))
    const busy = dial(server)
    busy.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
    await begun.opened
    const closed = server.close(60_000)
    await Promise.all([idle.ended, silent.ended])
    expect(await dial(server).ended).toBe('rst')
    finish.open()
    expect(await busy.rest()).toMatch(/^HTTP\/1.1 200 .*connection: close.*\{"path":"\/slow"\}$/is)
    await closed
    await server.close(0)
  })

  test('cuts what has not ended in time', async () => {
    const begun = gate()
    const server = await serve(async () => {
      begun.open()
      return new Promise(() => {})
    })
    const client = dial(server)
    client.write(post('{}'))
    await begun.opened
    await server.close(10)
    expect(await client.rest()).toBe('')
  })

  test('lets a client read the whole of an answer that was written before', async () => {
    const begun = gate()
    const server = await serve(async () => {
      begun.open()
      return json(200, 'x'.repeat(8_000_000))
    })
    const client = dial(server)
    client.socket.pause()
    client.write(post('{}'))
    await begun.opened
    await clock.sleep(5) // the answer is written, and more of it than the system takes at once
    const closed = server.close(60_000)
    client.socket.resume()
    expect((await client.rest()).length).toBeGreaterThan(8_000_000)
    await closed
  })

  test('ends a connection whose answer was on its way', async () => {
    let closed: Promise<void> | undefined
    const server = await serve(async () => {
      const answer = json(200, {})
      void Promise.resolve().then(() => {}).then(() => {}).then(() => {
        closed = server.close(60_000)
      })
      return answer
    })
    const client = dial(server)
    client.write(post('{}'))
    expect(await client.rest()).toMatch(/^HTTP\/1.1 200 OK(?!.*connection: close)/s)
    await closed
  })

  test('waits for a request whose body is still on its way', async () => {
    const server = await serve(async ({ body }) => json(200, { body }))
    const client = dial(server)
    client.write('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n')
    await client.read(/100 Continue/)
    const closed = server.close(60_000)
    client.write('ok')
    expect(await client.rest()).toMatch(/200 OK.*\{"body":"ok"\}$/s)
    await closed
  })
})

test('a port that is taken is named', async () => {
  const { port } = await serve(async () => json(200, {}))
  await expect(serve(async () => json(200, {}), { port })).rejects.toMatchObject({ code: 'PORT_BUSY', message: `port ${port} on 127.0.0.1 is in use` })
})

test('a host that is not ours is refused', async () => {
  await expect(serve(async () => json(200, {}), { host: '192.0.2.1' })).rejects.toMatchObject({ code: 'LISTEN_FAILED' })
})

test('the url is the one to call', async () => {
  const server = await serve(async () => json(200, {}))
  expect(server).toMatchObject({ host: '127.0.0.1', url: `http://127.0.0.1:${server.port}` })
})
