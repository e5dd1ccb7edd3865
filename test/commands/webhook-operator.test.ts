/** `resil webhook reconcile` and `resil webhook doctor` as an operator meets them: processes beside an engine that runs. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { start } from './cli.ts'
import type { Ended } from './cli.ts'
import type { Standing } from './standing.ts'
import { folder, killAll, removeFolders, stand } from './standing.ts'

/** A machine that is busy takes its time: this is for what hangs. */
const LONG = 180_000
/** The engine stands for a dozen commands. */
const ALL_MS = 300_000

/** Takes all but what is called poor; tells whoever waits for an arrival. */
let arrived: (id: string) => unknown = () => {}
const server = createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray()).toString()
  response.writeHead(body.includes('poor') ? 413 : 204).end()
  arrived(String(request.headers['webhook-id']))
})

let engine: Standing
let db: string
/** Endpoints: one that is well, one whose address nobody listens at. */
let well: string
let down: string
/** What the first was sent, by its number less one: the third is dead. */
const ids: string[] = []

async function call(method: string, path: string, body?: object): Promise<any> {
  return (await fetch(`${engine.ready.url}${path}`, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })).json()
}

/** Asks until the store says so: ends of attempts are written some ms after they are told. */
async function until(endpoint: string, wanted: (shown: any) => boolean): Promise<void> {
  while (!wanted(await call('GET', `/v1/endpoints/${endpoint}`)));
}

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const nobody = createServer().listen(0, '127.0.0.1')
  await once(nobody, 'listening')
  const deserted = (nobody.address() as AddressInfo).port
  nobody.close()
  db = join(folder(), 'webhooks.db')
  engine = await stand(['webhook', 'serve', '--db', db, '--port', '0', '--plain-http', '--allow-net', '127.0.0.1/32'], { longestMs: ALL_MS })
  const add = async (port: number, pattern: string) => (await call('POST', '/v1/endpoints', { url: `http://127.0.0.1:${port}/hook`, patterns: [pattern] })).endpoint.id
  well = await add((server.address() as AddressInfo).port, 'order.*')
  down = await add(deserted, 'refund.*')
  for (let n = 1; n <= 6; n++) ids.push((await call('POST', '/v1/events', { type: 'order.created', data: n === 3 ? 'poor' : n })).id)
  for (let n = 1; n <= 6; n++) await call('POST', '/v1/events', { type: 'refund.issued', data: n })
  await until(well, ({ delivered, dead }) => delivered === 5 && dead === 1)
  await engine.until(({ type }) => type === 'lane.parked')
  await until(down, ({ failures }) => failures >= 5)
}, LONG)

afterAll(async () => {
  await engine?.stop()
  killAll()
  server.closeAllConnections()
  server.close()
  removeFolders()
})

/** A synchronous call would keep the receiver, which stands in this process, from answering. */
function webhook(args: readonly string[], stdin = ''): Promise<Ended> {
  const command = start('bin/run.js', ['webhook', ...args, '--db', db], {}, { longestMs: LONG })
  command.child.stdin.end(stdin)
  return command.ended
}

function listed(...lines: string[]): string {
  const file = join(folder(), 'inbox.txt')
  writeFileSync(file, lines.join('\n'))
  return file
}

/** Of numbers. */
const of = (...numbers: number[]) => numbers.map((n) => ids[n - 1]!)

