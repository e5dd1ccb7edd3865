/** A run of the proxy is written down, and made again from that. */
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { SystemClock } from '../../src/clock.ts'
import type { Event } from '../../src/events.ts'
import { EventLog } from '../../src/events.ts'
import { openProxyAlone } from '../../src/lab/proxy-alone.ts'
import type { ProxyAlone, ProxyAlonePlan } from '../../src/lab/proxy-alone.ts'
import { readJournal } from '../../src/lab/proxy-journal.ts'

const folder = mkdtempSync(join(tmpdir(), 'resil-test-'))
const clock = new SystemClock()
const service = createServer((_, response) => response.end('here'))
let upstream: string
const open: ProxyAlone[] = []
const agents: Agent[] = []

beforeAll(async () => {
  service.listen(0, '127.0.0.1')
  await once(service, 'listening')
  upstream = `127.0.0.1:${(service.address() as AddressInfo).port}`
})
afterEach(async () => {
  for (const agent of agents.splice(0)) agent.destroy()
  for (const proxy of open.splice(0)) await proxy.close()
})
afterAll(() => {
  service.close()
  rmSync(folder, { recursive: true, force: true })
})

let files = 0
const newFile = () => join(folder, `${++files}.ndjson`)

async function stand(plan: Partial<ProxyAlonePlan>): Promise<{ proxy: ProxyAlone; log: EventLog; events: Event[] }> {
  const log = new EventLog('run', clock)
  const events: Event[] = []
  log.subscribe((event) => void events.push(event))
  const proxy = await openProxyAlone({ seed: 7, proxies: [], host: '127.0.0.1', port: 0, version: '1.2.3', ...plan }, { log, clock })
  open.push(proxy)
  return { proxy, log, events }
}

const again = async (journal: string, plan: Partial<ProxyAlonePlan> = {}) => {
  const replay = readJournal(journal)
  return stand({ seed: replay.seed, proxies: [...replay.proxies], replay, ...plan })
}

const close = (proxy: ProxyAlone) => {
  open.splice(open.indexOf(proxy), 1)
  return proxy.close()
}

const portOf = (proxy: ProxyAlone, name: string) => proxy.proxies.find((one) => one.name === name)!.link.address.port

/** The status, or why there is none. */
function get(port: number, path: string, agent: Agent | false = false): Promise<number | string> {
  return new Promise((resolve) => {
    request({ host: '127.0.0.1', port, path, agent }, (response) => response.resume().on('end', () => resolve(response.statusCode!)).on('error', () => resolve('broken')))
      .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      .end()
  })
}

/** One request after another, with a change by the control API in between. */
async function drive(proxy: ProxyAlone, name: string, requests: number, changes: Record<number, () => Promise<unknown>> = {}, agent: Agent | false = false): Promise<(number | string)[]> {
  const answers: (number | string)[] = []
  for (let n = 0; n < requests; n++) {
    await changes[n]?.()
    answers.push(await get(portOf(proxy, name), `/${n}`, agent))
  }
  return answers
}

