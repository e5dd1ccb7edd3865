import { execFileSync } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { SystemClock } from '../src/clock.ts'
import type { HttpRequest, Outcome } from '../src/network.ts'
import { BODY_KEPT, BODY_READ_LIMIT, type Lookup, type OpenAnswer, OpenNetwork, type OpenNetworkOptions } from '../src/open-network.ts'

const clock = new SystemClock()
/** For calls that must not time out. */
const AMPLE_MS = 10_000
/** For calls that must. */
const SHORT_MS = 150

const delivery: HttpRequest = { method: 'POST', path: '/hook?x=1', headers: { 'content-type': 'application/json', 'webhook-id': 'msg_1' }, body: '{"n":1}' }

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

interface Receiver {
  port: number
  http: string
  https: string
  connections: number
  /** Bytes that came from the client, in all. */
  bytes: number
  requests: number
  open: Set<Socket>
  /** Resolves once no connection is open. */
  empty(): Promise<void>
}

/** A raw receiver that does to each connection whatever the test wants; `nth` counts them from 1. */
async function receiver(behave: (socket: Socket, nth: number) => void, tls?: TlsOptions): Promise<Receiver> {
  const wakers: (() => void)[] = []
  const serve = (socket: Socket) => {
    told.open.add(socket)
    socket.on('error', () => {}) // the tests break connections on purpose
    socket.on('data', (chunk) => {
      told.bytes += chunk.length
    })
    socket.on('close', () => {
      told.open.delete(socket)
      if (told.open.size === 0) for (const wake of wakers.splice(0)) wake()
    })
    behave(socket, ++told.connections)
  }
  const server: Server = tls ? createTlsServer(tls, serve).on('tlsClientError', () => {}) : createServer(serve)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const told: Receiver = {
    port, http: `http://127.0.0.1:${port}`, https: `https://hooks.test:${port}`, connections: 0, bytes: 0, requests: 0, open: new Set(),
    empty: () => (told.open.size === 0 ? Promise.resolve() : new Promise((resolve) => wakers.push(resolve))),
  }
  cleanups.push(() => {
    for (const socket of told.open) socket.destroy()
    server.close()
  })
  return told
}

const toLoopback: Lookup = async () => [{ address: '127.0.0.1', family: 4 }]

function network(options: Partial<OpenNetworkOptions> = {}): OpenNetwork {
  const made = new OpenNetwork({ clock, allow: ['127.0.0.1/32'], lookup: toLoopback, ...options })
  cleanups.push(() => made.close())
  return made
}

