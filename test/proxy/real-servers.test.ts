/** Databases that we did not write, with their own clients, through a link: as if it were not there, and with toxics. */
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openWire } from './wire.ts'

function find(name: string): string | undefined {
  const folders = ['/usr/bin', '/usr/local/bin', ...(existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql').map((version) => `/usr/lib/postgresql/${version}/bin`) : []), ...(process.env['PATH'] ?? '').split(':')]
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}

const binaries = { initdb: find('initdb'), postgres: find('postgres'), redis: find('redis-server') }
const missing = Object.entries(binaries).filter(([, path]) => path === undefined).map(([name]) => name)
if (missing.length > 0 && process.env['CI']) throw new Error(`${missing.join(', ')} not found: apt-get install postgresql redis-server`)
const title = missing.length === 0 ? '' : ` (SKIPPED: ${missing.join(', ')} not found; apt-get install postgresql redis-server)`

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A server in a folder of its own, once it says that it is ready. PostgreSQL will not run as root. */
async function stand(command: string, args: string[], ready: RegExp, user?: { uid: number; gid: number }): Promise<ChildProcess> {
  const child = spawn(command, args, { ...user, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  await new Promise<void>((resolve, reject) => {
    const hear = (data: Buffer) => {
      said += String(data)
      if (ready.test(said)) resolve()
    }
    child.stdout!.on('data', hear)
    child.stderr!.on('data', hear)
    child.on('exit', () => reject(new Error(said)))
  })
  return child
}

const folder = mkdtempSync(join(tmpdir(), 'resil-test-'))
const servers: ChildProcess[] = []
let pgPort = 0
let redisPort = 0

beforeAll(async () => {
  if (missing.length > 0) return
  const user = process.getuid!() === 0 ? { uid: Number(execFileSync('id', ['-u', 'postgres'])), gid: Number(execFileSync('id', ['-g', 'postgres'])) } : undefined
  if (user) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'pg')
  pgPort = await freePort()
  redisPort = await freePort()
  execFileSync(binaries.initdb!, ['-D', data, '-U', 'tester', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'], { ...user, stdio: 'ignore' })
  servers.push(await stand(binaries.postgres!, ['-D', data, '-p', String(pgPort), '-k', '', '-h', '127.0.0.1', '-c', 'fsync=off'], /ready to accept connections/, user))
  servers.push(await stand(binaries.redis!, ['--port', String(redisPort), '--bind', '127.0.0.1', '--save', '', '--dir', tmpdir()], /Ready to accept connections/i))
}, 60_000)

afterAll(async () => {
  await Promise.all(
    servers.map(async (server) => {
      server.kill('SIGINT')
      await once(server, 'exit')
    }),
  )
  rmSync(folder, { recursive: true, force: true })
})

const connectPg = async (port: number) => {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'tester', database: 'postgres' })
  client.on('error', () => {}) // told by the query that was under way
  await client.connect()
  return client
}

const connectRedis = async (port: number) => {
  const client = createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy: false } })
  client.on('error', () => {}) // told by the command that was under way
  await client.connect()
  return client
}

const TOXICS = [
  [],
  [{ type: 'latency', attributes: { latency: 3, jitter: 2 } }],
  [{ type: 'slicer', attributes: { average_size: 700, size_variation: 300 } }, { type: 'slicer', name: 'up', stream: 'upstream' as const, attributes: { average_size: 50, size_variation: 20 } }],
  [{ type: 'bandwidth', attributes: { rate: 20_000 } }],
  [{ type: 'http_error', attributes: {} }, { type: 'lost_response', attributes: {} }],
]

