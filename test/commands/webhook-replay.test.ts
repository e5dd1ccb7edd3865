/** `resil webhook replay` as an operator meets it: a process on the database of an engine that runs, or of one that was stopped; killed in the middle, too. */
import { copyFileSync, existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { SystemClock } from '../../src/clock.ts'
import { silentLog } from '../../src/events.ts'
import { verifier } from '../../src/engines/webhook/signature.ts'
import { openKeyFile } from '../../src/lab/key-file.ts'
import { runWebhookNode } from '../../src/lab/webhook-alone.ts'
import { Random } from '../../src/random.ts'
import { start } from './cli.ts'
import type { Ended, Running } from './cli.ts'
import { folder, killAll, removeFolders, stand } from './standing.ts'

/** A machine that is busy takes its time: this is for what hangs. */
const LONG = 180_000
/** Dead at the first endpoint, and at the second. */
const MANY = 150
const FEW = 3
/** Attempts that may be under way at once: what a kill can make double. */
const IN_FLIGHT = 64

interface Arrival {
  at: number
  id: string
  path: string
  genuine: boolean
}

/** The customers, on one port: `status` is what they answer now. The commands are never waited for with a synchronous call, which would keep this one from answering. */
const receiver = {
  status: 413,
  arrivals: [] as Arrival[],
  /** Asked with each arrival. */
  onArrival: (() => {}) as (many: number) => unknown,
  secrets: new Map<string, ReturnType<typeof verifier>>(),
}
const server = createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray()).toString()
  const path = request.url!
  receiver.arrivals.push({ at: performance.now(), id: String(request.headers['webhook-id']), path, genuine: receiver.secrets.get(path)!.verify(request.headers, body, Date.now()).ok })
  response.writeHead(receiver.status).end()
  receiver.onArrival(receiver.arrivals.length)
})

/** Of so many arrivals. */
const arrived = (many: number) => new Promise<void>((resolve) => (receiver.onArrival = (n) => n === many && resolve()))

/** A database on which an engine has run: MANY and FEW are dead, one is delivered. */
let base: string
const ids = { many: [] as string[], few: [] as string[] }
const endpoint = { many: '', few: '' }

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  base = join(folder(), 'webhooks.db')
  const place = { keys: () => openKeyFile(`${base}.key`, Random.system()), allow: ['127.0.0.1/32'], plainHttp: true, version: '0.0.0' }
  let ended = 0
  let all = () => {}
  const over = new Promise<void>((resolve) => (all = resolve))
  const log = { ...silentLog, emit: (type: string, ...rest: [object?]) => (type === 'delivery.attempted' && ++ended === MANY + FEW + 1 && all(), silentLog.emit(type, ...(rest as []))) }
  const node = await runWebhookNode({ clock: new SystemClock(), log, db: base, node: 'n1', port: 0, place, settings: {} })
  const call = async (path: string, body: object) => (await fetch(`${node.url}${path}`, { method: 'POST', body: JSON.stringify(body) })).json() as Promise<any>
  for (const [name, pattern] of [['many', 'order.*'], ['few', 'refund.*']] as const) {
    const made = await call('/v1/endpoints', { url: `${url}/${name}`, patterns: [pattern] })
    endpoint[name] = made.endpoint.id
    receiver.secrets.set(`/${name}`, verifier([made.secret]))
  }
  const dead = arrived(MANY + FEW)
  ids.many.push(...(await Promise.all(Array.from({ length: MANY }, async (_, n) => (await call('/v1/events', { type: 'order.created', data: n })).id))))
  for (let n = 0; n < FEW; n++) ids.few.push((await call('/v1/events', { type: 'refund.issued', data: n })).id)
  await dead
  receiver.status = 204
  await call('/v1/events', { type: 'order.paid', data: 0 })
  await over
  await node.close(1000)
  const file = new Database(base)
  file.prepare("UPDATE event SET created_at = created_at - 3 * 86400000 WHERE type = 'refund.issued'").run()
  expect(file.prepare('SELECT state, COUNT(*) AS n FROM delivery GROUP BY state ORDER BY state').all()).toEqual([{ state: 'dead', n: MANY + FEW }, { state: 'delivered', n: 1 }])
  file.close()
}, LONG)

