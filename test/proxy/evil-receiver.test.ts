/** Every mood of the evil receiver as its bytes arrive, over real sockets. */
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { gunzipSync } from 'node:zlib'
import { Pool } from 'undici'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { SystemClock, VIRTUAL_EPOCH_MS, VirtualClock } from '../../src/clock.ts'
import { EventLog } from '../../src/events.ts'
import type { Event } from '../../src/events.ts'
import { AUTHORITY } from '../../src/proxy/evil-certificates.ts'
import { EvilReceiver } from '../../src/proxy/evil-receiver.ts'
import type { EvilMood, EvilReceiverSetup } from '../../src/proxy/evil-receiver.ts'

const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
const BODY = '{"type":"invoice.paid"}'

const opened: { receivers: EvilReceiver[]; sockets: Socket[] } = { receivers: [], sockets: [] }
afterEach(async () => {
  for (const socket of opened.sockets.splice(0)) socket.destroy()
  await Promise.all(opened.receivers.splice(0).map((receiver) => receiver.close()))
})

async function open(mood: EvilMood, setup: Partial<EvilReceiverSetup> = {}) {
  const clock = new SystemClock()
  const log = new EventLog('test', clock)
  const events: Event[] = []
  log.subscribe((event) => events.push(event))
  const receiver = new EvilReceiver({ clock, log: log.from('mock'), ...setup })
  opened.receivers.push(receiver)
  await receiver.start(mood)
  return { receiver, events, log }
}

/** What came over a connection so far, and how it ended. */
class Client {
  readonly socket: Socket
  readonly ended: Promise<'fin' | 'rst'>
  #parts: Buffer[] = []
  bytes = 0

  constructor(socket: Socket) {
    this.socket = socket
    opened.sockets.push(socket)
    socket.on('data', (chunk: Buffer) => {
      this.#parts.push(chunk)
      this.bytes += chunk.length
    })
    this.ended = new Promise((resolve) => {
      socket.on('end', () => resolve('fin')).on('error', () => resolve('rst'))
    })
  }

