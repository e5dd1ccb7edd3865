// Mutated requests to the control API: whole ones, broken ones, and many that are nearly right, on connections of their own, eight at a time, with
// traffic through whatever proxies they make. Plain JavaScript, so that the suite runs it on src/ and `npm run sweep:control` on dist/.
//
//   corpus ──mutate──▶ raw bytes ──▶ control API ──▶ answer ──▶ is it one that the API may give?
//                                        └──▶ proxies ◀── bytes to and from a service that echoes
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { collected, sockets } from './memory.js'

const AT_A_TIME = 8
/** A request that the server takes for unfinished is ended after this long, ms. */
const PATIENCE_MS = 40
/** Proxies that are there at a time; each has a port. */
const MAX_PROXIES = 30
/** Lines that the journal keeps at the most, with those that it is about to drop: filled first, so that what grows later is a leak. */
const JOURNAL_LINES = 20_000
/** Of the runs, after which memory is looked at for the first time: code is compiled by then. */
const WARM = 0.2

/** Looks for sockets that have not closed yet, before they count as left: on a busy machine closing takes a while. */
const CLOSING = 30

const TOXICS = ['latency', 'bandwidth', 'slow_close', 'timeout', 'reset_peer', 'slicer', 'limit_data', 'noop', 'packet_loss', 'http_error', 'http_delay', 'lost_request', 'outage', 'ramp', 'quota', 'connect_refused', 'corrupt', 'header_edit']
const TOKENS = ['', '0', '-1', '1.5', '1e999', '-0', '9007199254740993', '99999999999999999999999', 'NaN', 'null', 'true', '"', '""', '{}', '[]', '[[[[', '}}', ',', ':', '\\u0000', '\\ud800', '\u0000', '\r\n', '\r\n\r\n', '%2f', '%00', '%', '..', '/', '?', '#', ' ', '\t', 'a'.repeat(5000), '"__proto__":{"a":1}', '"constructor":1', '127.0.0.1:0', '127.0.0.1:1', '[::1]:0', ':0', '10s', '1e3', '*', '(', 'ünïcödé', '\ufeff', 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', 'Expect: 100-continue\r\n', 'Host: evil\r\n', 'Content-Encoding: gzip\r\n', 'Connection: upgrade\r\nUpgrade: h2c\r\n']

/** Values that JSON may have where another one was. */
const VALUES = ['0', '-1', '1.5', '1e999', '1e-9', '9007199254740993', 'null', 'true', 'false', '""', '"x"', '"1s"', '"127.0.0.1:0"', '"upstream"', '{}', '[]', '[null]', '[{}]', '{"a":{"b":1}}', '{"latency":"1","method":7}', '[[[[[[[[[[]]]]]]]]]]']

const request = (method, path, body, more = '') => {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)
  const length = text === '' && method === 'GET' ? '' : `Content-Length: ${Buffer.byteLength(text)}\r\n`
  return `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${path.startsWith('/resil/') ? 'Content-Type: application/json\r\n' : ''}${more}${length}\r\n${text}`
}

function corpus(random, service) {
  const name = () => `p${random.int(0, 20)}`
  const toxic = () => {
    const type = random.pick(TOXICS)
    const own = { latency: { latency: random.int(0, 50), jitter: 3 }, bandwidth: { rate: random.int(0, 9) }, slicer: { average_size: random.int(0, 9), size_variation: 2, delay: 10 }, limit_data: { bytes: 100 }, http_error: { status: 503, path: '/v1/**', every: 2 }, timeout: { timeout: 5 }, outage: {} }[type]
    return { type, ...(random.next() < 0.5 ? { name: `t${random.int(0, 3)}` } : {}), ...(random.next() < 0.3 ? { stream: random.pick(['upstream', 'downstream', 'Upstream']), toxicity: 0.5 } : {}), ...(own ? { attributes: own } : {}) }
  }
  const proxy = () => ({ name: name(), listen: '127.0.0.1:0', upstream: service, ...(random.next() < 0.4 ? { toxics: [toxic()] } : {}), ...(random.next() < 0.2 ? { enabled: false } : {}) })
  const stage = () => ({ at: random.pick([0, 1, '5ms', '1s']), proxy: name(), ...(random.next() < 0.5 ? { for: '3ms' } : {}), ...random.pick([{ add: [toxic()] }, { remove: ['t1'] }, { enabled: false }, { update: [{ name: 't1', attributes: { latency: 3 }, toxicity: 0.2 }] }]) })
  return random.pick([
    () => request('POST', '/proxies', proxy()),
    () => request('POST', '/proxies', proxy()),
    () => request('POST', `/proxies/${name()}/toxics`, toxic()),
    () => request('POST', `/proxies/${name()}/toxics`, toxic()),
    () => request('POST', `/proxies/${name()}/toxics`, toxic()),
    () => request(random.pick(['POST', 'PATCH']), `/proxies/${name()}`, { enabled: random.next() < 0.8, ...(random.next() < 0.3 ? { listen: '127.0.0.1:0' } : {}) }),
    () => request('PATCH', `/proxies/${name()}/toxics/t${random.int(0, 3)}`, { attributes: { latency: 1, rate: 5, status: 500 }, toxicity: 0.7 }),
    () => request('DELETE', `/proxies/${name()}/toxics/t${random.int(0, 3)}`),
    () => request('DELETE', `/proxies/${name()}`),
    () => request('POST', '/populate', [proxy(), proxy()]),
    () => request('POST', '/reset'),
    () => request('GET', '/proxies'),
    () => request('GET', `/proxies/${name()}/toxics`),
    () => request('GET', '/version'),
    () => request('GET', '/metrics'),
    () => request('GET', '/resil/proxies'),
    () => request('GET', '/resil/rules'),
    () => request('GET', '/resil/connections'),
    () => request('GET', '/resil/journal?limit=5&after=3&proxy=p1'),
    () => request('GET', '/resil/events?types=toxic.,proxy.'),
    () => request('POST', '/resil/scenario', { stages: [stage(), stage()], ...(random.next() < 0.3 ? { repeat: '1s', times: 2 } : {}) }),
    () => request('DELETE', '/resil/scenario'),
  ])()
}

