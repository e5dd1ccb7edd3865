// Mutated HTTP exchanges: requests and answers that are whole, broken or nearly right, in pieces, ended by FIN or RST, through links without a
// toxic, with toxics that never match, with toxics that keep every byte, with toxics of any kind, and through the hop. Plain JavaScript, so that
// the suite runs it on src/ and `npm run sweep:exchanges` on dist/.
//
//   corpus ──mutate──▶ client ──▶ link ──▶ service ──▶ did the same bytes arrive?
//                        ▲                    │ corpus ──mutate
//                        └─────── link ◀──────┘
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { collected, sockets } from './memory.js'

/** Clients at a time, each with a service and proxies of its own. */
const AT_A_TIME = 24
/** A client that heard nothing for so long leaves, where toxics may keep it waiting for ever, ms. */
const PATIENCE_MS = 40
/** A run without such toxics that is not over by then hangs, ms. */
const LONGEST_MS = 8000
/** Of the runs, after which memory is looked at for the first time: code is compiled by then. */
const WARM = 0.2
/** Looks for sockets that have not closed yet, before they count as left. */
const CLOSING = 30
/** A service whose client was cut off may go on for a while: at the end it is told to stop. */
const MAX_PIECES = 5

/** Of a hundred runs: how many of each kind. */
const KINDS = { plain: 40, indifferent: 15, gentle: 15, any: 20, hop: 10 }

/** They delay, and change no byte. */
const GENTLE = [
  { type: 'latency', attributes: { latency: 2, jitter: 2 } },
  { type: 'bandwidth', attributes: { rate: 20_000 } },
  { type: 'slicer', attributes: { average_size: 400, size_variation: 200, delay: 10 } },
  { type: 'slow_close', attributes: { delay: 2 } },
  { type: 'noop', attributes: {} },
  { type: 'http_delay', attributes: { ms: 2 } },
  { type: 'dribble', attributes: { over: 5, pieces: 4 } },
]
const INDIFFERENT = Array.from({ length: 10 }, (_, n) => ({ type: ['http_error', 'lost_response', 'latency', 'http_delay', 'duplicate_request'][n % 5], name: `t${n}`, attributes: { path: `/never/${n}/**` } }))

