/** Webhooks as an operator meets them: commands on a database file, a service as a process, and receivers on real sockets. */
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { resil, start } from './cli.ts'
import type { Running } from './cli.ts'
import { refused } from './refused.ts'

const LONG = 60_000
let folder: string
const servers: Server[] = []
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'resil-webhook-'))
  const db = join(folder, EMPTY)
  const { id } = webhook(db, 'endpoint', 'add', 'https://customer.example/', '--json').json().at(-1) as { id: string }
  webhook(db, 'endpoint', 'remove', id, '--by', 'ops', '--why', 'empty')
}, LONG)
afterAll(() => {
  for (const server of servers) server.close()
  rmSync(folder, { recursive: true, force: true })
})

let n = 0
const newDb = () => join(folder, `${++n}.db`)
const EMPTY = 'empty.db'
const webhook = (db: string, ...args: string[]) => resil(['webhook', ...args, '--db', db])
const serve = (db: string): Running => start('bin/run.js', ['webhook', 'serve', '--db', db, '--port', '0', '--plain-http', '--allow-net', '127.0.0.1/32', '--json'], {}, { longestMs: LONG })
const urlOf = (running: Running) => (JSON.parse(running.stdout.split('\n').find((line) => line.includes('"ready"'))!) as { url: string }).url

/** Answers what `status` says now, and keeps the ids of what it took. */
async function receiver(): Promise<{ url: string; ids: string[]; until(many: number): Promise<void> }> {
  const status = 204
  const ids: string[] = []
  let wake = () => {}
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      if (status < 300) ids.push(String(request.headers['webhook-id']))
      response.writeHead(status).end()
      wake()
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    ids,
    until: (many) => new Promise((resolve) => (wake = () => void (ids.length >= many && resolve()))),
  }
}

