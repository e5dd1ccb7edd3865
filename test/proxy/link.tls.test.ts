/** TLS: passed as it is, spoken to clients, spoken to the service. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer as createTls } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { expect, test } from 'vitest'
import { SystemClock } from '../../src/clock.ts'
import { EventLog } from '../../src/events.ts'
import type { Event } from '../../src/events.ts'
import { Link } from '../../src/proxy/link.ts'
import type { Upstream } from '../../src/proxy/link.ts'
import { Rules } from '../../src/proxy/rules.ts'
import { answer, End, http, post, toxics } from './wire.ts'

const folder = mkdtempSync(join(tmpdir(), 'resil-test-'))
execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', join(folder, 'key'), '-out', join(folder, 'cert'), '-days', '2', '-subj', '/CN=bank.test', '-addext', 'subjectAltName=DNS:bank.test'], { stdio: 'ignore' })
const [cert, key] = [readFileSync(join(folder, 'cert'), 'utf8'), readFileSync(join(folder, 'key'), 'utf8')]
rmSync(folder, { recursive: true })

async function world(options: { secureService?: boolean; tls?: boolean; upstreamTls?: Upstream['tls']; serve?: (end: End) => void }) {
  const clock = new SystemClock()
  const log = new EventLog('test', clock)
  const events: Event[] = []
  log.subscribe((event) => events.push(event))
  const served = new Set<Socket>()
  const serve = (socket: Socket) => {
    served.add(socket)
    socket.on('close', () => served.delete(socket)).on('error', () => {})
    ;(options.serve ?? http([], () => answer('fine')))(new End(socket))
  }
  const service = (options.secureService ? createTls({ cert, key, allowHalfOpen: true }, serve) : createServer({ allowHalfOpen: true }, serve)).on('tlsClientError', () => {}).listen(0, '127.0.0.1')
  await once(service, 'listening')
  const rules = new Rules({ link: 'bank', seed: 1, toxics, clock, log: log.from('proxy') })
  const upstream = { host: '127.0.0.1', port: (service.address() as AddressInfo).port, tls: options.upstreamTls }
  const link = new Link({ name: 'bank', listen: { port: 0 }, upstream, tls: options.tls ? { cert, key } : undefined, rules, clock, log: log.from('proxy') })
  await link.setEnabled(true)
  const clients: TLSSocket[] = []
  return {
    link,
    rules,
    events,
    served,
    async client(more: ConnectionOptions = {}): Promise<End> {
      const socket = connect({ ...link.address, ca: cert, servername: 'bank.test', ...more })
      clients.push(socket)
      const end = new End(socket)
      await once(socket, 'secureConnect')
      return end
    },
    async [Symbol.asyncDispose]() {
      for (const socket of [...clients, ...served]) socket.destroy()
      await link.close()
      service.close()
    },
  }
}

const SPOKEN = { tls: true, secureService: true, upstreamTls: { ca: cert, servername: 'bank.test' } }

test('without a certificate TLS passes as it is: the client sees the service’s own, and HTTP rules see nothing', async () => {
  await using w = await world({ secureService: true })
  w.rules.add({ link: 'bank', type: 'http_error' })
  const client = await w.client()
  client.socket.write(post('/'))
  await client.until('fine')
  expect(w.events.some(({ type }) => type === 'exchange.opened')).toBe(false)
})

test('with one it is spoken to the client, and rules act on what is said', async () => {
  await using w = await world({ tls: true })
  const client = await w.client()
  client.socket.write(post('/v1'))
  await client.until('fine')
  w.rules.add({ link: 'bank', type: 'http_error', attributes: { status: 418, path: '/v1' } })
  client.socket.write(post('/v1'))
  await client.until('418')
  expect(w.link.info()).toMatchObject([{ client: expect.stringMatching(/^127\.0\.0\.1:\d+$/), exchanges: 2, protocol: 'http' }])
})

test('it is spoken anew to the service, whose certificate is checked', async () => {
  await using w = await world(SPOKEN)
  w.rules.add({ link: 'bank', type: 'header_edit', attributes: { set: 'x-seen: 1', of: 'response' } })
  const client = await w.client()
  client.socket.write(post('/'))
  await client.until('fine')
  expect(client.text).toContain('x-seen: 1')
})

test.each([
  ['by an authority that is not trusted', { servername: 'bank.test' }],
  ['for another name', { ca: cert, servername: 'other.test' }],
])('a service with a certificate %s is not spoken to: the client is reset', async (_, upstreamTls) => {
  await using w = await world({ ...SPOKEN, upstreamTls })
  const client = await w.client()
  client.socket.write(post('/'))
  expect(await client.ended).toBe('rst')
  expect(w.link.traffic.connectionsFailed).toBe(1)
})

test('any certificate is taken when asked', async () => {
  await using w = await world({ ...SPOKEN, upstreamTls: { insecure: true } })
  const client = await w.client()
  client.socket.write(post('/'))
  await client.until('fine')
})

test('an end passes as an end, and what a rule resets is reset', async () => {
  await using ended = await world({ ...SPOKEN, serve: (end) => void end.socket.on('data', () => end.socket.end('bye')) })
  const first = await ended.client()
  first.socket.write('x')
  expect(await first.ended).toBe('fin')
  expect(first.text).toBe('bye')
  await using w = await world(SPOKEN)
  w.rules.add({ link: 'bank', type: 'lost_response' })
  const client = await w.client()
  client.socket.write(post('/'))
  expect(await client.ended).toBe('rst')
})

test('a megabyte passes whole, both ways', async () => {
  await using w = await world({ ...SPOKEN, serve: (end) => void end.socket.on('data', (bytes: Buffer) => end.socket.write(bytes)) })
  const client = await w.client()
  const sent = Buffer.alloc(1024 * 1024, 'abcdefg')
  client.socket.write(sent)
  while (client.bytes.length < sent.length) await once(client.socket, 'data')
  expect(client.bytes.equals(sent)).toBe(true)
})

test('a client that speaks no TLS is closed, and harms nobody', async () => {
  await using w = await world(SPOKEN)
  const plain = (await import('node:net')).connect(w.link.address).on('error', () => {})
  plain.resume().write('GET / HTTP/1.1\r\n\r\n')
  await once(plain, 'close')
  const client = await w.client()
  client.socket.write(post('/'))
  await client.until('fine')
})

test('a certificate that is none is refused', () => {
  const clock = new SystemClock()
  const log = new EventLog('test', clock).from('proxy')
  const rules = new Rules({ link: 'bank', seed: 1, toxics, clock, log })
  expect(() => new Link({ name: 'bank', listen: { port: 0 }, upstream: { host: '127.0.0.1', port: 1 }, tls: { cert: 'x', key: 'y' }, rules, clock, log })).toThrow(expect.objectContaining({ code: 'BAD_TLS' }))
})
