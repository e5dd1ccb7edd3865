import { getEventListeners } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { setImmediate as immediate } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { SystemClock, VirtualClock } from '../src/clock.ts'
import { ANSWER_BYTES_LIMIT, CLIENT_KEEP_ALIVE_MS, HttpNetwork } from '../src/http-client.ts'
import { SERVER_KEEP_ALIVE_MS, serveHttp } from '../src/http-server.ts'
import { type HttpRequest, json, type Service } from '../src/network.ts'

const clock = new SystemClock()
/** For calls that must not time out. */
const AMPLE_MS = 5_000
/** For calls that must. */
const SHORT_MS = 60

const charge: HttpRequest = { method: 'POST', path: '/charges', headers: { 'content-type': 'application/json', 'idempotency-key': 'k1' }, body: '{"amount":9900}' }

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

/** A raw service that does to each connection whatever the test wants. */
async function raw(behave: (socket: Socket, nth: number) => void): Promise<{ url: string; connections: () => number }> {
  let connections = 0
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket)
    socket.on('error', () => {}) // the tests break connections on purpose
    socket.on('close', () => open.delete(socket))
    behave(socket, ++connections)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}`, connections: () => connections }
}

function network(url: string, connectionsPerService?: number): HttpNetwork {
  const made = new HttpNetwork({ clock, services: { bank: url }, connectionsPerService })
  cleanups.push(() => made.close())
  return made
}

async function served(service: Service): Promise<string> {
  const server = await serveHttp(service, { clock })
  cleanups.push(() => server.close(0))
  return server.url
}

/** A port on which nobody listens. */
async function nobody(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

/** Once the whole request was read. */
function afterRequest(then: (socket: Socket) => void): (socket: Socket) => void {
  return (socket) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
      if (text.endsWith(charge.body)) then(socket)
    })
  }
}

/** Writes the bytes, then ends `how` once the client has had time to read them: an RST glued to data arrives as a FIN. */
const says = (text: string, how?: 'fin' | 'rst') => afterRequest((socket) => {
  socket.write(text, () => {
    if (how === 'fin') socket.end()
    else if (how === 'rst') clock.after(20, () => socket.resetAndDestroy())
  })
})

describe('the phase in which an exchange ends decides its outcome', () => {
  const rows: { name: string; behave?: (socket: Socket) => void; timeoutMs?: number; request?: Partial<HttpRequest>; outcome: string }[] = [
    { name: 'nobody listens', outcome: 'failed REFUSED' },
    { name: 'a path that cannot be written', request: { path: '/a b' }, behave: () => {}, outcome: 'failed INVALID_REQUEST' },
    { name: 'a header with a line break in it', request: { headers: { x: 'a\r\nb: c' } }, behave: () => {}, outcome: 'failed INVALID_REQUEST' },
    { name: 'a path that is none', request: { path: 'http://elsewhere/' }, behave: () => {}, outcome: 'failed INVALID_REQUEST' },
    { name: 'a method that is none', request: { method: 'PO ST' }, behave: () => {}, outcome: 'failed INVALID_REQUEST' },
    { name: 'a header name that is none', request: { headers: { 'x y': '1' } }, behave: () => {}, outcome: 'failed INVALID_REQUEST' },
    ...['connection', 'content-length', 'expect', 'keep-alive', 'transfer-encoding', 'upgrade'].map((name) => (
      { name: `the caller's own ${name}`, request: { headers: { [name]: '15' } }, behave: () => {}, outcome: 'failed INVALID_REQUEST' }
    )),
    { name: 'reset before the request was read', behave: (socket) => void clock.after(20, () => socket.resetAndDestroy()), outcome: 'unknown RESET' },
    { name: 'FIN before the request was read', behave: (socket) => socket.end(), outcome: 'unknown RESET' },
    { name: 'reset after the request was read', behave: says('', 'rst'), outcome: 'unknown RESET' },
    { name: 'FIN after the request was read', behave: says('', 'fin'), outcome: 'unknown RESET' },
    { name: 'FIN inside the head', behave: says('HTTP/1.1 200 OK\r\nContent-Le', 'fin'), outcome: 'unknown RESET' },
    { name: 'an interim answer, then FIN', behave: says('HTTP/1.1 103 Early Hints\r\n\r\n', 'fin'), outcome: 'unknown RESET' },
    { name: 'FIN inside Content-Length', behave: says('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"id":', 'fin'), outcome: 'unknown TRUNCATED' },
    { name: 'FIN inside Content-Length, announced as the last answer', behave: says('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 20\r\n\r\n{"id":', 'fin'), outcome: 'unknown TRUNCATED' },
    { name: 'RST inside Content-Length', behave: says('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"id":', 'rst'), outcome: 'unknown TRUNCATED' },
    { name: 'FIN before the last chunk', behave: says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"id"\r\n', 'fin'), outcome: 'unknown TRUNCATED' },
    { name: 'FIN before the last chunk, announced as the last answer', behave: says('HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"id"\r\n', 'fin'), outcome: 'unknown TRUNCATED' },
    { name: 'RST before the last chunk', behave: says('HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"id"\r\n', 'rst'), outcome: 'unknown TRUNCATED' },
    { name: 'garbage', behave: says('220 mail ready\r\n\r\n'), outcome: 'unknown MALFORMED' },
    { name: 'two lengths', behave: says('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}'), outcome: 'unknown MALFORMED' },
    { name: 'a length and chunks', behave: says('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n'), outcome: 'unknown MALFORMED' },
    { name: 'a chunk size that is no number', behave: says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'), outcome: 'unknown MALFORMED' },
    { name: 'a body that is not UTF-8', behave: afterRequest((socket) => socket.write(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe', 'latin1'))), outcome: 'unknown MALFORMED' },
    { name: 'a body over the limit', behave: says(`HTTP/1.1 200 OK\r\nContent-Length: ${ANSWER_BYTES_LIMIT + 1}\r\n\r\n${'x'.repeat(ANSWER_BYTES_LIMIT + 1)}`), outcome: 'unknown ANSWER_TOO_LARGE' },
    { name: 'a head over the limit', behave: says(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`), outcome: 'unknown ANSWER_TOO_LARGE' },
    { name: 'silence', timeoutMs: SHORT_MS, behave: () => {}, outcome: 'unknown TIMEOUT' },
    { name: 'a head, then silence', timeoutMs: SHORT_MS, behave: says('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n'), outcome: 'unknown TIMEOUT' },
    { name: 'nothing but interim answers', timeoutMs: SHORT_MS, behave: says('HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n'), outcome: 'unknown TIMEOUT' },
    { name: 'no time at all', timeoutMs: 0, behave: () => {}, outcome: 'failed TIMEOUT' },
    { name: 'an interim answer, then the answer', behave: says('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}'), outcome: 'ok 201' },
    { name: 'a body at the limit', behave: says(`HTTP/1.1 200 OK\r\nContent-Length: ${ANSWER_BYTES_LIMIT}\r\n\r\n${'x'.repeat(ANSWER_BYTES_LIMIT)}`), outcome: 'ok 200' },
    { name: 'a chunked answer', behave: says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n'), outcome: 'ok 200' },
    { name: 'an answer that ends with its connection', behave: says('HTTP/1.0 200 OK\r\n\r\n{}', 'fin'), outcome: 'ok 200' },
    { name: 'a server error, whole', behave: says('HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n'), outcome: 'ok 500' },
  ]
  test.each(rows)('$name: $outcome', async ({ behave, request, timeoutMs = AMPLE_MS, outcome }) => {
    const url = behave ? (await raw(behave)).url : await nobody()
    const told = await network(url).call('bank', { ...charge, ...request }, { timeoutMs })
    expect(told.kind === 'ok' ? `ok ${told.value.status}` : `${told.kind} ${told.error.code}`).toBe(outcome)
  })
})

test('an answer comes back as it was given, without the interim one: status, names in lower case, a repeated header joined, text as UTF-8', async () => {
  const body = '{"name":"Zoë ✓"}'
  const { url } = await raw(says(`HTTP/1.1 103 Early Hints\r\nX-Hint: a\r\n\r\nHTTP/1.1 402 No\r\nX-Reason: a\r\nx-reason: b\r\nConstructor: c\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`))
  const told = await network(url).call('bank', charge, { timeoutMs: AMPLE_MS })
  expect(told).toEqual({ kind: 'ok', value: { status: 402, headers: { 'x-reason': 'a, b', constructor: 'c', 'content-length': String(Buffer.byteLength(body)) }, body } })
})

test('a request arrives as it was given, below the path of the base URL', async () => {
  const seen: HttpRequest[] = []
  const url = await served(async (request) => {
    seen.push(request)
    return json(200, {})
  })
  const base = network(`${url}/v1/bank/`)
  await base.call('bank', { ...charge, path: '/charges?dry=1' }, { timeoutMs: AMPLE_MS })
  await base.call('bank', { method: 'GET', path: '/charges', headers: {}, body: '' }, { timeoutMs: AMPLE_MS })
  expect(seen[0]).toMatchObject({ method: 'POST', path: '/v1/bank/charges?dry=1', body: charge.body, headers: { 'idempotency-key': 'k1', 'content-length': '15' } })
  expect(seen[1]).toMatchObject({ method: 'GET', path: '/v1/bank/charges', body: '' })
  expect(seen[1]!.headers).not.toHaveProperty('content-length')
})

test('a call that waits for a free connection until its time is up has failed, and is never sent', async () => {
  let requests = 0
  let release = () => {}
  const url = await served(async () => {
    requests++
    await new Promise<void>((resolve) => {
      release = resolve
    })
    return json(200, {})
  })
  const narrow = network(url, 1)
  const first = narrow.call('bank', charge, { timeoutMs: AMPLE_MS })
  expect(await narrow.call('bank', charge, { timeoutMs: SHORT_MS })).toMatchObject({ kind: 'failed', error: { code: 'TIMEOUT' } })
  release()
  expect(await first).toMatchObject({ kind: 'ok' })
  const next = narrow.call('bank', charge, { timeoutMs: AMPLE_MS })
  while (requests < 2) await clock.sleep(1)
  release()
  expect(await next).toMatchObject({ kind: 'ok' })
  expect(requests).toBe(2)
})

test('an answer after the timeout is not taken for the next call\'s', async () => {
  const { url, connections } = await raw((socket) => {
    socket.once('data', () => clock.after(2 * SHORT_MS, () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate')))
  })
  const one = network(url, 1)
  expect(await one.call('bank', charge, { timeoutMs: SHORT_MS })).toMatchObject({ kind: 'unknown', error: { code: 'TIMEOUT' } })
  expect(await one.call('bank', charge, { timeoutMs: AMPLE_MS })).toMatchObject({ kind: 'ok' })
  expect(connections()).toBe(2)
})

test('the caller\'s signal ends a call: unknown once it was sent, failed before', async () => {
  let arrived = () => {}
  const reading = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const { url } = await raw(afterRequest(() => arrived()))
  const one = network(url, 1)
  const gone = new AbortController()
  const sent = one.call('bank', charge, { timeoutMs: AMPLE_MS, signal: gone.signal })
  await reading
  const queued = one.call('bank', charge, { timeoutMs: AMPLE_MS, signal: gone.signal })
  gone.abort()
  expect(await sent).toMatchObject({ kind: 'unknown', error: { code: 'ABORTED' } })
  expect(await queued).toMatchObject({ kind: 'failed', error: { code: 'ABORTED' } })
  expect(await one.call('bank', charge, { timeoutMs: AMPLE_MS, signal: gone.signal })).toMatchObject({ kind: 'failed', error: { code: 'ABORTED' } })
})

test('a signal that outlives its calls keeps nothing of them', async () => {
  const one = network(await served(async () => json(200, {})))
  const { signal } = new AbortController()
  expect(await one.call('bank', charge, { timeoutMs: AMPLE_MS, signal })).toMatchObject({ kind: 'ok' })
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('closing the network ends what is under way by its phase, and what comes later', async () => {
  let arrived = () => {}
  const reading = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const { url } = await raw(afterRequest(() => arrived()))
  const one = network(url, 1)
  const sent = one.call('bank', charge, { timeoutMs: AMPLE_MS })
  await reading
  const queued = one.call('bank', charge, { timeoutMs: AMPLE_MS })
  await one.close()
  expect(await sent).toMatchObject({ kind: 'unknown', error: { code: 'CLOSED' } })
  expect(await queued).toMatchObject({ kind: 'failed', error: { code: 'CLOSED' } })
  expect(await one.call('bank', charge, { timeoutMs: AMPLE_MS })).toMatchObject({ kind: 'failed', error: { code: 'CLOSED' } })
  await one.close()
})

test('the queue has an end: past it a call fails at once', async () => {
  let arrived = () => {}
  const reading = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const { url } = await raw(afterRequest(() => arrived()))
  const one = network(url, 1)
  const busy = one.call('bank', charge, { timeoutMs: AMPLE_MS })
  await reading
  const queued = Array.from({ length: 4096 }, () => one.call('bank', charge, { timeoutMs: AMPLE_MS }))
  expect(await one.call('bank', charge, { timeoutMs: AMPLE_MS })).toMatchObject({ kind: 'failed', error: { code: 'QUEUE_FULL' } })
  await one.close()
  await Promise.all([busy, ...queued])
})

test('a place in the queue is free again once its call was sent, or nobody took it', async () => {
  for (const [url, kind] of [[await served(async () => json(200, {})), 'ok'], [await nobody(), 'failed REFUSED']] as const) {
    const one = network(url, 8)
    for (let i = 0; i < 2; i++) {
      const told = await Promise.all(Array.from({ length: 2100 }, () => one.call('bank', charge, { timeoutMs: AMPLE_MS })))
      expect(new Set(told.map((outcome) => (outcome.kind === 'ok' ? 'ok' : `${outcome.kind} ${outcome.error.code}`)))).toEqual(new Set([kind]))
    }
  }
})

test('requests that cannot be sent do not stand in the way of those that can', async () => {
  const one = network(await served(async () => json(200, {})), 1)
  expect(await one.call('bank', { ...charge, path: '/a b' }, { timeoutMs: AMPLE_MS })).toMatchObject({ kind: 'failed', error: { code: 'INVALID_REQUEST', message: 'path "/a b" cannot be sent' } })
  expect(await one.call('bank', charge, { timeoutMs: AMPLE_MS })).toMatchObject({ kind: 'ok' })
})

test('a service that closes an idle connection costs no call', async () => {
  const { url, connections } = await raw(says('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}', 'fin'))
  const one = network(url, 1)
  for (let i = 1; i <= 5; i++) {
    expect(await one.call('bank', charge, { timeoutMs: AMPLE_MS })).toMatchObject({ kind: 'ok' })
    await clock.sleep(5)
  }
  expect(connections()).toBe(5)
})

test('calls one after the other reuse connections', async () => {
  const { url, connections } = await raw(says('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'))
  const one = network(url)
  for (let i = 1; i <= 10; i++) expect(await one.call('bank', charge, { timeoutMs: AMPLE_MS })).toMatchObject({ kind: 'ok' })
  expect(connections()).toBeLessThanOrEqual(2) // the pool lets a connection rest for one turn of the event loop before it gives it out again
})

test('the client is the first to let an idle connection go, whatever the service hints', async () => {
  expect(CLIENT_KEEP_ALIVE_MS).toBeLessThan(SERVER_KEEP_ALIVE_MS / 2)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  cleanups.push(() => vi.useRealTimers())
  let left = () => {}
  const gone = new Promise<void>((resolve) => {
    left = resolve
  })
  const { url } = await raw((socket) => {
    socket.on('end', () => left())
    says('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=600\r\nContent-Length: 2\r\n\r\n{}')(socket)
  })
  expect(await network(url).call('bank', charge, { timeoutMs: AMPLE_MS })).toMatchObject({ kind: 'ok' })
  await immediate() // the pool looks at the connection again at the end of this turn, and starts its timer
  await immediate()
  vi.advanceTimersByTime(CLIENT_KEEP_ALIVE_MS)
  await gone
})

test('a call takes its time from the clock that it was given, and leaves no timer behind', async () => {
  const { url } = await raw(says('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'))
  const waiting = new Set<number>()
  let timers = 0
  const virtual = new VirtualClock()
  const watched = Object.assign(Object.create(virtual) as VirtualClock, {
    after(ms: number, run: () => void) {
      const timer = ++timers
      waiting.add(timer)
      const cancel = virtual.after(ms, run)
      return () => {
        waiting.delete(timer)
        cancel()
      }
    },
  })
  const one = new HttpNetwork({ clock: watched, services: { bank: url } })
  cleanups.push(() => one.close())
  expect(await one.call('bank', charge, { timeoutMs: 1 })).toMatchObject({ kind: 'ok' })
  expect({ timers, waiting: waiting.size }).toEqual({ timers: 1, waiting: 0 })
})

test('a wrong use is thrown: a service that nobody named, a base URL that is none', async () => {
  await expect(network('http://127.0.0.1:1').call('bnak', charge, { timeoutMs: 1 })).rejects.toMatchObject({ code: 'UNKNOWN_SERVICE', hint: 'known: bank' })
  for (const url of ['127.0.0.1:80', 'ftp://127.0.0.1', 'http://u:p@127.0.0.1', 'http://127.0.0.1/?q=1', '']) {
    expect(() => new HttpNetwork({ clock, services: { bank: url } }), url).toThrow(expect.objectContaining({ code: 'INVALID_URL' }))
  }
})