const post = (url: string, path: string, body: object) => fetch(`${url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

describe('an operator', () => {
  test('adds, lists, shows, pauses, rotates and removes endpoints; a secret is shown once and stands nowhere else', () => {
    const db = newDb()
    const added = webhook(db, 'endpoint', 'add', 'https://customer.example/hook', '--type', 'order.*', '--order', 'key', '--json').json().at(-1) as { id: string; secret: string }
    expect(added).toMatchObject({ ok: true, patterns: ['order.*'], spec: { ordering: 'key' }, state: 'enabled' })
    expect(added.secret).toMatch(/^whsec_/)
    const { id } = added
    for (const seen of [webhook(db, 'endpoint', 'show', id), webhook(db, 'endpoint', 'list', '--json')]) expect(seen.stdout).not.toContain(added.secret)
    for (const suffix of ['', '-wal']) expect(readFileSync(`${db}${suffix}`, { flag: 'a+' }).includes(added.secret.slice(6, 30))).toBe(false)
    expect(statSync(`${db}.key`).mode & 0o777).toBe(0o600)
    expect(webhook(db, 'endpoint', 'pause', id, '--by', 'ops', '--why', 'maintenance').stdout).toMatch(/is paused; 0 waiting/)
    expect(webhook(db, 'endpoint', 'show', id).stdout).toMatch(/paused: maintenance/)
    expect(webhook(db, 'endpoint', 'enable', id, '--by', 'ops', '--why', 'done').exit).toBe(0)
    const rotated = webhook(db, 'endpoint', 'rotate', id, '--by', 'ops', '--why', 'yearly', '--json').json().at(-1) as { secret: string }
    expect(rotated.secret).not.toBe(added.secret)
    expect((webhook(db, 'endpoint', 'show', id, '--json').json().at(-1) as { secrets: unknown[] }).secrets).toHaveLength(2)
    expect(webhook(db, 'send', 'order.created', '--data', '{"order":7}', '--idempotency-key', 'k1').stdout).toMatch(/^evt_\w+ {2}order\.created {2}for 1 endpoint\n/)
    expect(webhook(db, 'send', 'order.created', '--data', '{"order":7}', '--idempotency-key', 'k1').stdout).toMatch(/as before/)
    expect(webhook(db, 'endpoint', 'remove', id, '--by', 'ops', '--why', 'left').stdout).toMatch(/1 delivery cancelled/)
    expect(webhook(db, 'endpoint', 'list').stdout).toMatch(/no endpoints/)
  }, LONG)

  test.each<[string[], RegExp]>([
    [['endpoint', 'add', 'http://customer.example/'], /plain|https/i],
    [['endpoint', 'add', 'https://user:pw@customer.example/'], /credential|password|user/i],
    [['endpoint', 'add', 'https://169.254.169.254/latest'], /address|reach|spoken/i],
    [['endpoint', 'add', 'https://customer.example:6379/'], /port/i],
    [['endpoint', 'add', 'ftp://customer.example/'], /https?/i],
    [['endpoint', 'add', 'https://customer.example/', '--header', 'webhook-signature: v1,x'], /webhook-signature/i],
    [['endpoint', 'add', 'https://customer.example/', '--type', 'order created'], /no type/],
    [['send', 'resil.endpoint.failing'], /own/],
    [['send', 'order created'], /no type/],
    [['send', 'order.created', '--data', '{'], /no JSON/],
    [['send', 'order.created', '--data', '@/nowhere/at/all'], /cannot be read/],
    [['endpoint', 'show', 'ep_nobody'], /no endpoint/],
    [['replay'], /everything/],
    [['replay', '--dlq', '--rate', 'fast'], /no rate/],
  ])('%j is refused in one line, with exit code 2', async (args, why) => {
    const { exit, stderr } = await refused(['webhook', ...args, '--db', join(folder, EMPTY)])
    expect(stderr).toMatch(why)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(exit).toBe(2)
  })

  test.each([
    ['endpoint', 'list'], ['endpoint', 'show', 'ep_1'], ['endpoint', 'pause', 'ep_1', '--by', 'ops', '--why', 'x'], ['send', 'order.created'], ['deliveries'], ['attempts', 'evt_1'], ['dlq'], ['doctor', 'ep_1'], ['replay', '--dlq'], ['reconcile', 'ep_1', '--ids-from', '/dev/null'],
  ])('%s %s makes no database of a mistyped name', async (...args) => {
    const db = newDb()
    expect(await refused(['webhook', ...args, '--db', db])).toMatchObject({ exit: 2, stderr: expect.stringMatching(/^.*does not exist.*endpoint add.*\n$/) })
    expect([db, `${db}.key`].filter((file) => existsSync(file))).toEqual([])
  })

  test('the database of another engine is refused, and a key that is not its own', () => {
    const db = newDb()
    expect(resil(['cron', 'add', 'a', '@daily', '--db', db, '--', 'true']).exit).toBe(0)
    expect(webhook(db, 'endpoint', 'list')).toMatchObject({ exit: 2, stderr: expect.stringContaining('another engine') })
    expect(webhook(db, 'serve', '--port', '0')).toMatchObject({ exit: 2, stderr: expect.stringContaining('another engine') })
    // No key is made for what is not ours.
    expect(existsSync(`${db}.key`)).toBe(false)
    expect(resil(['webhook', 'endpoint', 'list', '--db', newDb()], { env: { RESIL_MASTER_KEY: 'short' } })).toMatchObject({ exit: 2 })
  })
})

test('what the service accepts arrives; SIGTERM ends it in good order', async () => {
  const db = newDb()
  const { url, ids, until } = await receiver()
  expect(webhook(db, 'endpoint', 'add', url, '--plain-http').exit).toBe(0)
  const engine = serve(db)
  await engine.said('"ready"')
  const all = until(20)
  for (let i = 0; i < 20; i++) expect((await post(urlOf(engine), '/v1/events', { type: 'order.created', data: { i } })).status).toBe(202)
  await all
  expect(new Set(ids).size).toBe(20)
  engine.child.kill('SIGTERM')
  expect(await engine.ended).toMatchObject({ exit: 0 })
}, LONG)

test('listen verifies, says what is missing, and refuses what is not genuine', async () => {
  const db = newDb()
  const { id, secret } = webhook(db, 'endpoint', 'add', 'http://127.0.0.1:4999/', '--plain-http', '--json').json().at(-1) as { id: string; secret: string }
  const listening = start('bin/run.js', ['webhook', 'listen', '--port', '0', '--secret', secret, '--json'], {}, { longestMs: LONG })
  await listening.said('"ready"')
  const { Webhook } = await import('standardwebhooks')
  const say = async (event: string, sequence: number, key: string) => {
    const at = new Date()
    const body = '{"type":"order.created"}'
    const headers = { 'webhook-id': event, 'webhook-timestamp': String(Math.floor(at.getTime() / 1000)), 'webhook-signature': new Webhook(key).sign(event, at, body), 'webhook-endpoint': id, 'webhook-sequence': String(sequence) }
    return (await fetch(urlOf(listening), { method: 'POST', headers, body })).status
  }
  expect(await say('evt_1', 1, secret)).toBe(204)
  expect(await say('evt_4', 4, secret)).toBe(204)
  expect(await say('evt_5', 5, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')).toBe(401)
  listening.child.kill('SIGTERM')
  const said = (await listening.ended).json().filter(({ type }: { type: string }) => type === 'webhook.received')
  expect(said).toMatchObject([{ id: 'evt_1', signature: 'good', gap: null }, { id: 'evt_4', signature: 'good', gap: { from: 2, to: 3 } }, { signature: 'wrong', status: 401 }])
}, LONG)