afterAll(() => {
  killAll()
  server.closeAllConnections()
  server.close()
  removeFolders()
})

beforeEach(() => {
  receiver.status = 204
  receiver.arrivals = []
  receiver.onArrival = () => {}
})

function copy(): string {
  const db = join(folder(), 'webhooks.db')
  for (const suffix of ['', '-wal', '.key']) if (existsSync(`${base}${suffix}`)) copyFileSync(`${base}${suffix}`, `${db}${suffix}`)
  return db
}

const replay = (db: string, ...args: string[]): Running => start('bin/run.js', ['webhook', 'replay', '--db', db, ...args], {}, { longestMs: LONG })
const serve = (db: string) => stand(['webhook', 'serve', '--db', db, '--port', '0', '--node', 'n1', '--plain-http', '--allow-net', '127.0.0.1/32'], { longestMs: LONG })
const progress = (ended: Ended) => ended.json().filter(({ type }) => type === 'replay.progress')
const seen = (): string[] => receiver.arrivals.map(({ id }) => id)

/** Every one of `wanted` has arrived under its own id, newly signed, nothing else has, and none more often than a kill may explain. */
function expectReplayed(wanted: readonly string[], twiceAtMost: number): void {
  expect([...new Set(seen())].toSorted()).toEqual(wanted.toSorted())
  expect(receiver.arrivals.length - wanted.length).toBeLessThanOrEqual(twiceAtMost)
  expect(receiver.arrivals.every(({ genuine }) => genuine)).toBe(true)
}

describe('--dry-run', () => {
  test.each<[string, string[], number]>([
    ['what is dead of one endpoint and type, until a time', ['--dlq', '--endpoint', 'FEW', '--type', 'refund.*', '--until', '2d'], FEW],
    ['what is dead from a time on, of a reason by its beginning', ['--dlq', '--since', '2d', '--reason', 'status 4'], MANY],
    ['events by their id, and what was delivered as well', ['--id', 'ID', '--id', 'PAID'], 2],
    ['nothing', ['--dlq', '--id', 'PAID'], 0],
  ])('counts %s, sends nothing and asks for nothing', async (_, args, matched) => {
    const db = copy()
    const paid = new Database(db)
    const [id] = paid.prepare("SELECT id FROM event WHERE type = 'order.paid'").pluck().all() as string[]
    const given: Record<string, string> = { FEW: endpoint.few, ID: ids.many[0]!, PAID: id! }
    const { exit, stderr, json } = await replay(db, ...args.map((arg) => given[arg] ?? arg), '--dry-run', '--json').ended
    expect({ exit, stderr, last: json().at(-1) }).toEqual({ exit: matched === 0 ? 3 : 0, stderr: '', last: { ok: matched > 0, matched, dryRun: true } })
    expect(paid.prepare("SELECT (SELECT COUNT(*) FROM replay) AS jobs, (SELECT COUNT(*) FROM delivery WHERE state = 'dead') AS dead").get()).toEqual({ jobs: 0, dead: MANY + FEW })
    expect(seen()).toEqual([])
    paid.close()
  }, LONG)
})