const REQUESTS = [
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'HEAD /x?y=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  'GET / HTTP/1.0\r\n\r\n',
  'POST /v1/charges HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k1\r\nContent-Length: 11\r\n\r\namount=9900',
  'POST /v1/charges HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc',
  'PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nTrailer: yes\r\n\r\n',
  'DELETE /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1f\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n0\r\n\r\n',
  'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nPOST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nokGET /4 HTTP/1.1\r\nHost: a\r\n\r\n',
  'CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n\x16\x03\x01\x02\x00',
  'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x05hello',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde',
  'GET / HTTP/1.1\r\nHost: a\r\nX: folded\r\n over two lines\r\n\r\n',
  'GET / HTTP/1.1\nHost: a\n\n',
  `GET /${'long'.repeat(500)} HTTP/1.1\r\nHost: a\r\nX-Big: ${'y'.repeat(9000)}\r\n\r\n`,
  `POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n${'z'.repeat(70_000)}`,
  '\x00\x00\x00\x08\x04\xd2\x16\x2f',
  '*1\r\n$4\r\nPING\r\n',
]
const ANSWERS = [
  'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n5;x=y\r\npedia\r\n0\r\nTrailer: t\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05world',
  'HTTP/1.0 200 OK\r\n\r\nuntil the end',
  'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusyHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na',
  `HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n${'b'.repeat(70_000)}`,
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nabcdefg',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx',
  'HTTP/1.1 200 \r\nX: folded\r\n\tline\r\nContent-Length: 1\r\n\r\na',
  'HTTP/1.1 200 OK\nContent-Length: 1\n\na',
  'HTTP/2 200\r\n\r\n',
  'SSH-2.0-OpenSSH\r\n',
  '+PONG\r\n',
  '',
]
const TOKENS = ['', '\r\n', '\r\n\r\n', '\n', '\r', '\x00', ' ', '\t', ':', ';', ',', '0\r\n\r\n', 'HTTP/1.1', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 200 OK\r\n', 'GET / HTTP/1.1\r\n', 'Content-Length: 3\r\n', 'Content-Length: -1\r\n', 'Content-Length: 99999999999999999999\r\n', 'Transfer-Encoding: chunked\r\n', 'Transfer-Encoding : chunked\r\n', 'Transfer-Encoding: chunked, identity\r\n', 'Connection: close\r\n', 'Connection: upgrade\r\nUpgrade: h2c\r\n', 'Expect: 100-continue\r\n', 'Host: evil\r\n', 'Idempotency-Key: k2\r\n', 'ffffffff\r\n', '0x3\r\n', '-1\r\n', 'é', '\xff\xfe', 'x'.repeat(5000), 'A: b\r\n'.repeat(150)]

/** Nothing, or one to four changes. */
function mutate(text, other, random) {
  let part = text
  if (random.next() < 0.15) return part
  for (let n = random.int(1, 4); n > 0; n--) {
    // Where the framing is, mostly.
    const end = random.next() < 0.7 ? Math.min(part.length, 300) : part.length
    const at = random.int(0, end)
    const to = Math.min(part.length, at + random.int(0, 12))
    part = random.pick([
      () => part.slice(0, at) + random.pick(TOKENS) + part.slice(at),
      () => part.slice(0, at) + random.pick(TOKENS) + part.slice(to),
      () => part.slice(0, at) + part.slice(to),
      () => part.slice(0, to) + part.slice(at),
      () => part.slice(0, at) + String.fromCharCode(random.int(0, 255)) + part.slice(at + 1),
      () => part.slice(0, at) + other.slice(random.int(0, other.length)),
      () => part.replace(/\d+/g, (found) => (random.next() < 0.2 ? String(random.int(0, 200)) : found)),
      () => part + other,
      () => part.slice(0, at),
    ])()
  }
  return part.slice(0, 300_000)
}

/** In up to MAX_PIECES writes. */
function pieces(bytes, random) {
  const cuts = Array.from({ length: random.int(0, MAX_PIECES - 1) }, () => random.int(0, bytes.length)).sort((a, b) => a - b)
  return [0, ...cuts].map((from, n) => bytes.subarray(from, cuts[n] ?? bytes.length)).filter((piece) => piece.length > 0)
}

/** Toxics of any kind and number, with small numbers for what they take. */
function someToxics(toxics, random) {
  return Array.from({ length: random.int(1, 3) }, (_, n) => {
    const toxic = random.pick(Object.values(toxics))
    const attributes = {}
    for (const [name, { type, unit, min = 0, max = 1000, choices }] of Object.entries(toxic.attributes)) {
      if (choices) attributes[name] = random.pick(choices)
      else if (type === 'string') continue
      else if (unit === 'ms' || unit === 'us') attributes[name] = Math.max(min, random.int(0, 8))
      else if (random.next() < 0.6) attributes[name] = type === 'number' ? random.next() * Math.min(max, 1) : random.int(min, Math.min(max, min + 600))
    }
    if (random.next() < 0.3) Object.assign(attributes, random.pick([{ method: 'POST' }, { path: '/v1/**' }, { every: 2 }, { first: 1 }, { probability: 0.5 }, { key: 'k*' }, { header: 'host' }]))
    return { type: toxic.name, name: `t${n}`, stream: random.pick(['upstream', 'downstream']), toxicity: random.next() < 0.8 ? 1 : 0.5, attributes }
  })
}

/** Writes the pieces, each in a turn of its own, then ends the socket as told. */
function say(socket, parts, how) {
  const next = (n) => {
    if (socket.destroyed) return
    if (n < parts.length) {
      socket.write(parts[n])
      setImmediate(next, n + 1)
    } else if (how === 'rst') socket.resetAndDestroy()
    else if (how === 'fin') socket.end()
  }
  next(0)
}

/**
 * `modules`: what it needs of resil. Answers how many runs there were of each kind, hits, memory in bytes at two points; `close` answers how many
 * sockets are left. Throws at the first byte that is not what was sent, with the seed and the run that show it again.
 */
export async function fuzzExchanges({ runs, seed, modules: { EventLog, Proxies, Random, SystemClock, toxics } }) {
  const socketsBefore = sockets()
  const warnings = /** @type {string[]} */ ([])
  const warned = (/** @type {Error} */ warning) => void warnings.push(String(warning))
  process.on('warning', warned)
  const clock = new SystemClock()
  const log = new EventLog('fuzz', clock)
  const told = /** @type {Record<string, number>} */ ({})
  log.subscribe(({ type }) => {
    told[type] = (told[type] ?? 0) + 1
  })
  const proxies = new Proxies({ clock, log, seed, toxics })
  const kinds = /** @type {Record<string, number>} */ ({})
  const services = []
  let begun = 0
  let exact = 0
  let early = process.memoryUsage()
  const random = Random.seeded(seed)

  async function openService() {
    const service = { sockets: new Set(), script: null, port: 0, close: () => {} }
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const { script } = service
      service.sockets.add(socket)
      socket.on('error', () => {}).on('close', () => service.sockets.delete(socket))
      if (!script) return socket.destroy()
      let answered = false
      const answer = () => {
        if (answered) return
        answered = true
        say(socket, script.answer, script.serviceEnds === 'rst' ? 'rst' : undefined)
      }
      socket.on('data', (bytes) => {
        script.received.push(bytes)
        answer()
      })
      socket.on('end', () => {
        answer()
        // Behind what is still being said.
        const end = (left) => (left > 0 ? setImmediate(end, left - 1) : socket.end())
        end(MAX_PIECES + 1)
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    service.port = server.address().port
    service.close = () => {
      server.close()
      for (const socket of service.sockets) socket.destroy()
    }
    services.push(service)
    return service
  }

  /** What the client got, once the connection is over. */
  function exchange(port, parts, how, patienceMs) {
    return new Promise((resolve, reject) => {
      const got = []
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      const hangs = setTimeout(() => reject(new Error('the connection does not end')), LONGEST_MS)
      let patience
      const wait = () => {
        clearTimeout(patience)
        if (patienceMs > 0) patience = setTimeout(() => socket.destroy(), patienceMs)
      }
      wait()
      socket.on('data', (bytes) => {
        got.push(bytes)
        wait()
      })
      socket.on('error', () => {}).on('close', () => {
        clearTimeout(hangs)
        clearTimeout(patience)
        resolve(Buffer.concat(got))
      })
      socket.on('end', () => socket.end())
      say(socket, parts, how)
    })
  }

  async function worker(number) {
    // Where toxics send requests twice, the second may come late: it must not come among those of which every byte counts.
    const [exactly, wildly] = [await openService(), await openService()]
    const make = (kind, spec) => proxies.create({ name: `${kind}-${number}`, listen: '127.0.0.1:0', upstream: `127.0.0.1:${(kind === 'any' ? wildly : exactly).port}`, toxics: [], ...spec })
    const through = {
      plain: await make('plain'),
      indifferent: await make('indifferent', { toxics: INDIFFERENT }),
      gentle: await make('gentle'),
      any: await make('any'),
      hop: await make('hop', { upstream: `http://127.0.0.1:${wildly.port}` }),
    }
    while (begun < runs) {
      const run = ++begun
      const draw = random.fork(`run ${run}`)
      let left = draw.int(0, 99)
      const kind = Object.keys(KINDS).find((name) => (left -= KINDS[name]) < 0)
      const request = Buffer.from(mutate(draw.pick(REQUESTS), draw.pick(REQUESTS), draw), 'latin1')
      const answer = Buffer.from(mutate(draw.pick(ANSWERS), draw.pick(ANSWERS), draw), 'latin1')
      const clientEnds = draw.next() < 0.1 ? 'rst' : 'fin'
      const serviceEnds = draw.next() < 0.1 ? 'rst' : 'fin'
      const script = { answer: pieces(answer, draw), serviceEnds, received: [] }
      const waits = kind === 'any' || kind === 'hop'
      const service = waits ? wildly : exactly
      service.script = script
      const { link } = through[kind]
      if (kind === 'gentle') for (const [n, toxic] of GENTLE.entries()) if (draw.next() < 0.4) link.rules.add({ ...toxic, link: link.name, name: `g${n}`, ...(toxic.type.includes('http') || toxic.type === 'dribble' ? {} : { stream: draw.pick(['upstream', 'downstream']) }) })
      if (kind === 'any') {
        for (const toxic of someToxics(toxics, draw)) {
          try {
            link.rules.add({ ...toxic, link: link.name })
          } catch (error) {
            if (error.code !== 'BAD_TOXIC') throw error
          }
        }
      }
      kinds[kind] = (kinds[kind] ?? 0) + 1
      const standing = JSON.stringify(link.rules.list().map(({ toxic, stream, toxicity, attributes }) => ({ type: toxic.name, stream, toxicity, ...attributes })))
      const fail = (why, sent, came) => new Error(`run ${run} of seed ${seed}, ${kind}, the client ends by ${clientEnds}, the service by ${serviceEnds}: ${why}\ntoxics ${standing}\nrequest ${JSON.stringify(request.toString('latin1').slice(0, 3000))}\nanswer ${JSON.stringify(answer.toString('latin1').slice(0, 3000))}${came ? `\nsent ${sent.length}, came ${came.length}: ${JSON.stringify(came.toString('latin1').slice(0, 1000))}` : ''}`)
      const got = await exchange(link.address.port, pieces(request, draw), clientEnds, waits ? PATIENCE_MS : 0).catch((error) => {
        throw fail(error.message)
      })
      if (!waits) {
        const received = Buffer.concat(script.received)
        if (!request.subarray(0, received.length).equals(received)) throw fail('the service got other bytes than were sent', request, received)
        if (!answer.subarray(0, got.length).equals(got)) throw fail('the client got other bytes than were sent', answer, got)
        if (clientEnds === 'fin' && serviceEnds === 'fin') {
          if (received.length < request.length) throw fail('the service did not get all', request, received)
          if (got.length < answer.length) throw fail('the client did not get all', answer, got)
          exact++
        }
      }
      if (kind === 'gentle' || kind === 'any') link.rules.removeAll()
      service.script = null
      for (const since = performance.now(); link.connections > 0; await new Promise((resolve) => setTimeout(resolve, 1))) {
        for (const socket of service.sockets) socket.destroy()
        // A client that had ended its side hangs for minutes: nothing shows that it has gone.
        if (link.info().some(({ state }) => state === 'hanging')) await link.setEnabled(false).then(() => link.setEnabled(true))
        if (performance.now() - since > LONGEST_MS) throw fail(`both sides have ended, and the connection has not: ${JSON.stringify(link.info())}`)
      }
      if (warnings.length > 0) throw fail(`a warning: ${warnings[0]}`)
      if (run === Math.floor(runs * WARM)) early = await collected()
    }
  }

  try {
    await Promise.all(Array.from({ length: AT_A_TIME }, (_, n) => worker(n)))
    const late = await collected()
    return { runs, kinds, exact, told, early, late, close }
  } catch (error) {
    await close()
    throw error
  }

  /** Answers how many more sockets there are than before it all began. */
  async function close() {
    await proxies.close()
    for (const service of services) service.close()
    for (let wait = 0; wait < CLOSING && sockets() > socketsBefore; wait++) await collected()
    process.off('warning', warned)
    return sockets() - socketsBefore
  }
}
