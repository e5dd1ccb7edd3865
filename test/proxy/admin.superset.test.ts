/** What the control API has beside Toxiproxy's: who may ask, rules, connections, journal, events, metrics, schedules. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { VirtualClock } from '../../src/clock.ts'
import { EventLog } from '../../src/events.ts'
import { Proxies } from '../../src/proxy/proxies.ts'
import { Schedule } from '../../src/proxy/schedule.ts'
import { openControl } from './control.ts'
import type { Control } from './control.ts'
import { answer, http, openWire, post, toxics } from './wire.ts'

const get = (host: string, more = '', path = '/version') => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}Connection: close\r\n\r\n`
const status = (text: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1])

async function withProxy(control: Control, upstream: { host: string; port: number }, name = 'bank') {
  return control.proxies.create({ name, listen: '127.0.0.1:0', upstream: `${upstream.host}:${upstream.port}` })
}

async function open(port: number) {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.setEncoding('latin1').on('data', (data: string) => (text += data)).on('error', () => {})
  await once(socket, 'connect')
  return {
    socket,
    async until(part: string) {
      while (!text.includes(part)) await once(socket, 'data')
    },
  }
}

describe('who may ask', () => {
  test.each([
    ['C38', 'evil.example', 403],
    ['C38', 'evil.example:8474', 403],
    ['C39', '127.0.0.1.nip.io', 403],
    ['C39', 'localhost.evil.example', 403],
    ['', 'localhost', 200],
    ['', 'localhost:32768', 200],
    ['', '127.0.0.1:1', 200],
    ['', '[::1]:8474', 200],
  ])('%s Host %s: %i', async (_, host, expected) => {
    await using control = await openControl()
    expect(status(await control.raw(get(host)))).toBe(expected)
    expect(status(await control.raw(get(host, '', '/resil/rules')))).toBe(expected)
  })

  test.each([
    ['C40', 'Origin: null'],
    ['C40', 'Origin: https://evil.example'],
    ['C40', 'Origin: http://localhost:8474'],
    ['C40', 'Sec-Fetch-Site: cross-site'],
    ['C40', 'Sec-Fetch-Site: same-site'],
  ])('%s %s: 403', async (_, header) => {
    await using control = await openControl()
    expect(status(await control.raw(get('localhost', `${header}\r\n`)))).toBe(403)
  })

  test('no Host, or two of them: 400', async () => {
    await using control = await openControl()
    expect(status(await control.raw('GET /version HTTP/1.1\r\nConnection: close\r\n\r\n'))).toBe(400)
  })

  test('C42 C43 with a token: none, another or one in the query is 401, also on Toxiproxy’s routes; the right one passes', async () => {
    await using control = await openControl({ token: 'secret' })
    for (const path of ['/version', '/resil/rules', '/nothing']) {
      expect((await control.ask('GET', path)).status).toBe(401)
      expect((await control.ask('GET', `${path}?token=secret`)).status).toBe(401)
      expect((await control.ask('GET', path, undefined, { authorization: 'Bearer secreT' })).status).toBe(401)
      expect((await control.ask('GET', path, undefined, { authorization: 'Bearer secret' })).status).not.toBe(401)
    }
  })

  test('an address that others reach needs a token', async () => {
    await expect(openControl({ host: '0.0.0.0' })).rejects.toMatchObject({ code: 'TOKEN_NEEDED' })
    await using control = await openControl({ host: '0.0.0.0', token: 'secret' })
    expect(control.url).toContain('0.0.0.0')
  })
})

describe('bodies', () => {
  test('C41 a body that is not JSON by its type is 415 under /resil/, and is taken on Toxiproxy’s routes', async () => {
    await using control = await openControl()
    const body = '{"stages":[]}'
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp']) expect((await control.ask('POST', '/resil/scenario', body, { 'content-type': type })).status).toBe(415)
    expect((await control.ask('POST', '/proxies', '{"name":"a","listen":"127.0.0.1:0","upstream":"x:1"}', { 'content-type': 'text/plain' })).status).toBe(201)
  })

  test('C45 a body that has no end is 413 after 1 MiB, and the connection closes', async () => {
    await using control = await openControl()
    const told = control.raw(`POST /proxies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n${'x'.repeat(1024 * 1024 + 1)}`)
    expect(status(await told)).toBe(413)
  })

  test('C46 a compressed body is 415, not unpacked', async () => {
    await using control = await openControl()
    const bomb = gzipSync(Buffer.alloc(1024 * 1024)).toString('latin1')
    expect(status(await control.raw(`POST /proxies HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nConnection: close\r\nContent-Length: ${bomb.length}\r\n\r\n${bomb}`))).toBe(415)
  })

  test('C47 JSON that nests too deep is 400', async () => {
    await using control = await openControl()
    expect((await control.ask('POST', '/proxies', '['.repeat(200_000))).status).toBe(400)
    expect((await control.ask('POST', '/proxies', `{"name":${'['.repeat(65)}${']'.repeat(65)}}`)).status).toBe(400)
  })

  test('C48 __proto__ has no effect', async () => {
    await using control = await openControl()
    await control.ask('POST', '/proxies', '{"__proto__":{"name":"a","enabled":false},"name":"b","listen":"127.0.0.1:0","upstream":"127.0.0.1:9"}')
    const told = await control.ask('POST', '/proxies/b/toxics', '{"type":"http_error","attributes":{"__proto__":{"status":404}}}')
    expect(told.status).toBe(400)
    expect(({} as Record<string, unknown>)['name']).toBeUndefined()
    expect(Object.keys((await control.ask('GET', '/proxies')).json())).toEqual(['b'])
  })
})

test('C55 a head that comes in drops is closed with 408 after five seconds', { timeout: 15_000 }, async () => {
  await using control = await openControl()
  const { hostname, port } = new URL(control.url)
  const socket = connect(Number(port), hostname)
  let text = ''
  socket.setEncoding('latin1').on('data', (data: string) => (text += data)).on('error', () => {})
  const start = process.hrtime.bigint()
  socket.write('GET / HT')
  await once(socket, 'close')
  expect(text).toMatch(/^HTTP\/1\.1 408 /)
  expect(Number(process.hrtime.bigint() - start) / 1e9).toBeLessThan(8)
})

test('C56 more connections than are taken are closed, and the others are not harmed', { timeout: 20_000 }, async () => {
  await using control = await openControl()
  const { hostname, port } = new URL(control.url)
  const sockets = await Promise.all(
    Array.from({ length: 1024 }, async () => {
      const socket = connect(Number(port), hostname).on('error', () => {})
      await once(socket, 'connect')
      return socket
    }),
  )
  const first = sockets[0]!
  const answered = once(first, 'data')
  first.write(get('localhost'))
  expect(String((await answered)[0])).toContain('200 OK')
  const late = connect(Number(port), hostname).on('error', () => {})
  late.resume()
  await once(late, 'close')
  for (const socket of sockets) socket.destroy()
})

test('C57 an upgrade is refused', async () => {
  await using control = await openControl()
  expect(status(await control.raw('GET /resil/events HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'))).toBe(403)
})

describe('under traffic', () => {
  test('C54 a proxy that is deleted closes its connections, and answers at once', async () => {
    await using wire = await openWire(http([], () => answer('fine')))
    await using control = await openControl()
    const proxy = await withProxy(control, wire.link.address)
    const client = await open(proxy.link.address.port)
    client.socket.write(post('/'))
    await client.until('fine')
    const closed = once(client.socket, 'close')
    expect((await control.ask('DELETE', '/proxies/bank')).status).toBe(204)
    await closed
  })

  test.each(['latency', 'bandwidth', 'timeout', 'hang', 'http_delay', 'slow_close'])('a %s toxic that blocks connections is taken away in milliseconds', async (type) => {
    await using wire = await openWire(http([], () => answer('fine')))
    await using control = await openControl()
    const proxy = await withProxy(control, wire.link.address)
    const attributes = { latency: { latency: 3_600_000 }, bandwidth: { rate: 0 }, http_delay: { ms: 3_600_000 }, slow_close: { delay: 3_600_000 } }[type] ?? {}
    await control.ask('POST', '/proxies/bank/toxics', { type, name: 't', attributes })
    const clients = await Promise.all(Array.from({ length: 50 }, () => open(proxy.link.address.port)))
    for (const client of clients) client.socket.end(post('/'))
    while (proxy.rules.get('t')!.hits < 50) await new Promise((resolve) => setImmediate(resolve))
    const start = process.hrtime.bigint()
    expect((await control.ask('DELETE', '/proxies/bank/toxics/t')).status).toBe(204)
    expect(Number(process.hrtime.bigint() - start) / 1e6).toBeLessThan(500)
    for (const client of clients) client.socket.destroy()
  })

  test('metrics, connections and rules move while a connection is open', async () => {
    await using wire = await openWire(http([], () => answer('fine')))
    await using control = await openControl()
    const proxy = await withProxy(control, wire.link.address)
    await control.ask('POST', '/proxies/bank/toxics', { type: 'latency', attributes: { latency: 1 } })
    const client = await open(proxy.link.address.port)
    client.socket.write(post('/v1'))
    await client.until('fine')
    const { text, type } = await control.ask('GET', '/metrics')
    expect(type).toContain('text/plain; version=0.0.4')
    for (const line of [
      `toxiproxy_proxy_received_bytes_total{direction="upstream",proxy="bank",listener="${proxy.listen}",upstream="${proxy.upstream}"} ${post('/v1').length}`,
      `toxiproxy_proxy_sent_bytes_total{direction="downstream",proxy="bank",listener="${proxy.listen}",upstream="${proxy.upstream}"} ${answer('fine').length}`,
      'resil_proxy_connections{proxy="bank"} 1',
      'resil_proxy_requests_total{proxy="bank"} 1',
      'resil_proxy_answers_total{proxy="bank",class="2xx"} 1',
      'resil_toxic_hits_total{type="latency"} 1',
      'resil_proxy_request_duration_seconds_count{proxy="bank"} 1',
      'resil_proxy_request_duration_seconds_bucket{proxy="bank",le="+Inf"} 1',
    ]) expect(text.split('\n')).toContain(line)
    expect((await control.ask('GET', '/resil/connections')).json()).toMatchObject([{ proxy: 'bank', number: 1, exchanges: 1, protocol: 'http', state: 'open' }])
    expect((await control.ask('GET', '/resil/rules')).json()).toMatchObject([{ proxy: 'bank', name: 'latency_downstream', hits: 1, matches: 1 }])
    expect((await control.ask('GET', '/resil/proxies')).json()).toMatchObject([{ name: 'bank', toxics: [{ hits: 1 }], traffic: { requestsTotal: 1 } }])
    client.socket.destroy()
  })

  test('the journal has each hit and each change, and is read on from where one was', async () => {
    await using wire = await openWire(http([], () => answer('fine')))
    await using control = await openControl()
    const proxy = await withProxy(control, wire.link.address)
    await control.ask('POST', '/proxies/bank/toxics', { type: 'http_error', attributes: { first: 1 } })
    const client = await open(proxy.link.address.port)
    client.socket.write(post('/v1'))
    await client.until('503')
    const { seed, lines, next } = (await control.ask('GET', '/resil/journal')).json()
    expect(seed).toBe(1)
    expect(lines.map(({ type }: { type: string }) => type)).toEqual(['proxy.created', 'toxic.added', 'toxic.hit'])
    expect(lines[2]).toMatchObject({ link: 'bank', toxic: 'http_error_upstream', exchange: 1, action: 'answered instead of the service', status: 503 })
    expect((await control.ask('GET', `/resil/journal?after=${next}`)).json().lines).toEqual([])
    expect((await control.ask('GET', '/resil/journal?limit=1')).json()).toMatchObject({ lines: [{}], next: lines[0].seq })
    expect((await control.ask('GET', '/resil/journal?proxy=other')).json().lines).toEqual([])
    expect((await control.ask('GET', '/resil/journal?after=soon')).status).toBe(400)
    client.socket.destroy()
  })
})

test('events come as they happen, those that were asked for', async () => {
  await using control = await openControl()
  const gone = new AbortController()
  const response = await fetch(`${control.url}/resil/events?types=proxy.`, { signal: gone.signal })
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  expect((await reader.read()).value).toBe(': resil\n\n')
  await control.ask('POST', '/proxies', { name: 'a', listen: '127.0.0.1:0', upstream: 'x:1', toxics: [{ type: 'noop' }] })
  const { value } = await reader.read()
  expect(value).toMatch(/^id: \d+\ndata: \{.*"type":"proxy\.created".*\}\n\n$/)
  gone.abort()
})

test('/resil/ tells what there is', async () => {
  await using control = await openControl()
  expect((await control.ask('GET', '/resil/')).json()).toMatchObject({ version: '0.0.0', toxiproxy: '2.12.0', seed: 1, routes: expect.arrayContaining(['/resil/scenario', '/proxies']) })
})

describe('a schedule', () => {
  async function setup() {
    const clock = new VirtualClock()
    const log = new EventLog('test', clock)
    const proxies = new Proxies({ clock, log, seed: 1, toxics })
    await proxies.create({ name: 'a', listen: '127.0.0.1:0', upstream: '127.0.0.1:9', enabled: false })
    const schedule = new Schedule({ clock, log: log.from('proxy'), proxies })
    const names = () => proxies.get('a').rules.list().map(({ name }) => name)
    return { clock, proxies, schedule, names }
  }

  test('adds, changes and removes at its times, and undoes what has an end', async () => {
    const { clock, proxies, schedule, names } = await setup()
    schedule.start({
      stages: [
        { at: 10, proxy: 'a', add: [{ type: 'latency', name: 'slow', attributes: { latency: 5 } }] },
        { at: 20, proxy: 'a', add: [{ type: 'noop' }], for: 15 },
        { at: 30, proxy: 'a', update: [{ name: 'slow', attributes: { latency: 9 } }] },
        { at: 40, proxy: 'a', remove: ['slow'] },
      ],
    })
    const seen: [number, string[]][] = []
    for (const at of [5, 15, 25, 36, 45]) {
      await clock.run(clock.sleep(at - clock.monotonic()))
      seen.push([at, names()])
      if (at === 36) expect(proxies.get('a').rules.get('slow')!.attributes['latency']).toBe(9)
    }
    expect(seen).toEqual([[5, []], [15, ['slow']], [25, ['slow', 'noop_downstream']], [36, ['slow']], [45, []]])
    expect(schedule.state).toMatchObject({ state: 'ended', rounds: 1, done: 5, failed: [] })
  })

  test('begins anew as often as asked', async () => {
    const { clock, schedule } = await setup()
    schedule.start({ stages: [{ at: 0, proxy: 'a', add: [{ type: 'noop' }], for: 10 }], repeat: 100, times: 3 })
    await clock.run(clock.sleep(1000))
    expect(schedule.state).toMatchObject({ state: 'ended', rounds: 3, done: 6 })
  })

  test('goes on past a stage that cannot be carried out, and says so', async () => {
    const { clock, schedule, names } = await setup()
    schedule.start({ stages: [{ at: 1, proxy: 'a', update: [{ name: 'none' }] }, { at: 2, proxy: 'a', add: [{ type: 'noop' }] }] })
    await clock.run(clock.sleep(10))
    expect(names()).toEqual(['noop_downstream'])
    expect(schedule.state.failed).toMatchObject([{ at: 1, proxy: 'a', error: expect.stringContaining('no toxic "none"') }])
  })

  test('that is stopped does nothing more', async () => {
    const { clock, schedule, names } = await setup()
    schedule.start({ stages: [{ at: 5, proxy: 'a', add: [{ type: 'noop' }] }] })
    schedule.stop()
    await clock.run(clock.sleep(10))
    expect(names()).toEqual([])
    expect(schedule.state.state).toBe('stopped')
  })

  test('is started, told and stopped over the API; a wrong one is refused', async () => {
    await using control = await openControl()
    await control.ask('POST', '/proxies', { name: 'a', listen: '127.0.0.1:0', upstream: 'x:1' })
    expect((await control.ask('GET', '/resil/scenario')).json().state).toBe('none')
    expect((await control.ask('POST', '/resil/scenario', { stages: [{ at: '1h', proxy: 'a', add: [{ type: 'noop' }] }] })).status).toBe(201)
    expect((await control.ask('GET', '/resil/scenario')).json()).toMatchObject({ state: 'running', plan: { stages: [{ at: 3_600_000 }] } })
    expect((await control.ask('DELETE', '/resil/scenario')).status).toBe(204)
    for (const plan of [{}, { stages: [] }, { stages: [{ at: 'soon', proxy: 'a', enabled: true }] }, { stages: [{ at: -1, proxy: 'a', enabled: true }] }, { stages: [{ at: 1, proxy: 'a' }] }, { stages: [{ proxy: 'a', add: [{ type: 'none' }] }] }]) {
      expect((await control.ask('POST', '/resil/scenario', plan)).status).toBe(400)
    }
    expect((await control.ask('POST', '/resil/scenario', { stages: [{ proxy: 'b', enabled: true }] })).status).toBe(404)
  })
})

describe('an upstream that is a URL', () => {
  test('has its Host and its path, with the toxics of the link before it; it can be changed to another and back to bytes', async () => {
    const seen: string[] = []
    await using service = await openWire(http(seen, () => answer('fine')))
    await using control = await openControl()
    const { port } = service.link.address
    const made = await control.ask('POST', '/proxies', { name: 'api', listen: '127.0.0.1:0', upstream: `http://localhost:${port}/v2` })
    expect(made.json()).toMatchObject({ upstream: `http://localhost:${port}/v2`, enabled: true })
    const url = `http://${made.json().listen}`
    expect(await (await fetch(`${url}/x`)).text()).toBe('fine')
    expect(seen[0]).toMatch(new RegExp(`^GET /v2/x HTTP/1.1\\r\\n[^]*host: localhost:${port}\\r\\n`, 'i'))
    await control.ask('POST', '/proxies/api/toxics', { type: 'http_error', attributes: { path: '/x', first: 1 } })
    expect((await fetch(`${url}/x`)).status).toBe(503)
    expect((await control.ask('PATCH', '/proxies/api', { upstream: `http://localhost:${port}/v3` })).status).toBe(200)
    await (await fetch(`${url}/y`)).text()
    expect(seen.at(-1)).toMatch(/^GET \/v3\/y /)
    expect((await control.ask('PATCH', '/proxies/api', { upstream: `127.0.0.1:${port}` })).json().upstream).toBe(`127.0.0.1:${port}`)
    await (await fetch(`${url}/z`)).text()
    expect(seen.at(-1)).toMatch(/^GET \/z /)
  })

  test('that cannot be is 400', async () => {
    await using control = await openControl()
    expect((await control.ask('POST', '/proxies', { name: 'a', listen: '127.0.0.1:0', upstream: 'http://u:p@x' })).status).toBe(400)
    expect((await control.ask('GET', '/proxies')).text).toBe('{}')
  })
})