describe.runIf(missing.length === 0)(`PostgreSQL${title}`, () => {
  test.each(TOXICS.map((toxics) => [toxics.map(({ type }) => type).join(' and ') || 'no toxic', toxics] as const))('a session with %s is as it is without a link', async (_, toxics) => {
    await using wire = await openWire(() => {}, { upstreamPort: pgPort })
    for (const toxic of toxics) wire.rules.add({ ...toxic, link: 'bank' } as Parameters<typeof wire.rules.add>[0])
    const session = async (port: number) => {
      const client = await connectPg(port)
      const listener = await connectPg(port)
      await listener.query('LISTEN news')
      const heard = once(listener, 'notification')
      const told: unknown[] = []
      await client.query('CREATE TEMP TABLE t (id int PRIMARY KEY, body text)')
      for (let id = 0; id < 20; id++) await client.query({ name: 'put', text: 'INSERT INTO t VALUES ($1, $2)', values: [id, `é${'x'.repeat(id * 100)}`] })
      told.push((await client.query('SELECT sum(id), sum(length(body)) FROM t')).rows)
      told.push((await client.query("SELECT n, repeat('z', 200) AS z FROM generate_series(1, 3000) n")).rows.length)
      await expect(client.query('SELECT nothing')).rejects.toThrow('does not exist')
      await client.query("NOTIFY news, 'read me'")
      told.push((await heard)[0].payload)
      await client.end()
      await listener.end()
      return told
    }
    expect(await session(wire.link.address.port)).toEqual(await session(pgPort))
    expect(wire.of('exchange.opened')).toEqual([])
  })

  test('a latency is felt, a reset is an error of the query, and a new connection works', async () => {
    await using wire = await openWire(() => {}, { upstreamPort: pgPort })
    const client = await connectPg(wire.link.address.port)
    wire.rules.add({ link: 'bank', type: 'latency', attributes: { latency: 40 } })
    const start = process.hrtime.bigint()
    await client.query('SELECT 1')
    expect(Number(process.hrtime.bigint() - start) / 1e6).toBeGreaterThanOrEqual(38)
    wire.rules.removeAll()
    const reset = wire.rules.add({ link: 'bank', type: 'reset_peer' })
    await expect(client.query('SELECT 1')).rejects.toThrow(/ECONNRESET|terminated/)
    wire.rules.remove(reset.name)
    const next = await connectPg(wire.link.address.port)
    expect((await next.query('SELECT 2 AS two')).rows).toEqual([{ two: 2 }])
    await next.end()
  })
})

describe.runIf(missing.length === 0)(`Redis${title}`, () => {
  test.each(TOXICS.map((toxics) => [toxics.map(({ type }) => type).join(' and ') || 'no toxic', toxics] as const))('a session with %s is as it is without a link', async (_, toxics) => {
    await using wire = await openWire(() => {}, { upstreamPort: redisPort })
    for (const toxic of toxics) wire.rules.add({ ...toxic, link: 'bank' } as Parameters<typeof wire.rules.add>[0])
    const session = async (port: number) => {
      const client = await connectRedis(port)
      const subscriber = await connectRedis(port)
      const heard = new Promise<string>((resolve) => void subscriber.subscribe('news', resolve))
      await client.flushDb()
      const large = 'v'.repeat(toxics.some(({ type }) => type === 'slicer') ? 100_000 : 1024 * 1024)
      const told: unknown[] = [await client.set('large', large), await client.strLen('large'), (await client.get('large')) === large]
      told.push(await client.multi().incr('n').incr('n').exec())
      told.push(await Promise.all(Array.from({ length: 200 }, (__, n) => client.set(`k${n}`, String(n)).then(() => client.get(`k${n}`)))))
      while ((await client.publish('news', 'read me')) === 0); // until the subscription is there
      told.push(await heard)
      await client.quit()
      await subscriber.quit()
      return told
    }
    expect(await session(wire.link.address.port)).toEqual(await session(redisPort))
  })

  test('a timeout swallows, and the client gives up by itself; limit_data closes in the middle of a value', async () => {
    await using wire = await openWire(() => {}, { upstreamPort: redisPort })
    const client = await connectRedis(wire.link.address.port)
    await client.set('v', 'x'.repeat(10_000))
    wire.rules.add({ link: 'bank', type: 'limit_data', attributes: { bytes: 5000 } })
    await expect(client.get('v')).rejects.toThrow()
    expect(wire.of('toxic.hit')).toMatchObject([{ action: 'bytes cut off, connection closed' }])
    wire.rules.removeAll()
    const next = await connectRedis(wire.link.address.port)
    expect(await next.strLen('v')).toBe(10_000)
    await next.quit()
  })
})