/** One to four changes to the body, mostly with the length made right again so that it is read; or to the path, or to the whole head. */
function mutate(text, other, random) {
  const start = text.indexOf('/')
  const blank = text.indexOf(' ', start)
  const split = text.indexOf('\r\n\r\n') + 4
  const body = text.slice(split)
  const where = random.next()
  if (body !== '' && where < 0.8) {
    const changed = change(body, other, random)
    const head = text.slice(0, split)
    return encode((random.next() < 0.9 ? head.replace(/Content-Length: \d+/, `Content-Length: ${Buffer.byteLength(changed)}`) : head) + changed, random)
  }
  if (where < 0.9) return encode(text.slice(0, start) + change(text.slice(start, blank), other, random) + text.slice(blank), random)
  return encode(change(text.slice(0, split), other, random) + body, random)
}

const encode = (text, random) => Buffer.from(text, random.next() < 0.8 ? 'utf8' : 'latin1')

function change(text, other, random) {
  let part = text
  for (let n = random.int(1, 4); n > 0; n--) {
    const at = random.int(0, part.length)
    const to = Math.min(part.length, at + random.int(0, 12))
    part = random.pick([
      () => part.slice(0, at) + random.pick(TOKENS) + part.slice(to),
      () => part.slice(0, at) + random.pick(TOKENS) + part.slice(at),
      () => part.slice(0, at) + part.slice(to),
      () => part.slice(0, at) + String.fromCharCode(random.int(0, 255)) + part.slice(at + 1),
      () => part.slice(0, to) + part.slice(at),
      () => part.slice(0, at) + other.slice(random.int(0, other.length)),
      () => part.replace(/"[^"]*"|\b\d+\b/g, (found) => (random.next() < 0.3 ? random.pick(TOKENS) : found)),
      () => part.replace(/(:\s*)("[^"]*"|\d+)/g, (all, colon) => (random.next() < 0.3 ? `${colon}${random.pick(VALUES)}` : all)),
      () => part.slice(0, at),
    ])().slice(0, 100_000)
  }
  return part
}

/** What came back, as far as its length says; '' when the connection was closed without a word. */
function exchange(port, bytes) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    const end = () => {
      clearTimeout(patience)
      socket.destroy()
      resolve(text)
    }
    const patience = setTimeout(() => {
      socket.end()
      setTimeout(() => reject(new Error('the server kept a connection that had ended')), 15_000).unref()
    }, PATIENCE_MS)
    socket.setEncoding('latin1').on('data', (data) => {
      text += data
      const head = text.indexOf('\r\n\r\n')
      if (head === -1 || text.startsWith('HTTP/1.1 1')) return
      const length = /^content-length: (\d+)/im.exec(text.slice(0, head))
      if (!length || text.length - head - 4 >= Number(length[1])) end()
    })
    socket.on('error', () => {}).on('close', end)
    socket.write(bytes)
  })
}

const STATUSES = new Set([200, 201, 204, 400, 401, 403, 404, 405, 408, 409, 413, 415, 417, 431, 500, 503])

