/** A node as a process, its HTTP job behind a link of the chaos proxy: whatever the network does, the resource has one effect for the tick. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { SystemClock } from '../../src/clock.ts'
import { EventLog } from '../../src/events.ts'
import { serveHttp } from '../../src/http-server.ts'
import type { HttpServer } from '../../src/http-server.ts'
import { resource } from '../../src/proxy/mocks/resource.ts'
import { Proxies } from '../../src/proxy/proxies.ts'
import type { Proxy } from '../../src/proxy/proxies.ts'
import { Random } from '../../src/random.ts'
import { toxics } from '../proxy/wire.ts'
import { resil, start } from './cli.ts'
import type { Running } from './cli.ts'

const clock = new SystemClock()
const log = new EventLog('test', clock)
const mock = resource({ clock, random: Random.seeded(1), log: log.from('mock'), latency: { p50: 0, p99: 0 } })
const proxies = new Proxies({ clock, log, seed: 1, toxics })
let folder: string
let server: HttpServer
let proxy: Proxy
let node: Running
let db: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'resil-cron-'))
  db = join(folder, 'cron.db')
  server = await serveHttp(mock.handle, { clock, port: 0 })
  proxy = await proxies.create({ name: 'resource', listen: '127.0.0.1:0', upstream: `127.0.0.1:${server.port}`, toxics: [] })
  resil(['cron', 'add', 'job', '@every 1h', '--db', db, '--overlap', 'allow', '--timeout', '700ms', '--attempts', '20', '--http', `http://127.0.0.1:${proxy.link.address.port}/v1/effects`, '--body', '{"what":"job"}'])
})
beforeEach(async () => {
  node = start('bin/run.js', ['cron', 'run', '--db', db, '--node', 'n1', '--json'])
  await node.said('"type":"leader.elected"')
})
afterEach(async () => {
  node.child.kill('SIGTERM')
  await node.ended
})
afterAll(async () => {
  await proxies.close()
  await server.close(0)
  rmSync(folder, { recursive: true, force: true })
})

const effectsOf = (key: string) => mock.ledger.effects.filter((effect) => effect.key === key).length

test.each([
  ['nothing', undefined, 1],
  ['a lost request', { type: 'lost_request', attributes: { first: 2 } }, 3],
  ['a request that is swallowed in silence', { type: 'lost_request', attributes: { then: 'hang', first: 1 } }, 2],
  ['a lost response', { type: 'lost_response', attributes: { first: 2 } }, 3],
  ['a response that never comes', { type: 'lost_response', attributes: { then: 'hang', first: 1 } }, 2],
  ['a request that comes twice', { type: 'duplicate_request', attributes: {} }, 1],
  ['an answer that is too late', { type: 'http_delay', attributes: { ms: 1500, first: 1 } }, 2],
  ['half an answer', { type: 'partial_response', attributes: { bytes: 5, first: 1 } }, 2],
  ['an error in place of the service', { type: 'http_error', attributes: { status: 503, first: 2 } }, 3],
] as const)('%s', { timeout: 20_000 }, async (_, toxic, attempts) => {
  const rule = toxic && proxy.rules.add({ link: 'resource', ...toxic, attributes: { ...toxic.attributes } })
  const { tick } = resil(['cron', 'trigger', 'job', '--db', db, '--json']).json().at(-1)
  await node.said(new RegExp(`"type":"attempt.ended","tick":"${tick.replaceAll(/[.!]/g, '\\$&')}"[^\\n]*"state":"succeeded"`))
  if (rule) proxy.rules.remove(rule.name)
  expect(effectsOf(tick)).toBe(1)
  const [row] = resil(['cron', 'history', 'job', '--db', db, '--limit', '1', '--json']).json()
  expect(row).toMatchObject({ tick, state: 'succeeded', attempts })
  expect(rule === undefined || rule.hits > 0).toBe(true)
})

test('a partition from the resource: attempts go on until it heals', { timeout: 20_000 }, async () => {
  await proxy.link.setEnabled(false)
  const { tick } = resil(['cron', 'trigger', 'job', '--db', db, '--json']).json().at(-1)
  await node.said(new RegExp(`"type":"attempt.ended","tick":"${tick.replaceAll(/[.!]/g, '\\$&')}"[^\\n]*"state":"queued"`))
  expect(effectsOf(tick)).toBe(0)
  await proxy.link.setEnabled(true)
  await node.said(new RegExp(`"type":"attempt.ended","tick":"${tick.replaceAll(/[.!]/g, '\\$&')}"[^\\n]*"state":"succeeded"`))
  expect(effectsOf(tick)).toBe(1)
})