const control = ({ url }: ProxyAlone, method: string, path: string, body?: object) =>
  fetch(`${url}${path}`, { method, body: body && JSON.stringify(body), headers: { 'content-type': 'application/json' } }).then((response) => {
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status}`)
  })

const web = () => [{ name: 'web', listen: '127.0.0.1:0', upstream, toxics: [{ type: 'http_error', name: 'some', attributes: { status: 503, probability: 0.5 } }] }]

const changesOf = (proxy: ProxyAlone) => ({
  5: () => control(proxy, 'POST', '/proxies/web/toxics', { type: 'lost_response', name: 'lost', attributes: { probability: 0.5, then: 'rst' } }),
  12: () => control(proxy, 'PATCH', '/proxies/web/toxics/some', { attributes: { status: 500, probability: 0.2 } }),
  20: () => control(proxy, 'DELETE', '/proxies/web/toxics/lost'),
  24: () => control(proxy, 'PATCH', '/proxies/web', { enabled: false }),
  25: () => control(proxy, 'PATCH', '/proxies/web', { enabled: true }),
})

test('the journal begins with what the proxy was started with; then come its hits, and its changes with what had been seen by then', async () => {
  const journal = newFile()
  const { proxy } = await stand({ proxies: web(), journal })
  const answers = await drive(proxy, 'web', 30, changesOf(proxy))
  await close(proxy)
  const [head, ...lines] = readFileSync(journal, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line))
  expect(head).toEqual({ resil: '1.2.3', seed: 7, proxies: web(), schedule: null })
  const changes = lines.filter(({ type }) => type !== 'toxic.hit')
  expect(changes.map(({ type, seen }) => [type, seen.exchanges])).toEqual([['toxic.added', 5], ['toxic.updated', 12], ['toxic.removed', 20], ['proxy.updated', 24], ['proxy.updated', 24]])
  expect(changes.slice(3).map(({ listen, enabled }) => [listen, enabled])).toEqual([[undefined, false], [undefined, true]])
  expect(lines.filter(({ type, toxic }) => type === 'toxic.hit' && toxic === 'some').map(({ exchange }) => exchange)).toHaveLength(answers.filter((answer) => answer === 503 || answer === 500).length)
})

test.each([
  ['a connection for each request', () => false as const],
  ['one connection that is kept', () => new Agent({ keepAlive: true, maxSockets: 1 })],
])('the same requests meet the same faults, with nobody changing anything: %s', async (_, agentOf) => {
  const journal = newFile()
  const first = agentOf()
  if (first) agents.push(first)
  const { proxy } = await stand({ proxies: web(), journal })
  const before = await drive(proxy, 'web', 30, { ...changesOf(proxy), 24: async () => {}, 25: async () => {} }, first)
  await close(proxy)
  expect(new Set(before)).toEqual(new Set([200, 503, 500, 'ECONNRESET']))

  const second = agentOf()
  if (second) agents.push(second)
  const { proxy: replayed } = await again(journal)
  expect(await drive(replayed, 'web', 30, {}, second)).toEqual(before)
  expect(replayed.replayed()).toMatchObject({ same: true, changes: 3, missing: [], extra: [], unmade: [] })
})

test('a proxy that was turned off for a request is off for the same request', async () => {
  const journal = newFile()
  const { proxy } = await stand({ proxies: web(), journal })
  await drive(proxy, 'web', 30, changesOf(proxy))
  await close(proxy)
  const { proxy: replayed, log } = await again(journal)
  const off = log.until((event) => event.type === 'proxy.updated' && !event['enabled'])
  await drive(replayed, 'web', 24)
  await off
  // It comes back at the same counts; both changes were made between two requests.
  await drive(replayed, 'web', 5)
  expect(replayed.replayed()).toMatchObject({ changes: 5, unmade: [] })
})

test('a proxy that was made over the API is made again, with its toxics, when as much had been seen', async () => {
  const journal = newFile()
  const { proxy } = await stand({ proxies: web(), journal })
  await drive(proxy, 'web', 4)
  await control(proxy, 'POST', '/proxies', { name: 'late', listen: '127.0.0.1:0', upstream, toxics: [{ type: 'http_error', attributes: { status: 418, first: 2 } }] })
  const before = await drive(proxy, 'late', 4)
  await control(proxy, 'DELETE', '/proxies/late')
  await close(proxy)
  expect(before).toEqual([418, 418, 200, 200])

  const { proxy: replayed, log } = await again(journal)
  const made = log.until('proxy.created')
  expect(replayed.proxies.map(({ name }) => name)).toEqual(['web'])
  await drive(replayed, 'web', 4)
  await made
  const gone = log.until('proxy.deleted')
  expect(await drive(replayed, 'late', 4)).toEqual(before)
  await gone
  expect(replayed.replayed()).toMatchObject({ same: true, changes: 2 })
})

test('what the schedule changed is changed again by the counts, whatever the clock says', async () => {
  const journal = newFile()
  const { proxy, log } = await stand({ proxies: web(), journal, schedule: { stages: [{ at: 1, proxy: 'web', add: [{ type: 'http_error', name: 'all', attributes: { status: 429 } }] }] } })
  await log.until('schedule.ended')
  const before = await drive(proxy, 'web', 6)
  await close(proxy)
  const { proxy: replayed, events } = await again(journal)
  expect(await drive(replayed, 'web', 6)).toEqual(before)
  expect(events.map(({ type }) => type)).not.toContain('schedule.started')
  expect(replayed.replayed()).toMatchObject({ same: true, changes: 1 })
})

test('a toxic on bytes comes and goes with the connections of a protocol that is not HTTP', async () => {
  const journal = newFile()
  const talk = (port: number) =>
    new Promise<string>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.end('\0\x01 no http\r\n\r\n'))
      let heard = ''
      socket.setEncoding('utf8').on('data', (text) => (heard += text)).on('close', () => resolve(heard === '' ? 'nothing' : 'something')).on('error', () => {})
    })
  const { proxy } = await stand({ proxies: [{ name: 'tcp', listen: '127.0.0.1:0', upstream }], journal })
  const before: string[] = []
  for (let n = 0; n < 4; n++) {
    if (n === 2) await control(proxy, 'POST', '/proxies/tcp/toxics', { type: 'limit_data', attributes: { bytes: 0 } })
    before.push(await talk(portOf(proxy, 'tcp')))
  }
  await close(proxy)
  expect(before).toEqual(['something', 'something', 'nothing', 'nothing'])
  const { proxy: replayed } = await again(journal)
  const after: string[] = []
  for (let n = 0; n < 4; n++) after.push(await talk(portOf(replayed, 'tcp')))
  expect(after).toEqual(before)
  expect(replayed.replayed()!.same).toBe(true)
})

describe('a replay that differs says what', () => {
  test('requests that did not come', async () => {
    const journal = newFile()
    const { proxy } = await stand({ proxies: web(), journal })
    await drive(proxy, 'web', 30, changesOf(proxy))
    await close(proxy)
    const { proxy: replayed } = await again(journal)
    await drive(replayed, 'web', 10)
    const { same, missing, unmade } = replayed.replayed()!
    expect(same).toBe(false)
    expect(missing.length).toBeGreaterThan(0)
    expect(missing[0]).toMatch(/^web {2}\w+ {2}exchange \d+: answer dropped, connection reset$/)
    expect(unmade).toContain('web  some  updated: its time did not come')
  })

  test('requests that were not there', async () => {
    const journal = newFile()
    const { proxy } = await stand({ proxies: web(), journal })
    await drive(proxy, 'web', 5)
    await close(proxy)
    const { proxy: replayed } = await again(journal)
    await drive(replayed, 'web', 30)
    expect(replayed.replayed()).toMatchObject({ same: false, missing: [] })
    expect(replayed.replayed()!.extra.length).toBeGreaterThan(0)
  })

  test('a change that cannot be made again', async () => {
    const journal = newFile()
    const { proxy } = await stand({ proxies: web(), journal })
    await close(proxy)
    appendFileSync(journal, `${JSON.stringify({ type: 'toxic.removed', link: 'web', toxic: 'nobody', seen: { connections: 0, exchanges: 0, closed: 0, ended: 0, hits: 0 } })}\n`)
    const { proxy: replayed } = await again(journal)
    await drive(replayed, 'web', 1)
    expect(replayed.replayed()!.unmade).toEqual(['web  nobody  removed: it is not there'])
  })
})

describe('a file that is no journal is refused in one line', () => {
  const HEAD = JSON.stringify({ resil: '1', seed: 1, proxies: [], schedule: null })
  test.each([
    ['nothing', '', /its first line/],
    ['another file', 'hello\n', /its first line/],
    ['a head without a seed', '{"resil":"1","proxies":[]}\n', /its first line/],
    ['a line that is no JSON', `${HEAD}\n{\n`, /line 2/],
    ['a line of another kind', `${HEAD}\n{"type":5}\n`, /line 2/],
    ['counts that are none', `${HEAD}\n{"type":"toxic.added","link":"a","seen":{"connections":-1,"exchanges":0,"closed":0,"ended":0,"hits":0}}\n`, /line 2/],
  ])('%s', (_, text, message) => {
    const file = newFile()
    writeFileSync(file, text)
    expect(() => readJournal(file)).toThrow(expect.objectContaining({ code: 'BAD_JOURNAL', message: expect.stringMatching(message) }))
  })

  test('a folder, and a file that is not there', () => {
    expect(() => readJournal(folder)).toThrow(/it is not a file/)
    expect(() => readJournal(join(folder, 'none'))).toThrow(/there is no such file/)
  })

  test('a last line that was cut short is passed over', () => {
    const file = newFile()
    writeFileSync(file, `${HEAD}\n{"type":"toxic.h`)
    expect(readJournal(file)).toMatchObject({ seed: 1, hits: [], changes: [] })
  })
})

test('a journal that cannot be written is told before anything stands', async () => {
  await expect(stand({ proxies: web(), journal: join(folder, 'none', 'x') })).rejects.toThrow(expect.objectContaining({ code: 'CANNOT_JOURNAL' }))
})