/** Why the API may not answer that; undefined when it may. */
function wrong(answer) {
  const text = answer.replace(/^(?:HTTP\/1\.1 1\d\d [^\r\n]*\r\n\r\n)+/, '')
  if (text === '') return undefined // bytes that are no HTTP, or a connection that they closed
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1])
  if (!STATUSES.has(status)) return 'no status of the API'
  if (text.includes('something broke here')) return 'an error that nobody foresaw'
  const head = text.slice(0, text.indexOf('\r\n\r\n'))
  const body = text.slice(head.length + 4)
  if (/^access-control/im.test(head)) return 'a CORS header'
  if (status === 500 && !/"error":"(?:listen tcp|address |lookup )/.test(body)) return 'a 500 that no listener caused'
  if (!/^content-type: application\/(?:problem\+)?json/im.test(head)) return undefined
  try {
    JSON.parse(body)
  } catch {
    return 'a body that is not the JSON that it says'
  }
  return undefined
}

/**
 * `modules`: what it needs of resil. Answers how often each status came, memory in bytes at two points, and sockets that are left.
 * Throws at the first answer that the API may not give, with the request that got it.
 */
export async function fuzzControl({ runs, seed, modules: { EventLog, openAdmin, Proxies, Random, SystemClock, toxics } }) {
  const socketsBefore = sockets()
  const clock = new SystemClock()
  const log = new EventLog('fuzz', clock)
  const proxies = new Proxies({ clock, log, seed, toxics })
  const admin = await openAdmin({ proxies, log, clock, toxics, host: '127.0.0.1', port: 0, version: '0.0.0' })
  const port = Number(new URL(admin.url).port)
  const served = new Set()
  const service = createServer((socket) => {
    served.add(socket)
    socket.on('error', () => {}).on('close', () => served.delete(socket))
    socket.on('data', (bytes) => socket.write(bytes))
  }).listen(0, '127.0.0.1')
  await once(service, 'listening')
  const upstream = `127.0.0.1:${service.address().port}`
  for (let n = 0; n < JOURNAL_LINES; n++) log.emit('proxy', 'toxic.hit', { link: 'p0', toxic: 'filler', toxicType: 'noop', connection: n, exchange: null, action: 'bytes delayed', ms: n })
  await exchange(port, Buffer.from(request('POST', '/proxies', { name: 'p0', listen: '127.0.0.1:0', upstream })))

  const statuses = /** @type {Record<string, number>} */ ({})
  const traffic = new Set()
  let begun = 0
  let early = process.memoryUsage()
  const random = Random.seeded(seed)

  /** Some bytes through some proxy, then the client is gone. */
  function someTraffic(draw) {
    const target = draw.pick([...proxies.list(), undefined])
    if (!target?.enabled) return
    const socket = connect({ host: '127.0.0.1', port: target.link.address.port })
    traffic.add(socket)
    socket.on('error', () => {}).on('close', () => traffic.delete(socket)).resume()
    socket.write(draw.pick(['GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n', 'x'.repeat(3000), 'POST /v1/y HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc']))
    setTimeout(() => socket.destroy(), 10)
  }

  async function worker() {
    while (begun < runs) {
      const run = ++begun
      const draw = random.fork(`run ${run}`)
      const whole = corpus(draw, upstream)
      const bytes = draw.next() < 0.1 ? Buffer.from(whole) : mutate(whole, corpus(draw, upstream), draw)
      const answer = await exchange(port, bytes)
      const why = wrong(answer)
      if (why) throw new Error(`run ${run} of seed ${seed}: ${why}\n${JSON.stringify(bytes.toString('latin1').slice(0, 2000))}\n${JSON.stringify(answer.slice(0, 2000))}`)
      const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 'closed'
      statuses[status] = (statuses[status] ?? 0) + 1
      if (run % 5 === 0) someTraffic(draw)
      const all = proxies.list()
      if (all.length > MAX_PROXIES) await Promise.all(all.slice(1).map(({ name }) => proxies.delete(name).catch(() => {})))
      if (run % 500 === 0) {
        const alive = await exchange(port, Buffer.from(request('GET', '/version')))
        if (!alive.startsWith('HTTP/1.1 200 ')) throw new Error(`after run ${run} of seed ${seed} the API answers ${JSON.stringify(alive)}`)
      }
      if (run === Math.floor(runs * WARM)) early = await collected()
    }
  }

  try {
    await Promise.all(Array.from({ length: AT_A_TIME }, worker))
    for (const { name } of proxies.list()) await proxies.delete(name)
    admin.schedule.stop()
    for (const socket of traffic) socket.destroy()
    const late = await collected()
    return { runs, statuses, early, late, close }
  } catch (error) {
    await close()
    throw error
  }

  /** Answers how many more sockets there are than before it all began. */
  async function close() {
    await admin.close()
    await proxies.close()
    for (const socket of [...traffic, ...served]) socket.destroy()
    service.close()
    for (let wait = 0; wait < CLOSING && sockets() > socketsBefore; wait++) await collected()
    return sockets() - socketsBefore
  }
}
