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

/** A job that answers a request, does four steps at the resource, and commits each at the node, behind a link. */
async function stepper(checkpoints: () => string): Promise<HttpServer> {
  return serveHttp(async (request) => {
    const { 'idempotency-key': key, 'resil-fencing-token': token, 'resil-checkpoint': from } = request.headers
    for (let step = Number(from ?? 0) + 1; step <= 4; step++) {
      await mock.handle({ method: 'POST', path: '/v1/effects', headers: { 'content-type': 'application/json', 'idempotency-key': `${key}/${step}`, 'resil-fencing-token': token! }, body: '{"what":"step"}' })
      for (let sent = 0; ; sent++) {
        const answer = await fetch(`${checkpoints()}/v1/runs/${token}/checkpoint`, { method: 'POST', headers: { 'resil-step': String(step) }, body: String(step), signal: AbortSignal.timeout(400) }).catch(() => undefined)
        if (answer?.ok) break
        if (answer?.status === 409 || sent === 20) return { status: 409, headers: {}, body: 'another has it' }
      }
    }
    return { status: 200, headers: {}, body: 'done' }
  }, { clock, port: 0 })
}

test.each([
  ['nothing', undefined],
  ['a lost request', { type: 'lost_request', attributes: { first: 2 } }],
  ['a lost response', { type: 'lost_response', attributes: { first: 2 } }],
  ['a response that never comes', { type: 'lost_response', attributes: { then: 'hang', first: 1 } }],
  ['a request that comes twice', { type: 'duplicate_request', attributes: {} }],
  ['an answer that is too late', { type: 'http_delay', attributes: { ms: 800, first: 1 } }],
  ['a partition', 'partition'],
] as const)('checkpoints over HTTP, with %s between the job and its node: four steps, each once', { timeout: 20_000 }, async (name, toxic) => {
  const { url } = node.stdout.split('\n').flatMap((line) => (line.includes('"type":"ready"') ? [JSON.parse(line)] : []))[0]
  const face = await proxies.create({ name: `node-${name.replaceAll(' ', '-')}`, listen: '127.0.0.1:0', upstream: new URL(url).host, toxics: [] })
  const job = await stepper(() => `http://127.0.0.1:${face.link.address.port}`)
  try {
    const schedule = `steps-${name.replaceAll(' ', '-')}`
    resil(['cron', 'add', schedule, '@every 1h', '--db', db, '--timeout', '10s', '--http', `http://127.0.0.1:${job.port}/run`])
    const rule = typeof toxic === 'object' ? face.rules.add({ link: face.link.name, ...toxic, attributes: { ...toxic.attributes } }) : undefined
    if (toxic === 'partition') {
      await face.link.setEnabled(false)
      clock.after(1500, () => void face.link.setEnabled(true))
    }
    const { tick } = resil(['cron', 'trigger', schedule, '--db', db, '--json']).json().at(-1)
    await node.said(new RegExp(`"type":"attempt.ended","tick":"${tick.replaceAll(/[.!]/g, '\\$&')}"[^\\n]*"state":"succeeded"`))
    const steps = node.stdout.split('\n').filter((line) => line.includes('"attempt.checkpointed"') && line.includes(tick)).map((line) => JSON.parse(line).step)
    expect(steps).toEqual([1, 2, 3, 4])
    expect([1, 2, 3, 4].map((step) => effectsOf(`${tick}/${step}`))).toEqual([1, 1, 1, 1])
    expect(rule === undefined || rule.hits > 0).toBe(true)
  } finally {
    await job.close(0)
  }
})