  get buffer(): Buffer {
    return Buffer.concat(this.#parts)
  }

  get text(): string {
    return this.buffer.toString('latin1')
  }

  async until(there: () => boolean): Promise<void> {
    while (!there()) await once(this.socket, 'data')
  }
}

async function dial(receiver: EvilReceiver): Promise<Client> {
  const socket = connect(receiver.port, '127.0.0.1')
  const client = new Client(socket)
  await once(socket, 'connect')
  return client
}

function hook(id: string, { seconds = Math.floor(new SystemClock().now() / 1000), secret = SECRET, body = BODY, more = '' } = {}): string {
  const signature = createHmac('sha256', Buffer.from(secret.slice(6), 'base64')).update(`${id}.${seconds}.${body}`).digest('base64')
  return `POST /hook HTTP/1.1\r\nhost: x\r\nwebhook-id: ${id}\r\nwebhook-timestamp: ${seconds}\r\nwebhook-signature: v1,${signature}\r\n${more}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

/** One webhook in a mood, and the client that sent it. */
async function ask(mood: EvilMood, setup: Partial<EvilReceiverSetup> = { secrets: [SECRET] }) {
  const world = await open(mood, setup)
  const client = await dial(world.receiver)
  client.socket.write(hook('evt_1'))
  return { ...world, client }
}

const rowOf = (receiver: EvilReceiver) => receiver.ledger.requests[0]

describe('the inbox', () => {
  test('a healthy one answers 204 and writes down what came, pipelined and chunked requests too', async () => {
    const { receiver, client, events } = await ask({ kind: 'healthy' }, { secrets: [SECRET], name: 'customer-3' })
    client.socket.write(hook('evt_2', { more: 'webhook-sequence: 4\r\n' }) + hook('evt_1'))
    await client.until(() => client.text.split('HTTP/1.1 204 No Content\r\n\r\n').length === 4)
    expect(receiver.ledger.requests).toMatchObject([
      { id: 'evt_1', attempt: 1, signed: 'valid', status: 204, duplicate: false, processed: true, type: 'invoice.paid', mood: 'healthy' },
      { id: 'evt_2', sequence: 4, processed: true },
      { id: 'evt_1', attempt: 2, duplicate: true, processed: false },
    ])
    expect(events.map(({ type, customer, id }) => [type, customer, id])).toEqual([['customer.received', 'customer-3', 'evt_1'], ['customer.received', 'customer-3', 'evt_2'], ['customer.received', 'customer-3', 'evt_1']])
    expect(receiver.connections).toHaveLength(1)
    expect(receiver.connections[0]).toMatchObject({ requests: 3, open: true, bytesRead: (hook('evt_1') + hook('evt_2', { more: 'webhook-sequence: 4\r\n' }) + hook('evt_1')).length })
    client.socket.write('POST / HTTP/1.1\r\nhost: x\r\nwebhook-id: evt_3\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{"type":"\r\n5\r\na.b"}\r\n0\r\n')
    client.socket.write('\r\n')
    await client.until(() => client.text.split('204').length === 5)
    expect(receiver.ledger.requests[3]).toMatchObject({ id: 'evt_3', type: 'a.b', signed: 'missing', processed: false })
    expect(receiver.processed()).toEqual(['evt_1', 'evt_2'])
  })

  test('a request that comes byte by byte is one, and its ledger is to be read over the same door', async () => {
    const { receiver } = await open({ kind: 'healthy' })
    const client = await dial(receiver)
    for (const byte of 'GET /ledger HTTP/1.1\r\nhost: x\r\n\r\n') client.socket.write(byte)
    await client.until(() => client.text.endsWith('}'))
    expect(JSON.parse(client.text.split('\r\n\r\n')[1]!)).toEqual({ requests: [], effects: 0, unread: 0 })
  })

  test('a client that asks before it sends its body is told to go on', async () => {
    const { receiver } = await open({ kind: 'healthy' })
    const client = await dial(receiver)
    const [head, body] = hook('evt_1', { more: 'expect: 100-continue\r\n' }).split('\r\n\r\n')
    client.socket.write(`${head}\r\n\r\n`)
    await client.until(() => client.text === 'HTTP/1.1 100 Continue\r\n\r\n')
    client.socket.write(body!)
    await client.until(() => client.text === 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n')
  })

  test('what is no request, and one that is too long, resets the connection and leaves no row', async () => {
    const { receiver } = await open({ kind: 'healthy' })
    for (const bytes of ['nonsense\r\n\r\n', 'POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', `POST / HTTP/1.1\r\ncontent-length: 2000000\r\n\r\n${'x'.repeat(1_500_000)}`]) {
      const client = await dial(receiver)
      client.socket.write(bytes)
      expect(await client.ended).toBe('rst')
    }
    expect(receiver.ledger.requests).toEqual([])
    expect(receiver.open).toBe(0)
  })

  test('its clock is the one that it was given', async () => {
    const clock = new VirtualClock()
    const { receiver, client } = await ask({ kind: 'healthy' }, { clock, secrets: [SECRET] })
    client.socket.write(hook('evt_2', { seconds: VIRTUAL_EPOCH_MS / 1000 - 300 }))
    await client.until(() => client.text.split('204').length === 3)
    expect(receiver.ledger.requests).toMatchObject([{ signed: 'stale', processed: false }, { signed: 'valid', at: VIRTUAL_EPOCH_MS }])
  })

  test('a full inbox takes no more', async () => {
    const { receiver, client } = await ask({ kind: 'healthy' }, { ledgerLimit: 1 })
    await client.until(() => client.text.includes('204'))
    client.socket.write(hook('evt_2'))
    expect(await client.ended).toBe('rst')
    expect(receiver.ledger.requests).toHaveLength(1)
  })
})

describe('moods', () => {
  test('slow: the answer after ms', async () => {
    const began = performance.now()
    const { client } = await ask({ kind: 'slow', ms: 60 })
    await client.until(() => client.text === 'HTTP/1.1 204 No Content\r\n\r\n')
    expect(performance.now() - began).toBeGreaterThanOrEqual(59)
  })

  test('refuse: nobody listens and open connections are reset; the same port answers again afterwards', async () => {
    const { receiver, client } = await ask({ kind: 'healthy' })
    const { port } = receiver
    await client.until(() => client.text.includes('204'))
    await receiver.mood({ kind: 'refuse' })
    expect(await client.ended).toBe('rst')
    await expect(dial(receiver)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await receiver.mood({ kind: 'healthy' })
    expect(receiver.port).toBe(port)
    const again = await dial(receiver)
    again.socket.write(hook('evt_2'))
    await again.until(() => again.text.includes('204'))
    const { receiver: born } = await open({ kind: 'refuse' })
    await expect(dial(born)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('flood_1xx: interim answers until the client has enough; nothing of it goes on afterwards', async () => {
    const { receiver, client } = await ask({ kind: 'flood_1xx', ms: 1 })
    await client.until(() => client.text.split('HTTP/1.1 102 Processing\r\n\r\n').length > 20)
    expect(client.text.replaceAll('HTTP/1.1 102 Processing\r\n\r\n', '')).toBe('')
    expect(rowOf(receiver)).toMatchObject({ status: 0, processed: true })
    client.socket.destroy()
    await vi.waitFor(() => expect(receiver.open).toBe(0))
    expect(receiver.connections[0]!.open).toBe(false)
  })

  test('slowloris_head: a byte at a time, and no end of the head', async () => {
    const { receiver, client } = await ask({ kind: 'slowloris_head', ms: 1 })
    const sizes: number[] = []
    client.socket.on('data', (chunk: Buffer) => sizes.push(chunk.length))
    await client.until(() => client.bytes > 60)
    expect(client.text).toMatch(/^HTTP\/1\.1 200 OK\r\nx-a: b\r\n/)
    expect(client.text).not.toContain('\r\n\r\n')
    expect(sizes.length).toBeGreaterThan(20) // two may arrive together
    expect(rowOf(receiver)).toMatchObject({ status: 0 })
  })

  test('slowloris_body: a head, and then a byte at a time', async () => {
    const { receiver, client } = await ask({ kind: 'slowloris_body', ms: 1 })
    await client.until(() => client.text.endsWith('\r\n\r\nxxxxxxxxxx'))
    expect(rowOf(receiver)).toMatchObject({ status: 200, processed: true })
  })

  test.each(['slowloris_head', 'slowloris_body'] as const)('%s: ends for all when nobody listens any more, also between two bytes that are due together', async (kind) => {
    const { receiver } = await open({ kind, ms: 1 })
    const clients = await Promise.all(Array.from({ length: 50 }, () => dial(receiver)))
    for (const client of clients) client.socket.write(hook('evt_1'))
    await Promise.all(clients.map((client) => client.until(() => client.bytes > 20)))
    // In one turn with the timers of the bytes: what is reset then has not closed when the next of them is due.
    await new SystemClock().sleep(1)
    await receiver.mood({ kind: 'refuse' })
    await vi.waitFor(() => expect(receiver.open).toBe(0))
  })

  test('endless_body: as much as is read, and no more than the buffers hold', async () => {
    const { receiver, client } = await ask({ kind: 'endless_body' })
    await client.until(() => client.bytes > 8 * 1024 * 1024)
    client.socket.pause()
    await vi.waitFor(() => {
      const before = receiver.connections[0]!.bytesWritten
      return new Promise((resolve, reject) => setImmediate(() => (receiver.connections[0]!.bytesWritten === before ? resolve(0) : reject(new Error('it writes')))))
    })
    const { bytesWritten } = receiver.connections[0]!
    expect(bytesWritten).toBeGreaterThanOrEqual(client.bytes)
    expect(bytesWritten - client.bytes).toBeLessThan(16 * 1024 * 1024)
    // What has no end of its own ends with the next mood.
    await receiver.mood({ kind: 'healthy' })
    client.socket.resume()
    await client.ended
    expect(receiver.open).toBe(0)
  })

  test('partial_body and partial_head: cut by a FIN', async () => {
    const body = await ask({ kind: 'partial_body' })
    expect(await body.client.ended).toBe('fin')
    expect(body.client.text).toBe('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0123456789')
    expect(rowOf(body.receiver)).toMatchObject({ status: 200, processed: true })
    const head = await ask({ kind: 'partial_head' })
    expect(await head.client.ended).toBe('fin')
    expect(head.client.text).toBe('HTTP/1.1 200 OK\r\ncontent-le')
    expect(rowOf(head.receiver)).toMatchObject({ status: 0, processed: true })
  })

  test('W-RST-AFTER-BODY read whole, processed or not, and reset, over TLS too', async () => {
    for (const processes of [undefined, false]) {
      const { receiver, client } = await ask({ kind: 'reset_after_body', processes })
      expect(await client.ended).toBe('rst')
      expect(client.text).toBe('')
      expect(rowOf(receiver)).toMatchObject({ id: 'evt_1', status: 0, processed: processes !== false })
    }
    const { receiver } = await open({ kind: 'reset_after_body' }, { tls: true, secrets: [SECRET] })
    const client = new Client(await secure(receiver))
    client.socket.write(hook('evt_1'))
    expect(await client.ended).toBe('rst')
    expect(receiver.processed()).toEqual(['evt_1'])
  })

  test('idle_close: a request that comes in time is answered, then the connection is closed', async () => {
    const { receiver, client } = await ask({ kind: 'idle_close', ms: 30 })
    await client.until(() => client.text.includes('204'))
    client.socket.write(hook('evt_2'))
    await client.until(() => client.text.split('204').length === 3)
    expect(await client.ended).toBe('fin')
    await vi.waitFor(() => expect(receiver.connections).toMatchObject([{ requests: 2, open: false }]))
  })

  test('idle_close: what has begun to come keeps the connection open', async () => {
    const clock = new VirtualClock()
    const { receiver, client } = await ask({ kind: 'idle_close', ms: 30 }, { clock })
    await client.until(() => client.text.includes('204'))
    const more = hook('evt_2')
    client.socket.write(more.slice(0, 50))
    await vi.waitFor(() => expect(receiver.connections[0]!.bytesRead).toBe(more.length + 50))
    await clock.run(clock.sleep(100))
    client.socket.write(more.slice(50))
    await client.until(() => client.text.split('204').length === 3)
    void clock.run(clock.sleep(30))
    expect(await client.ended).toBe('fin')
  })

  test('huge_headers: as many bytes as were wished', async () => {
    const { client } = await ask({ kind: 'huge_headers', bytes: 1_000_000 })
    await client.until(() => client.text.endsWith('\r\n\r\n'))
    expect(client.bytes).toBeGreaterThanOrEqual(1_000_000)
    expect(client.bytes).toBeLessThan(1_000_200)
  })

  test('gzip_bomb: 64 KiB that unpack to 64 MiB', async () => {
    const { client } = await ask({ kind: 'gzip_bomb' })
    const length = () => Number(/content-length: (\d+)/.exec(client.text)?.[1] ?? Infinity)
    await client.until(() => client.bytes - client.text.indexOf('\r\n\r\n') - 4 === length())
    const body = client.buffer.subarray(client.buffer.indexOf('\r\n\r\n') + 4)
    expect(body.length).toBeLessThan(80 * 1024)
    expect(gunzipSync(body)).toHaveLength(64 * 1024 * 1024)
  })

  test('garbage is no HTTP, and a client of HTTP says so', async () => {
    const { receiver } = await open({ kind: 'garbage' })
    const pool = new Pool(receiver.url)
    await expect(pool.request({ method: 'POST', path: '/', body: BODY })).rejects.toMatchObject({ name: 'HTTPParserError' })
    await pool.close()
    expect(rowOf(receiver)).toMatchObject({ status: 0 })
  })

  test('W-ANSI the escape sequences reach whoever reads the answer', async () => {
    const { receiver, client } = await ask({ kind: 'ansi' })
    await client.until(() => client.text.endsWith('owned\u0007'))
    expect(client.text.startsWith('HTTP/1.1 500 \u001b[31mRED\u0007\r\nx-colour: \u009b32mgreen\u009b0m\r\n')).toBe(true)
    expect(rowOf(receiver)).toMatchObject({ status: 500, processed: false })
    const pool = new Pool(receiver.url)
    const { statusCode, statusText, headers, body } = await pool.request({ method: 'POST', path: '/', body: BODY })
    expect([statusCode, statusText, headers['x-colour'], await body.text()]).toEqual([500, '\u001b[31mRED\u0007', '\u009b32mgreen\u009b0m', '\u001b[2J\u001b[31mRED\u0007\u001b]0;owned\u0007'])
    await pool.close()
  })

  test.each([{ kind: 'sad' }, { kind: 'slow', ms: 0 }, { kind: 'flood_1xx', ms: Number.NaN }, { kind: 'huge_headers', bytes: 1e12 }] as EvilMood[])('no receiver is in this mood: %j', async (mood) => {
    const { receiver } = await open({ kind: 'healthy' })
    await expect(receiver.mood(mood)).rejects.toMatchObject({ code: 'INVALID_MOOD' })
  })

  test('a port that somebody has is told by its number', async () => {
    const { receiver } = await open({ kind: 'healthy' })
    await expect(open({ kind: 'healthy' }, { port: receiver.port })).rejects.toMatchObject({ code: 'PORT_BUSY', message: expect.stringContaining(String(receiver.port)) })
  })
})

/** Once the handshake is done; rejects when it fails. */
async function secure(receiver: EvilReceiver, more: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({ host: '127.0.0.1', port: receiver.port, servername: 'customer.test', ca: AUTHORITY, ...more })
  opened.sockets.push(socket)
  await once(socket, 'secureConnect')
  return socket
}

describe('TLS', () => {
  const send = async (socket: TLSSocket) => {
    const client = new Client(socket)
    socket.write(hook('evt_1'))
    await client.until(() => client.text.includes('HTTP/1.1 204'))
  }

  test('in any mood behind a certificate that is valid for whoever trusts its authority, and for nobody else', async () => {
    const { receiver } = await open({ kind: 'healthy' }, { tls: true })
    expect(receiver.url).toBe(`https://127.0.0.1:${receiver.port}`)
    await send(await secure(receiver))
    await send(await secure(receiver, { servername: 'localhost' }))
    await expect(secure(receiver, { ca: undefined })).rejects.toMatchObject({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' })
    await expect(secure(receiver, { servername: 'elsewhere.test' })).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })

  test.each([
    ['tls_expired', 'CERT_HAS_EXPIRED'],
    ['tls_self_signed', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['tls_wrong_host', 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ] as const)('W-TLS %s: refused for that reason and no other, and no request is read', async (kind, code) => {
    const { receiver } = await open({ kind })
    expect(receiver.url).toMatch(/^https:/)
    await expect(secure(receiver)).rejects.toMatchObject({ code })
    expect(receiver.ledger.requests).toEqual([])
    await send(await secure(receiver, { rejectUnauthorized: false }))
    expect(rowOf(receiver)).toMatchObject({ mood: kind, status: 204 })
  })

  test('W-TLS tls_1_0: a client of today refuses it, one that takes it is answered', async () => {
    const { receiver } = await open({ kind: 'tls_1_0' })
    await expect(secure(receiver)).rejects.toMatchObject({ code: expect.stringMatching(/PROTOCOL|ALERT/) })
    const old = await secure(receiver, { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' })
    expect(old.getProtocol()).toBe('TLSv1')
    await send(old)
  })

  test('W-TLS tls_hang: the greeting is read and never answered', async () => {
    const { receiver } = await open({ kind: 'tls_hang' })
    const socket = connectTls({ host: '127.0.0.1', port: receiver.port, servername: 'customer.test', ca: AUTHORITY })
    const client = new Client(socket)
    await vi.waitFor(() => expect(receiver.connections[0]?.bytesRead).toBeGreaterThan(100))
    expect([receiver.connections[0]!.bytesWritten, client.bytes, receiver.ledger.requests.length]).toEqual([0, 0, 0])
    const plain = await dial(receiver)
    plain.socket.write(hook('evt_1'))
    await vi.waitFor(() => expect(receiver.connections[1]?.bytesRead).toBe(hook('evt_1').length))
    expect(receiver.ledger.requests).toEqual([])
    socket.destroy()
    plain.socket.destroy()
    await vi.waitFor(() => expect(receiver.open).toBe(0))
  })

  test('plain text at a TLS door is no request', async () => {
    const { receiver } = await open({ kind: 'tls_expired' })
    const client = await dial(receiver)
    client.socket.write(hook('evt_1'))
    await once(client.socket, 'close')
    expect([receiver.ledger.requests.length, receiver.connections[0]!.requests]).toEqual([0, 0])
  })
})