/** Calls `answer` for each request once it was read whole; `nth` counts those of the connection from 1. */
function onRequest(answer: (socket: Socket, nth: number) => void): (socket: Socket) => void {
  return (socket) => {
    let text = ''
    let nth = 0
    socket.on('data', (chunk) => {
      text += chunk
      while (text.includes(delivery.body)) {
        text = text.slice(text.indexOf(delivery.body) + delivery.body.length)
        answer(socket, ++nth)
      }
    })
  }
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** Says the bytes, then ends `how` once the client has had time to read them: an RST glued to data arrives as a FIN. */
const says = (text: string, how?: 'fin' | 'rst') => onRequest((socket) => {
  socket.write(text, () => {
    if (how === 'fin') socket.end()
    else if (how === 'rst') clock.after(20, () => socket.resetAndDestroy())
  })
})

/** Says the piece again and again, every few ms, after a beginning. */
const dribbles = (beginning: string, piece: string, everyMs = 10) => onRequest((socket) => {
  socket.write(beginning)
  const again = () => {
    if (socket.destroyed) return
    socket.write(piece)
    clock.after(everyMs, again)
  }
  again()
})

/** Says the piece for as long as anybody reads. */
const floods = (beginning: string, piece: string) => onRequest((socket) => {
  socket.write(beginning)
  const more = () => {
    while (!socket.destroyed && socket.write(piece)) {} // until it would have to wait
  }
  socket.on('drain', more)
  more()
})

const call = (open: OpenNetwork, origin: string, timeoutMs = AMPLE_MS, signal?: AbortSignal) => open.call(origin, delivery, { timeoutMs, signal })

function told(outcome: Outcome<OpenAnswer>): string {
  if (outcome.kind === 'ok') return `ok ${outcome.value.status}${outcome.value.cut ? ` ${outcome.value.cut}` : ''}`
  return `${outcome.kind} ${outcome.error.code}`
}

/** A port on which nobody listens. */
async function nobody(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

describe('the phase in which an exchange ends decides its outcome', () => {
  const rows: { name: string; behave?: (socket: Socket) => void; timeoutMs?: number; request?: Partial<HttpRequest>; outcome: string }[] = [
    { name: 'nobody listens', outcome: 'failed REFUSED' },
    { name: 'a path that cannot be written', request: { path: '/a b' }, behave: says(OK), outcome: 'failed INVALID_REQUEST' },
    { name: '117: its own host', request: { headers: { host: 'bank.test' } }, behave: says(OK), outcome: 'failed INVALID_REQUEST' },
    { name: '117: its own host, in capitals', request: { headers: { Host: 'bank.test' } }, behave: says(OK), outcome: 'failed INVALID_REQUEST' },
    { name: '117: its own length', request: { headers: { 'content-length': '7' } }, behave: says(OK), outcome: 'failed INVALID_REQUEST' },
    { name: '116: a line break in a header', request: { headers: { x: 'a\r\nwebhook-id: b' } }, behave: says(OK), outcome: 'failed INVALID_REQUEST' },
    { name: 'no time at all', timeoutMs: 0, behave: says(OK), outcome: 'failed TIMEOUT' },
    { name: 'reset before the request was read', behave: (socket) => void clock.after(20, () => socket.resetAndDestroy()), outcome: 'unknown RESET' },
    { name: 'FIN before the request was read', behave: (socket) => socket.end(), outcome: 'unknown RESET' },
    { name: 'W-RST-AFTER-BODY: reset after the request was read', behave: says('', 'rst'), outcome: 'unknown RESET' },
    { name: 'FIN after the request was read', behave: says('', 'fin'), outcome: 'unknown RESET' },
    { name: 'W-PARTIAL: FIN inside the head', behave: says('HTTP/1.1 200 OK\r\nContent-Le', 'fin'), outcome: 'unknown RESET' },
    { name: 'W-PARTIAL: RST inside the head', behave: says('HTTP/1.1 200 OK\r\nContent-Le', 'rst'), outcome: 'unknown RESET' },
    { name: 'an interim answer, then FIN', behave: says('HTTP/1.1 103 Early Hints\r\n\r\n', 'fin'), outcome: 'unknown RESET' },
    { name: 'W-PARTIAL: FIN inside Content-Length', behave: says('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"id":', 'fin'), outcome: 'ok 200 broken' },
    { name: 'W-PARTIAL: FIN inside Content-Length, announced as the last answer', behave: says('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 20\r\n\r\n{"id":', 'fin'), outcome: 'ok 200 broken' },
    { name: 'W-PARTIAL: RST inside Content-Length', behave: says('HTTP/1.1 503 No\r\nContent-Length: 20\r\n\r\n{"id":', 'rst'), outcome: 'ok 503 broken' },
    { name: 'W-PARTIAL: FIN before the last chunk', behave: says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"id"\r\n', 'fin'), outcome: 'ok 200 broken' },
    { name: 'a chunk size that is no number', behave: says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'), outcome: 'ok 200 broken' },
    { name: 'endless trailers', behave: floods('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n', `x: ${'y'.repeat(1000)}\r\n`), outcome: 'ok 200 broken' },
    { name: 'garbage', behave: says('220 mail ready\r\n\r\n'), outcome: 'unknown MALFORMED' },
    { name: 'two lengths', behave: says('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}'), outcome: 'unknown MALFORMED' },
    { name: 'another protocol', behave: says('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'), outcome: 'unknown MALFORMED' },
    { name: '100 that nobody asked for', behave: says('HTTP/1.1 100 Continue\r\n\r\n'), outcome: 'unknown MALFORMED' },
    { name: 'W-BIG-HEADERS: a head over the limit', behave: says(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`), outcome: 'unknown ANSWER_TOO_LARGE' },
    { name: 'W-BIG-HEADERS: a head without an end', behave: floods('HTTP/1.1 200 OK\r\n', `x: ${'y'.repeat(1000)}\r\n`), outcome: 'unknown ANSWER_TOO_LARGE' },
    { name: 'W-1XX-FLOOD: interim answers as fast as they can be read', behave: floods('', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(100)), outcome: 'unknown ANSWER_TOO_LARGE' },
    { name: 'W-1XX-FLOOD: interim answers, slowly', timeoutMs: SHORT_MS, behave: dribbles('', 'HTTP/1.1 102 Processing\r\n\r\n'), outcome: 'unknown TIMEOUT' },
    { name: 'silence', timeoutMs: SHORT_MS, behave: () => {}, outcome: 'unknown TIMEOUT' },
    { name: 'a head, then silence', timeoutMs: SHORT_MS, behave: says('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n'), outcome: 'ok 200 slow' },
    { name: 'an endless line of status', timeoutMs: SHORT_MS, behave: floods('HTTP/1.1 200 ', 'x'.repeat(10_000)), outcome: 'unknown TIMEOUT' },
    { name: 'an interim answer, then the answer', behave: says('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}'), outcome: 'ok 201' },
    { name: 'an answer that ends with its connection', behave: says('HTTP/1.0 200 OK\r\n\r\n{}', 'fin'), outcome: 'ok 200' },
    { name: '204', behave: says('HTTP/1.1 204 No Content\r\n\r\n'), outcome: 'ok 204' },
    { name: '204 with the length of a body', behave: says('HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n'), outcome: 'ok 204 broken' },
    { name: 'a status that nobody knows', behave: says('HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n'), outcome: 'ok 999' },
    { name: 'a server error, whole', behave: says('HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n'), outcome: 'ok 500' },
  ]
  test.each(rows)('$name: $outcome', async ({ behave, request, timeoutMs = AMPLE_MS, outcome }) => {
    const target = behave && await receiver(behave)
    const origin = target?.http ?? `http://127.0.0.1:${await nobody()}`
    expect(told(await network().call(origin, { ...delivery, ...request }, { timeoutMs }))).toBe(outcome)
    if (!/^ok \d+$/.test(outcome)) await target?.empty() // nothing is left of what went wrong
  })
})

test('an answer comes back as it was given: status, names in lower case, a repeated header joined, text as UTF-8', async () => {
  const body = '{"name":"Zoë ✓"}'
  const { http } = await receiver(says(`HTTP/1.1 402 No\r\nX-Reason: a\r\nx-reason: b\r\nRetry-After: 7\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`))
  expect(await call(network(), http)).toEqual({ kind: 'ok', value: { status: 402, headers: { 'x-reason': 'a, b', 'retry-after': '7', 'content-length': String(Buffer.byteLength(body)) }, body } })
})

test('a request arrives as it was given', async () => {
  let text = ''
  const { http, port } = await receiver((socket) => {
    socket.on('data', (chunk) => {
      text += chunk
      if (text.endsWith('✓')) socket.write(OK)
    })
  })
  await network().call(http, { ...delivery, body: '✓' }, { timeoutMs: AMPLE_MS })
  expect(text).toBe(`POST /hook?x=1 HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: keep-alive\r\ncontent-type: application/json\r\nwebhook-id: msg_1\r\ncontent-length: 3\r\n\r\n✓`)
})

test('of many headers the first hundred are kept', async () => {
  const { http } = await receiver(says(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${Array.from({ length: 500 }, (_, i) => `x${i}: a\r\n`).join('')}\r\n`))
  const outcome = await call(network(), http)
  expect(outcome.kind === 'ok' && Object.keys(outcome.value.headers)).toHaveLength(100)
})

test('what is no origin is not called', async () => {
  const { http, port, connections } = await receiver(says(OK))
  const open = network()
  for (const service of ['', 'hooks.test', `${http}/`, `${http}/path`, `http://127.1:${port}`, `http://u:p@127.0.0.1:${port}`, 'ftp://127.0.0.1', 'HTTP://127.0.0.1', 'http://127.0.0.1:80']) {
    expect([service, told(await call(open, service))]).toEqual([service, 'failed INVALID_REQUEST'])
  }
  expect(connections).toBe(0)
})

describe('one time for everything', () => {
  test('W-TIMEOUT: a receiver that does not answer is left when the time is up, and its connection is closed', async () => {
    const target = await receiver(() => {})
    const begun = clock.monotonic()
    expect(told(await call(network(), target.http, 300))).toBe('unknown TIMEOUT')
    expect(clock.monotonic() - begun).toBeGreaterThanOrEqual(299)
    expect(clock.monotonic() - begun).toBeLessThan(800)
    await target.empty()
  })

  test('W-SLOWLORIS-H, 118: a head that comes byte by byte ends at the deadline, and its connection with it', async () => {
    const target = await receiver(dribbles('HTTP/1.1 200 OK\r\nx: ', 'y'))
    const begun = clock.monotonic()
    expect(told(await call(network(), target.http, 300))).toBe('unknown TIMEOUT')
    expect(clock.monotonic() - begun).toBeLessThan(800)
    await target.empty()
  })

  test('W-SLOWLORIS-B, 118: of a body that comes byte by byte the status counts', async () => {
    const target = await receiver(dribbles('HTTP/1.1 200 OK\r\nRetry-After: 5\r\n\r\n', 'y'))
    const outcome = await call(network(), target.http, 300)
    expect(outcome).toMatchObject({ kind: 'ok', value: { status: 200, cut: 'slow', headers: { 'retry-after': '5' }, body: expect.stringMatching(/^y+$/) as string } })
    await target.empty()
  })

  test('118: receivers that hang keep nobody else waiting', async () => {
    const evil = await receiver(dribbles('HTTP/1.1 200 OK\r\n', 'x: y\r\n'))
    const good = await receiver(says(OK))
    const open = network()
    let evilEnded = 0
    const hanging = Promise.all(Array.from({ length: 100 }, () => call(open, evil.http, 2_000).then((outcome) => {
      evilEnded++
      return told(outcome)
    })))
    const answered = await Promise.all(Array.from({ length: 500 }, () => call(open, good.http, 2_000)))
    expect(evilEnded).toBe(0)
    expect(new Set(answered.map(told))).toEqual(new Set(['ok 200']))
    expect(evil.connections).toBe(100)
    const ends = await hanging
    expect(ends.filter((end) => end.endsWith(' TIMEOUT'))).toHaveLength(100)
    await evil.empty()
  })
})

describe('answers are bounded', () => {
  test('W-BIG-RESP, 118: of a body of 10 GiB little is read, the connection is closed, and the heap stays flat', async () => {
    const target = await receiver(floods(`HTTP/1.1 200 OK\r\nContent-Length: ${10 * 1024 ** 3}\r\n\r\n`, 'z'.repeat(64 * 1024)))
    const sent: number[] = []
    const open = network()
    const one = async () => {
      const outcome = await call(open, target.http)
      expect(outcome).toMatchObject({ kind: 'ok', value: { status: 200, cut: 'too_large', body: 'z'.repeat(BODY_KEPT) } })
      for (const socket of target.open) sent.push(socket.bytesWritten)
      await target.empty()
    }
    for (let i = 0; i < 10; i++) await one()
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < 50; i++) await one()
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(30 * 1024 * 1024)
    expect(target.connections).toBe(60)
    expect(Math.max(...sent)).toBeLessThan(BODY_READ_LIMIT + 16 * 1024 * 1024) // what fits into the sockets' buffers comes on top
  })

  test('a body that is read whole but kept in part says so, and its connection is used again', async () => {
    const target = await receiver(says(`HTTP/1.1 200 OK\r\nContent-Length: ${BODY_READ_LIMIT}\r\n\r\n${'z'.repeat(BODY_READ_LIMIT)}`))
    const open = network()
    for (let i = 0; i < 3; i++) expect(told(await call(open, target.http))).toBe('ok 200 too_large')
    expect(target.connections).toBe(1)
  })

  test('a body as large as what is kept is whole; one byte over what is read costs the connection', async () => {
    const whole = await receiver(says(`HTTP/1.1 200 OK\r\nContent-Length: ${BODY_KEPT}\r\n\r\n${'z'.repeat(BODY_KEPT)}`))
    expect(told(await call(network(), whole.http))).toBe('ok 200')
    const over = await receiver(says(`HTTP/1.1 200 OK\r\nContent-Length: ${BODY_READ_LIMIT + 1}\r\n\r\n${'z'.repeat(BODY_READ_LIMIT + 1)}`))
    expect(told(await call(network(), over.http))).toBe('ok 200 too_large')
    await over.empty()
  })

  test('W-GZIP-BOMB: a compressed body is given as it came', async () => {
    const bomb = gzipSync(Buffer.alloc(10 * 1024 * 1024))
    expect(bomb.length).toBeLessThan(BODY_KEPT)
    const target = await receiver(onRequest((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`)
      socket.write(bomb)
    }))
    const outcome = await call(network(), target.http)
    expect(outcome).toMatchObject({ kind: 'ok', value: { status: 200, headers: { 'content-encoding': 'gzip' }, body: bomb.toString() } })
  })
})

describe('redirects are answers', () => {
  test.each([
    ['W-REDIR-301', 301, true], ['W-REDIR-302, 112', 302, true], ['W-REDIR-303', 303, true], ['W-REDIR-307', 307, true], ['W-REDIR-308', 308, true], ['W-304', 304, true], ['W-300-noloc', 300, false],
  ])('%s: the place that it names is never contacted', async (_, status, located) => {
    const trap = await receiver(says(OK))
    const target = await receiver(says(`HTTP/1.1 ${status} Elsewhere\r\n${located ? `Location: ${trap.http}/\r\n` : ''}Content-Length: 0\r\n\r\n`))
    expect(await call(network(), target.http)).toMatchObject({ kind: 'ok', value: { status } })
    expect(trap.connections).toBe(0)
    expect(target.connections).toBe(1)
  })

  test('W-SSRF-redirect, 112 and 118: one that leads to itself for ever is one answer', async () => {
    let requests = 0
    const target = await receiver(onRequest((socket) => {
      requests++
      socket.write('HTTP/1.1 302 Found\r\nLocation: /hook?x=1\r\nContent-Length: 0\r\n\r\n')
    }))
    expect(told(await call(network(), target.http))).toBe('ok 302')
    expect(requests).toBe(1)
  })
})

describe('connections', () => {
  test('are used again, and never more than allowed', async () => {
    const target = await receiver(says(OK))
    const open = network({ connectionsPerOrigin: 3 })
    const outcomes = await Promise.all(Array.from({ length: 40 }, () => call(open, target.http)))
    expect(new Set(outcomes.map(told))).toEqual(new Set(['ok 200']))
    expect(target.connections).toBe(3)
  })

  test('are not used beyond the time for which the server keeps them', async () => {
    const brief = await receiver(says('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n'))
    const long = await receiver(says('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=60\r\nContent-Length: 0\r\n\r\n'))
    const open = network()
    for (const target of [brief, long]) for (let i = 0; i < 3; i++) expect(told(await call(open, target.http))).toBe('ok 200')
    expect(brief.connections).toBe(3)
    expect(long.connections).toBe(1)
  })

  test('a call that waits for one until its time is up has failed, and is never sent', async () => {
    let requests = 0
    const target = await receiver(onRequest((socket) => {
      if (++requests > 1) socket.write(OK)
    }))
    const open = network({ connectionsPerOrigin: 1 })
    const first = call(open, target.http, 400)
    expect(told(await call(open, target.http, SHORT_MS))).toBe('failed TIMEOUT')
    expect(told(await first)).toBe('unknown TIMEOUT')
    expect(told(await call(open, target.http))).toBe('ok 200')
    expect(requests).toBe(2)
  })

  test('few may wait; those that gave up do not count', async () => {
    const target = await receiver(() => {})
    const open = network({ connectionsPerOrigin: 1 })
    const signal = new AbortController()
    const calls = Array.from({ length: 1025 }, () => call(open, target.http, AMPLE_MS, signal.signal))
    expect(told(await call(open, target.http))).toBe('failed QUEUE_FULL')
    expect(getEventListeners(signal.signal, 'abort')).toHaveLength(1)
    signal.abort()
    const ends = (await Promise.all(calls)).map(told)
    expect(ends.filter((end) => end === 'failed ABORTED').length).toBeGreaterThanOrEqual(1024)
    expect(told(await call(open, target.http, SHORT_MS))).toBe('unknown TIMEOUT')
  })

  test('a call whose caller gives up ends at once, and its connection with it; with a status it was answered', async () => {
    const target = await receiver(() => {})
    const open = network()
    const aborter = new AbortController()
    const asked = call(open, target.http, AMPLE_MS, aborter.signal)
    const [socket] = await reached(target)
    await once(socket!, 'data')
    aborter.abort()
    expect(told(await asked)).toBe('unknown ABORTED')
    await target.empty()
    expect(told(await call(open, target.http, AMPLE_MS, aborter.signal))).toBe('failed ABORTED')
  })

  test('of many calls with one signal it ends those that are not over', async () => {
    const [good, silent] = [await receiver(says(OK)), await receiver(() => {})]
    const open = network()
    const aborter = new AbortController()
    const calls = [silent, good, silent, good, silent, good, good, silent].map(({ http }) => call(open, http, AMPLE_MS, aborter.signal).then(told))
    await Promise.all([1, 3, 5, 6].map((i) => calls[i]))
    aborter.abort()
    expect((await Promise.all(calls)).map((end) => end.split(' ')[1])).toEqual(['ABORTED', '200', 'ABORTED', '200', 'ABORTED', '200', '200', 'ABORTED'])
  })

  test('origins that nobody calls make room for new ones; those that are called do not', async () => {
    const targets = await Promise.all([1, 2, 3, 4].map(() => receiver(says(OK))))
    const silent = await receiver(() => {})
    const [a, b, c, d] = targets as [Receiver, Receiver, Receiver, Receiver]
    const open = network({ originsLimit: 3 })
    for (const { http } of [a, b, a, c]) expect(told(await call(open, http))).toBe('ok 200')
    expect(told(await call(open, d.http))).toBe('ok 200') // b was unused for longest
    await b.empty()
    expect([a.open.size, c.open.size, d.open.size]).toEqual([1, 1, 1])
    const hanging = [1, 2, 3].map(() => call(open, silent.http, 500))
    await a.empty()
    expect([c.open.size, d.open.size]).toEqual([1, 1])
    await Promise.all(hanging)
  })

  test('too many origins at once are refused', async () => {
    const [first, second] = [await receiver(() => {}), await receiver(says(OK))]
    const open = network({ originsLimit: 1 })
    const hanging = call(open, first.http, 200)
    expect(told(await call(open, second.http))).toBe('failed QUEUE_FULL')
    await hanging
    expect(told(await call(open, second.http))).toBe('ok 200')
  })

  test('close ends what is under way', async () => {
    const target = await receiver(() => {})
    const open = network({ connectionsPerOrigin: 1 })
    const sent = call(open, target.http)
    const waits = call(open, target.http)
    const [socket] = await reached(target)
    await once(socket!, 'data')
    await open.close()
    await open.close()
    expect([told(await sent), told(await waits), told(await call(open, target.http))]).toEqual(['unknown CLOSED', 'failed CLOSED', 'failed CLOSED'])
    await target.empty()
  })
})

/** The connections of a receiver once there is one. */
async function reached(target: Receiver): Promise<Socket[]> {
  while (target.open.size === 0) await new Promise<void>((resolve) => clock.after(0, resolve))
  return [...target.open]
}

describe('W-KEEPALIVE-RACE: a used connection that ends before one byte of the answer', () => {
  test('costs a second request on a fresh connection, and no failure', async () => {
    let requests = 0
    const target = await receiver(onRequest((socket, nth) => {
      requests++
      if (nth === 1) socket.write(OK)
      else socket.destroy()
    }))
    const open = network()
    expect(told(await call(open, target.http))).toBe('ok 200')
    expect(told(await call(open, target.http))).toBe('ok 200')
    expect([requests, target.connections]).toEqual([3, 2])
  })

  test('also when other used connections lie there, which have ended too', async () => {
    const target = await receiver(onRequest((socket, nth) => {
      if (nth === 1) clock.after(30, () => socket.write(OK))
      else socket.destroy()
    }))
    const open = network()
    for (let round = 0; round < 3; round++) {
      const outcomes = await Promise.all(Array.from({ length: 5 }, () => call(open, target.http)))
      expect(outcomes.map(told)).toEqual(Array(5).fill('ok 200'))
    }
  })

  test('also when every connection that is allowed is in use', async () => {
    const target = await receiver(onRequest((socket, nth) => {
      if (nth === 1) socket.write(OK)
      else socket.destroy()
    }))
    const open = network({ connectionsPerOrigin: 2 })
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => call(open, target.http)))
    expect(outcomes.map(told)).toEqual(Array(30).fill('ok 200'))
  })

  test('waits for a fresh one while used ones become free', async () => {
    const held: Socket[] = []
    const target = await receiver(onRequest((socket, nth) => {
      if (nth === 1) clock.after(20, () => socket.write(OK))
      else if (held.length === 0) held.push(socket)
      else socket.destroy()
    }))
    let openGate = () => {}
    const gate = new Promise<void>((resolve) => {
      openGate = resolve
    })
    let lookups = 0
    const open = network({ lookup: async () => {
      if (++lookups > 1) await gate
      return [{ address: '127.0.0.1', family: 4 }]
    } })
    const origin = `http://hooks.test:${target.port}`
    expect((await Promise.all([call(open, origin), call(open, origin)])).map(told)).toEqual(['ok 200', 'ok 200'])
    const slow = call(open, origin)
    while (held.length === 0) await clock.sleep(1)
    const raced = call(open, origin)
    while (lookups < 2) await clock.sleep(1) // it is on its second try
    held[0]!.write(OK)
    expect(told(await slow)).toBe('ok 200')
    await clock.sleep(20) // its connection is free now, and used
    openGate()
    expect(told(await raced)).toBe('ok 200')
    expect(target.connections).toBe(3)
  })

  test('a fresh connection gets no second try, nor does a used one once the answer has begun', async () => {
    let requests = 0
    const target = await receiver(onRequest((socket, nth) => {
      requests++
      if (nth === 2) socket.write('HTTP/1.1 2')
      if (nth === 1 && requests > 1) socket.write(OK)
      else clock.after(20, () => socket.destroy())
    }))
    const open = network()
    expect(told(await call(open, target.http))).toBe('unknown RESET')
    expect(requests).toBe(1)
    expect(told(await call(open, target.http))).toBe('ok 200')
    expect(told(await call(open, target.http))).toBe('unknown RESET')
    expect(requests).toBe(3)
  })

  test('the second try is the last, and when there is nobody for it the first one is still unknown', async () => {
    let requests = 0
    const target = await receiver(onRequest((socket) => {
      if (++requests === 1) socket.write(OK)
      else socket.destroy()
    }))
    const open = network()
    expect(told(await call(open, target.http))).toBe('ok 200')
    expect(told(await call(open, target.http))).toBe('unknown RESET')
    expect(requests).toBe(3)

    const server = createServer(onRequest((socket, nth) => {
      if (nth === 1) socket.write(OK)
      else {
        server.close()
        socket.destroy()
      }
    }))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const gone = `http://127.0.0.1:${(server.address() as { port: number }).port}`
    expect(told(await call(open, gone))).toBe('ok 200')
    const outcome = await call(open, gone)
    expect(told(outcome)).toBe('unknown RESET')
    expect(outcome.kind !== 'ok' && outcome.error.message).toContain('nobody listens')
  })

  test('the second try has what is left of the time', async () => {
    const target = await receiver((socket, connection) => onRequest((_, nth) => {
      if (connection === 1 && nth === 1) socket.write(OK)
      else if (connection === 1) socket.destroy()
    })(socket))
    const open = network()
    await call(open, target.http)
    const begun = clock.monotonic()
    expect(told(await call(open, target.http, 200))).toBe('unknown TIMEOUT')
    expect(clock.monotonic() - begun).toBeLessThan(600)
  })

  test('400 calls to a server that closes after 20 ms of idleness: nobody sees it', async () => {
    const target = await receiver((socket) => {
      let cancel = () => {}
      onRequest(() => {
        cancel()
        socket.write(OK)
        cancel = clock.after(20, () => socket.end())
      })(socket)
      socket.on('end', () => socket.end())
    })
    const open = network()
    const ends: string[] = []
    await Promise.all(Array.from({ length: 16 }, async (_, lane) => {
      for (let i = 0; i < 25; i++) {
        ends.push(told(await call(open, target.http)))
        await clock.sleep(19 + ((lane + i) % 4))
      }
    }))
    expect(ends).toEqual(Array(400).fill('ok 200'))
  })
})

describe('W-DNS: names', () => {
  const failing = (code: string): Lookup => () => Promise.reject(Object.assign(new Error(`query ${code}`), { code }))
  test.each<[string, Lookup, string]>([
    ['W-DNS-nxdomain', failing('ENOTFOUND'), 'failed DNS_NOT_FOUND'],
    ['no address', async () => [], 'failed DNS_NOT_FOUND'],
    ['no data', failing('ENODATA'), 'failed DNS_NOT_FOUND'],
    ['W-DNS-servfail', failing('ESERVFAIL'), 'failed DNS_FAILED'],
    ['try again', failing('EAI_AGAIN'), 'failed DNS_FAILED'],
    ['W-DNS-timeouts: the resolver says so', failing('ETIMEOUT'), 'failed DNS_FAILED'],
    ['W-DNS-timeouts: the resolver says nothing', () => new Promise(() => {}), 'failed DNS_FAILED'],
  ])('%s', async (_, lookup, outcome) => {
    expect(told(await call(network({ lookup }), 'https://hooks.test', SHORT_MS))).toBe(outcome)
    expect(told(await call(network({ lookup, connectLimitMs: SHORT_MS }), 'https://hooks.test'))).toBe(outcome)
  })

  test('a name that could not be resolved is asked for again', async () => {
    const target = await receiver(says(OK))
    let asked = 0
    const open = network({ lookup: async (name) => {
      expect(name).toBe('hooks.test')
      if (++asked === 1) throw Object.assign(new Error('no'), { code: 'ESERVFAIL' })
      return [{ address: '127.0.0.1', family: 4 }]
    } })
    expect(told(await call(open, `http://hooks.test:${target.port}`))).toBe('failed DNS_FAILED')
    expect(told(await call(open, `http://hooks.test:${target.port}`))).toBe('ok 200')
    expect(asked).toBe(2)
  })

  test('the system knows names too', async () => {
    const target = await receiver(says(OK))
    expect(told(await call(network({ lookup: undefined }), `http://localhost:${target.port}`))).toBe('ok 200')
    expect(told(await call(network({ lookup: undefined, allow: [] }), 'http://hooks.invalid'))).toMatch(/^failed DNS_/)
  })
})

describe('W-TLS', () => {
  let folder: string
  const pem: Record<string, string> = {}
  const credentials = (name: string): TlsOptions => ({ key: pem[`${name}.key`], cert: pem[`${name}.pem`] })

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'resil-open-network-'))
    const at = (name: string) => join(folder, name)
    const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' })
    const key = (name: string) => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at(`${name}.key`)]
    openssl('req', '-x509', ...key('ca'), '-out', at('ca.pem'), '-days', '2', '-subj', '/CN=ca', '-addext', 'basicConstraints=critical,CA:TRUE')
    const signed = (name: string, alternatives: string, days: string) => {
      writeFileSync(at('extensions'), `subjectAltName=${alternatives}`)
      openssl('req', '-new', ...key(name), '-out', at('request'), '-subj', '/CN=hooks.test')
      openssl('x509', '-req', '-in', at('request'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', days, '-extfile', at('extensions'), '-out', at(`${name}.pem`))
    }
    signed('good', 'DNS:hooks.test,IP:127.0.0.1', '2')
    signed('other', 'DNS:other.test', '2')
    signed('expired', 'DNS:hooks.test', '-1')
    openssl('req', '-x509', ...key('self'), '-out', at('self.pem'), '-days', '2', '-subj', '/CN=hooks.test', '-addext', 'subjectAltName=DNS:hooks.test')
    for (const name of ['ca', 'good', 'other', 'expired', 'self']) for (const kind of ['key', 'pem']) pem[`${name}.${kind}`] = readFileSync(at(`${name}.${kind}`), 'utf8')
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const trusting = (options: Partial<OpenNetworkOptions> = {}) => network({ ca: pem['ca.pem'], ...options })

  test('a name and an address that the certificate has are called, and the connection is used again', async () => {
    const target = await receiver(says(OK), credentials('good'))
    const open = trusting()
    for (let i = 0; i < 3; i++) expect(told(await call(open, target.https))).toBe('ok 200')
    expect(target.connections).toBe(1)
    expect(told(await call(open, `https://127.0.0.1:${target.port}`))).toBe('ok 200')
  })

  test('the next connection resumes the session of the last', async () => {
    const resumed: boolean[] = []
    const target = await receiver((socket) => {
      resumed.push((socket as unknown as { isSessionReused(): boolean }).isSessionReused())
      says('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', 'fin')(socket)
    }, credentials('good'))
    const open = trusting()
    for (let i = 0; i < 3; i++) expect(told(await call(open, target.https))).toBe('ok 200')
    expect(resumed).toEqual([false, true, true])
  })

  test.each([
    ['W-TLS-expired, 118', 'expired', 'failed TLS_EXPIRED'], ['W-TLS-self-signed, 118', 'self', 'failed TLS_SELF_SIGNED'], ['W-TLS-wrong-host, 118', 'other', 'failed TLS_WRONG_HOST'],
  ])('%s: not a byte of the request is sent', async (_, name, outcome) => {
    const target = await receiver(says(OK), credentials(name))
    const open = trusting()
    for (let i = 0; i < 2; i++) expect(told(await call(open, target.https))).toBe(outcome)
    expect(target.bytes).toBe(0)
    await target.empty()
  })

  test('W-TLS: who is not vouched for by a well-known authority is not trusted, even when the environment says so', async () => {
    const target = await receiver(says(OK), credentials('good'))
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    cleanups.push(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED)
    expect(told(await call(network(), target.https))).toBe('failed TLS_FAILED')
    expect(target.bytes).toBe(0)
  })

  test('W-TLS-TLS1.0 and 1.1 are too old', async () => {
    for (const version of ['TLSv1', 'TLSv1.1'] as const) {
      const target = await receiver(says(OK), { ...credentials('good'), minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' })
      const old = connectTls({ port: target.port, host: '127.0.0.1', servername: 'hooks.test', ca: pem['ca.pem'], minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' })
      await once(old, 'secureConnect') // who wants it can have it
      old.destroy()
      expect(told(await call(trusting(), target.https))).toBe('failed TLS_FAILED')
    }
    const target = await receiver(says(OK), { ...credentials('good'), maxVersion: 'TLSv1.2' })
    expect(told(await call(trusting(), target.https))).toBe('ok 200')
  })

  test('W-TLS-plain: a server without TLS never sees the request', async () => {
    let text = ''
    const target = await receiver((socket) => {
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1')
        socket.write('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')
      })
    })
    expect(told(await call(trusting(), target.https))).toBe('failed TLS_FAILED')
    expect(text).not.toContain('POST')
    expect(target.connections).toBe(1)
  })

  test.each([
    ['the deadline', SHORT_MS, AMPLE_MS], ['the connect limit', AMPLE_MS, SHORT_MS],
  ])('W-TLS-handshake-hang, 118: ends at %s, and its connection with it', async (_, timeoutMs, connectLimitMs) => {
    const target = await receiver(() => {})
    expect(told(await call(trusting({ connectLimitMs }), target.https, timeoutMs))).toBe('failed CONNECT_TIMEOUT')
    await target.empty()
    expect(target.connections).toBe(1)
  })

  test('a handshake that breaks off', async () => {
    const target = await receiver((socket) => void socket.once('data', () => socket.destroy()))
    expect(told(await call(trusting(), target.https))).toBe('failed TLS_FAILED')
  })

  test('W-KEEPALIVE-RACE over TLS', async () => {
    const target = await receiver(onRequest((socket, nth) => {
      if (nth === 1) socket.write(OK)
      else socket.destroy()
    }), credentials('good'))
    const open = trusting()
    for (let i = 0; i < 4; i++) expect(told(await call(open, target.https))).toBe('ok 200')
  })

  test('W-SSRF-rebinding over TLS: not even a handshake is begun', async () => {
    const target = await receiver(() => {})
    expect(told(await call(trusting({ allow: [], lookup: flipping() }), target.https))).toBe('failed FORBIDDEN_ADDRESS')
    await target.empty()
    expect([target.connections, target.bytes]).toEqual([1, 0])
  })
})

/** An answer that is public while it is looked at, and private when it is dialled. */
function flipping(): Lookup {
  return async () => {
    let looked = 0
    return [{
      get address() {
        return ++looked === 1 ? '8.8.8.8' : '127.0.0.1'
      },
      family: 4,
    }]
  }
}

describe('W-SSRF: addresses that are not public', () => {
  test.each([
    '2130706433', '0x7f.1', '0177.0.0.1', '127.1', '①②⑦.⓪.⓪.①', '１２７.0.0.1', '127.0.0.1', '0', '[::]', '[::1]', '[::ffff:127.0.0.1]', '[::127.0.0.1]', '[::ffff:0:127.0.0.1]', '[64:ff9b::7f00:1]', '[64:ff9b:1::7f00:1]',
    'localhost', 'localhost.', 'api.localhost', '10.0.0.1', '172.31.0.1', '192.168.0.1', '100.64.0.1', '169.254.1.1', '198.18.0.1', '224.0.0.1', '255.255.255.255', '[fe80::1]', '[fc00::1]', '[fd00::1]', '[2002:7f00:1::]', '[2001::7f00:1]', '[ff02::1]',
  ])('W-SSRF-literal, 108 and 109: %s is refused before anything is dialled', async (host) => {
    const target = await receiver(says(OK))
    const outcome = await call(network({ allow: [] }), new URL(`http://${host}:${target.port}`).origin, SHORT_MS)
    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'FORBIDDEN_ADDRESS', message: 'this address may not be called' } })
    expect(target.connections).toBe(0)
  })

  test.each(['http://169.254.169.254', 'http://[fd00:ec2::254]', 'http://100.100.100.200', 'http://metadata.google.internal', 'http://metadata.google.internal.'])('W-SSRF-metadata, 110: %s is refused, whatever is opened', async (origin) => {
    expect(told(await call(network({ allow: ['0.0.0.0/0', '::/0'] }), origin, SHORT_MS))).toBe('failed FORBIDDEN_ADDRESS')
  })

  test('110: a name that resolves to one of them is refused too', async () => {
    const lookup: Lookup = async () => [{ address: '169.254.169.254', family: 4 }]
    expect(told(await call(network({ allow: ['0.0.0.0/0'], lookup }), 'http://hooks.test', SHORT_MS))).toBe('failed FORBIDDEN_ADDRESS')
  })

  test.each([
    ['private', ['127.0.0.1']], ['public and private', ['8.8.8.8', '127.0.0.1']], ['private and public', ['::1', '2606:4700::1']], ['mapped', ['::ffff:127.0.0.1']],
  ])('W-SSRF-name: a name with %s addresses is refused before anything is dialled', async (_, addresses) => {
    const target = await receiver(says(OK))
    const lookup: Lookup = async () => addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    expect(told(await call(network({ allow: [], lookup }), `http://hooks.test:${target.port}`))).toBe('failed FORBIDDEN_ADDRESS')
    expect(target.connections).toBe(0)
  })

  test('W-SSRF-rebinding, 111: a name that turns private between the check and the dial is found out before a byte is written', async () => {
    const target = await receiver(says(OK))
    expect(told(await call(network({ allow: [], lookup: flipping() }), `http://hooks.test:${target.port}`))).toBe('failed FORBIDDEN_ADDRESS')
    await target.empty()
    expect([target.connections, target.bytes]).toEqual([1, 0])
  })

  test('W-SSRF-rebinding, 111: a name that turns private later is refused then', async () => {
    const target = await receiver(says('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', 'fin'))
    let asked = 0
    const open = network({ lookup: async () => [{ address: ++asked === 1 ? '127.0.0.1' : '127.0.0.2', family: 4 }] })
    expect(told(await call(open, `http://hooks.test:${target.port}`))).toBe('ok 200')
    expect(told(await call(open, `http://hooks.test:${target.port}`))).toBe('failed FORBIDDEN_ADDRESS')
  })

  test('114: ports of other protocols are refused, unless the address was opened', async () => {
    const lookup: Lookup = async () => [{ address: '8.8.8.8', family: 4 }]
    for (const port of [22, 25, 6379]) {
      expect(told(await call(network({ lookup }), `http://hooks.test:${port}`, SHORT_MS))).toBe('failed FORBIDDEN_ADDRESS')
      expect(told(await call(network({ lookup }), `http://8.8.8.8:${port}`, SHORT_MS))).toBe('failed FORBIDDEN_ADDRESS')
    }
    expect(told(await call(network(), 'http://127.0.0.1:1', SHORT_MS))).toBe('failed REFUSED')
  })

  test('113 and 115: what is no plain http origin is not called', async () => {
    for (const service of ['http://u:p@hooks.test', 'file:///etc/passwd', 'gopher://hooks.test', 'javascript:alert(1)']) expect(told(await call(network(), service))).toBe('failed INVALID_REQUEST')
  })

  test('what is opened must be addresses', () => {
    expect(() => new OpenNetwork({ clock, allow: ['everything'] })).toThrow(expect.objectContaining({ code: 'INVALID_RANGE' }) as Error)
  })
})