describe('where no engine runs', () => {
  test('--wait carries it out here, says how far it is, and killed in the middle it goes on when it is asked again', async () => {
    const db = copy()
    const args = ['--dlq', '--endpoint', endpoint.many, '--job', 'night', '--wait', '--json']
    const first = replay(db, ...args)
    receiver.onArrival = (n) => n === 50 && first.child.kill('SIGKILL')
    expect((await first.ended).signal).toBe('SIGKILL')
    expect(new Set(seen()).size).toBeLessThan(MANY)
    const second = await replay(db, ...args).ended
    expect(second).toMatchObject({ exit: 0, stderr: '' })
    expect(second.json().at(-1)).toMatchObject({ ok: true, job: 'night', state: 'done', matched: MANY, queued: MANY, delivered: MANY, failedAgain: 0 })
    const said = progress(second)
    expect(said.every(({ here }) => here === true)).toBe(true)
    expect(said.map(({ delivered }) => delivered)).toEqual(said.map(({ delivered }) => delivered).toSorted((a, b) => a - b))
    expect(said.at(-1)).toMatchObject({ delivered: MANY })
    expectReplayed(ids.many, IN_FLIGHT)
    // Asked a third time it is the same job, which is over: nothing is sent.
    const before = receiver.arrivals.length
    expect(await replay(db, ...args.slice(0, -1)).ended).toMatchObject({ exit: 0, stdout: expect.stringContaining(`${MANY} of ${MANY} arrived`) })
    expect(receiver.arrivals).toHaveLength(before)
  }, LONG)

  test('what fails again is counted and dead again: 1; --rate spreads it, --order says which goes first', async () => {
    const db = copy()
    receiver.status = 413
    const { exit, stdout, stderr } = await replay(db, '--dlq', '--endpoint', endpoint.few, '--rate', '1/s', '--order', 'newest', '--wait').ended
    expect({ exit, stderr }).toEqual({ exit: 1, stderr: '' })
    expect(stdout).toMatch(new RegExp(`^rp_\\w+: ${FEW} matched, 1 a second\n`))
    expect(stdout).toMatch(new RegExp(`matched ${FEW}  queued ${FEW}  delivered 0  failed again ${FEW}  [\\d.]+/s of 1/s asked  0 s left\n`))
    expect(stdout).toMatch(new RegExp(`\n0 of ${FEW} arrived, ${FEW} failed again, in [\\d.]+ s\n$`))
    expect(seen()).toEqual(ids.few.toReversed())
    // What the start took is made up for by a second's worth at most.
    expect(receiver.arrivals.at(-1)!.at - receiver.arrivals[0]!.at).toBeGreaterThan((FEW - 2) * 1000 - 100)
  }, LONG)
})

describe('beside an engine that runs', () => {
  test('it is left to the engine without --wait, and with it followed; whoever is killed, all arrive', async () => {
    const db = copy()
    let engine = await serve(db)
    const few = arrived(FEW)
    const left = await replay(db, '--dlq', '--endpoint', endpoint.few).ended
    expect(left).toMatchObject({ exit: 0, stderr: '', stdout: expect.stringMatching(/^rp_\w+: 3 matched\nrp_\w+ {2}3 to be sent again by the engine that runs on /) })
    await few
    expectReplayed(ids.few, 0)

    receiver.arrivals = []
    const args = ['--dlq', '--job', 'day', '--rate', '200/s', '--wait', '--json']
    const first = replay(db, ...args)
    receiver.onArrival = (n) => (n === 20 ? first.child.kill('SIGKILL') : n === 60 && engine.child.kill('SIGKILL'))
    expect((await first.ended).signal).toBe('SIGKILL')
    expect((await engine.ended).signal).toBe('SIGKILL')
    expect(new Set(seen()).size).toBeLessThan(MANY)
    engine = await serve(db)
    const second = await replay(db, ...args).ended
    expect(second).toMatchObject({ exit: 0, stderr: '' })
    expect(second.json().at(-1)).toMatchObject({ ok: true, job: 'day', state: 'done', matched: MANY, queued: MANY, delivered: MANY })
    expect(progress(second).every(({ here }) => here === false)).toBe(true)
    expectReplayed(ids.many, IN_FLIGHT)
    expect(await engine.stop()).toMatchObject({ exit: 0, stderr: '' })
  }, LONG)
})
