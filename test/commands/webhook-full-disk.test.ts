/**
 * The webhook service on a file system of its own that is really full: a tmpfs of some MiB, in a mount namespace that needs no root, seen from here through /proc.
 * Skipped where there is no such thing (no Linux, or namespaces are forbidden).
 */
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, unlinkSync, writeSync } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { start } from './cli.ts'

const LONG = 120_000
const ROOM = '12m'
/** Events that are tried on a full disk at most: some fit into what the log has already. */
const TRIED = 3000
/** Refusals in a row after which it is full for certain. */
const REFUSALS = 20
/** Of one event, so that a log grows quickly. */
const PAD = 'x'.repeat(4000)

/** `sh -c` in a namespace in which `folder` is a small disk; the words after it are what becomes of the shell. */
const within = (folder: string) => ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', `mount -t tmpfs -o size=${ROOM} tmpfs "$0" && exec "$@"`, folder]
const folder = mkdtempSync(join(tmpdir(), 'resil-full-'))
const [command, ...words] = within(folder) as [string, ...string[]]
const isPossible = process.platform === 'linux' && spawnSync(command, [...words, 'true']).status === 0

const seen: string[] = []
let wake = () => {}
const receiver = createServer((request, response) => {
  request.resume().on('end', () => {
    seen.push(String(request.headers['webhook-id']))
    response.writeHead(204).end()
    wake()
  })
})
const arrived = (ids: readonly string[]) =>
  new Promise<void>((resolve) => {
    wake = () => ids.every((id) => seen.includes(id)) && resolve()
    wake()
  })

beforeAll(() => once(receiver.listen(0, '127.0.0.1'), 'listening'))
afterAll(() => {
  receiver.close()
  rmSync(folder, { recursive: true, force: true })
})

test.skipIf(!isPossible)('nobody is told on a full disk that an event was taken, what was taken arrives once, and with room again all goes on', async () => {
  const db = join(folder, 'webhooks.db')
  const service = start('bin/run.js', ['webhook', 'serve', '--db', db, '--port', '0', '--plain-http', '--allow-net', '127.0.0.1/32', '--json'], {}, { longestMs: LONG, through: within(folder) })
  await service.said('"ready"')
  const { url } = service.stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as { type: string; url: string }).find(({ type }) => type === 'ready')!
  const post = async (path: string, body: object, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) })
    return { status: answer.status, body: (await answer.json()) as { id: string; code: string } }
  }
  const send = (n: number) => post('/v1/events', { type: 'order.created', data: { n, pad: PAD } }, { 'idempotency-key': `order-${n}` })
  expect((await post('/v1/endpoints', { url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook` })).status).toBe(201)
  const taken: string[] = []
  for (let n = 0; n < 20; n++) taken.push((await send(n)).body.id)
  await arrived(taken)

  const place = `/proc/${service.child.pid}/root${folder}`
  const filler = openSync(join(place, 'filler'), 'w')
  const fill = () => {
    try {
      for (const bytes of [65_536, 4096, 1]) while (writeSync(filler, Buffer.alloc(bytes)) > 0);
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOSPC' })
    }
  }
  fill()
  const refused: number[] = []
  for (let n = 1000, row = 0; n < 1000 + TRIED && row < REFUSALS; n++) {
    fill()
    const { status, body } = await send(n)
    row = status < 300 ? 0 : row + 1
    if (status < 300) taken.push(body.id)
    else {
      // At the commit itself nobody knows: the producer asks again.
      expect(body.code).toMatch(/^(STORE_FULL|COMMIT_UNKNOWN)$/)
      expect(status).toBe(503)
      refused.push(n)
    }
  }
  expect(refused.length).toBeGreaterThanOrEqual(REFUSALS)

  closeSync(filler)
  unlinkSync(join(place, 'filler'))
  for (const n of refused) {
    const { status, body } = await send(n)
    expect(status).toBe(202)
    taken.push(body.id)
  }
  await arrived(taken)
  expect(seen.length).toBe(new Set(seen).size)
  expect(new Set(seen)).toEqual(new Set(taken))
  service.child.kill('SIGTERM')
  expect(await service.ended).toMatchObject({ exit: 0 })
}, LONG)