describe('reconcile', () => {
  test('no difference: 0, from standing input, whatever the order and the line ends', async () => {
    expect(await webhook(['reconcile', well, '--ids-from', '-'], `${of(6, 5, 4, 2, 1).join('\r\n')}\n\n`)).toMatchObject({
      exit: 0, stderr: '', stdout: 'numbers 1 to 6: 5 match, 0 missing, 0 not sent in this window, 0 unconfirmed\n',
    })
  }, LONG)

  test('a difference: 1, each of it named; what a stranger wrote is shown, not obeyed', async () => {
    expect(await webhook(['reconcile', well, '--ids-from', listed(...of(1, 2, 3), 'evt_\u001b[31mother', ...of(6))])).toMatchObject({
      exit: 1, stderr: '',
      stdout: `missing      ${ids[3]}\nmissing      ${ids[4]}\nnot sent     evt_\\e[31mother\nunconfirmed  ${ids[2]}\nnumbers 1 to 6: 3 match, 2 missing, 1 not sent in this window, 1 unconfirmed\n`,
    })
  }, LONG)

  test('within a window only, and --redeliver sends again exactly what is missing', async () => {
    const again = new Set<string>()
    const both = new Promise<void>((resolve) => (arrived = (id) => again.add(id).size === 2 && resolve()))
    const { exit, stderr, json } = await webhook(['reconcile', well, '--ids-from', listed(...of(4)), '--from', '2', '--to', '5', '--redeliver', '--by', 'ops', '--json'])
    const found = json().at(-1)
    expect({ exit, stderr, found }).toEqual({ exit: 1, stderr: '', found: { ok: false, endpoint: well, from: 2, to: 5, matched: 1, missing: of(2, 5), extra: [], unconfirmed: [], job: expect.stringMatching(/^rp_/) } })
    await both
    expect([...again].toSorted()).toEqual(of(2, 5).toSorted())
    expect(await call('GET', `/v1/replays/${found.job}`)).toMatchObject({ matched: 2, queued: 2, failed: 0 })
  }, LONG)

  test.each<[string, string[], RegExp]>([
    ['no list', ['reconcile', 'WELL'], /Missing required flag ids-from/],
    ['a list that is not there', ['reconcile', 'WELL', '--ids-from', '/nowhere/at/all'], /cannot be read/],
    ['a moment that is none', ['reconcile', 'WELL', '--ids-from', '-', '--since', 'yesterday'], /is not a moment/],
    ['no such endpoint', ['doctor', 'ep_\u001b[31m'], /no endpoint "ep_\\e\[31m"/],
  ])('%s: 2, in one line', async (_, args, why) => {
    const { exit, stdout, stderr } = await webhook(args.map((arg) => (arg === 'WELL' ? well : arg)))
    expect({ exit, stdout, stderr }).toEqual({ exit: 2, stdout: '', stderr: expect.stringMatching(why) })
    expect(stderr.trim().split('\n')).toHaveLength(1)
  }, LONG)
})

describe('doctor', () => {
  test('what is only a note: 0', async () => {
    const id = (await call('POST', '/v1/endpoints', { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/other`, patterns: ['never.*'] })).endpoint.id
    expect(await webhook(['doctor', id])).toMatchObject({ exit: 0, stderr: '', stdout: 'note     Nothing has been sent to it yet.\n' })
  }, LONG)

  test('what is wrong: 1, in words with the numbers, the worst first', async () => {
    const { exit, stdout, stderr } = await webhook(['doctor', down])
    expect({ exit, stderr }).toEqual({ exit: 1, stderr: '' })
    const lines = stdout.trimEnd().split('\n')
    expect(lines).toContainEqual(expect.stringMatching(/^ERROR {4}Parked since \S+, after \d+ failures in a row; probed again (now|in [\d.]+ m?s); 6 held, none lost\.$/))
    expect(lines).toContainEqual(expect.stringMatching(/^ERROR {4}Of all of the last \d+ attempts none came through: nothing listens at its address \(REFUSED\)\.$/))
    expect(lines).toContainEqual(expect.stringMatching(/^ERROR {4}It has never taken one: \d+ attempts, no success\.$/))
  }, LONG)

  test('--json: one finding a line, the outcome last', async () => {
    const { exit, stderr, json } = await webhook(['doctor', well, '--json'])
    expect({ exit, stderr, findings: json() }).toEqual({ exit: 1, stderr: '', findings: [{ word: 'dead', severity: 'warning', sentence: '1 delivery is dead: resil webhook replay --dlq sends them again.' }, { ok: false, findings: 1 }] })
  }, LONG)
})
