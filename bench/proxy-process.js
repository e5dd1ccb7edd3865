// One process of `bench/proxy.js`, told over its channel what to be: the service, a way to it, or the load.
// Every message {do, ...} is answered by one message, the result or {error}.
import { connect, createServer } from 'node:net'
import { createServer as createHttp, Agent } from 'node:http'
import { createProxyServer } from 'http-proxy'
import { SystemClock } from '../dist/clock.js'
import { EventLog } from '../dist/events.js'
import * as catalog from '../dist/catalog.js'
import { Proxies } from '../dist/proxy/proxies.js'

const clock = new SystemClock()
const SMALL = Buffer.alloc(1024, 'x')
const LARGE = Buffer.alloc(1024 * 1024, 'x')
const head = (length) => Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ${length}\r\n\r\n`)
const ANSWERS = { s: Buffer.concat([head(SMALL.length), SMALL]), l: Buffer.concat([head(LARGE.length), LARGE]) }
const REQUESTS = Object.fromEntries(['s', 'l'].map((size) => [size, Buffer.from(`GET /${size} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n`)]))

const listen = (server) => new Promise((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => resolve(server.address().port)))

/** Answers each request by the first letter of its path; requests come whole, one at a time. */
async function service() {
  let sockets = 0
  const server = createServer({ noDelay: true }, (socket) => {
    sockets++
    socket.on('error', () => {})
    socket.on('close', () => sockets--)
    socket.on('data', (bytes) => socket.write(bytes[5] === 108 ? ANSWERS.l : ANSWERS.s))
  })
  return { port: await listen(server), facts: () => ({ sockets }) }
}

const noFacts = () => ({})

/** What everybody writes first: six lines. */
async function pipe({ upstream }) {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const service = connect({ port: upstream, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    client.on('error', () => service.destroy()).pipe(service)
    service.on('error', () => client.destroy()).pipe(client)
  })
  return { port: await listen(server), facts: noFacts }
}

/** As `resil proxy start` runs it. */
async function ours({ upstream, toxics }) {
  const units = await Promise.all(Object.values(catalog.toxics).map((load) => load()))
  const proxies = new Proxies({ clock, log: new EventLog('bench', clock), seed: 1, toxics: Object.fromEntries(units.map((toxic) => [toxic.name, toxic])) })
  const { link } = await proxies.create({ name: 'bench', listen: '127.0.0.1:0', upstream: `127.0.0.1:${upstream}`, toxics })
  return { port: link.address.port, facts: () => ({ connections: link.connections }) }
}

/** HTTP forwarding by the successor of http-proxy, with an agent that keeps connections. */
async function forward({ upstream }) {
  const proxy = createProxyServer({ target: `http://127.0.0.1:${upstream}`, agent: new Agent({ keepAlive: true, maxSockets: 256 }) })
  proxy.on('error', (_error, _request, response) => response.destroy?.())
  return { port: await listen(createHttp((request, response) => proxy.web(request, response).catch?.(() => response.destroy()))), facts: noFacts }
}

/** Closed loops: each client asks, waits for its whole answer, asks again. */
function load() {
  function client(port, size, until, fresh, latencies) {
    return new Promise((resolve, reject) => {
      const bodyBytes = size === 'l' ? LARGE.length : SMALL.length
      let socket
      let left = 0 // of the answer; Infinity until its head has come
      let start
      const open = () => {
        start = clock.monotonic()
        socket = connect({ port, host: '127.0.0.1', noDelay: true }, ask).on('error', reject).on('data', heard)
      }
      const ask = () => {
        if (!fresh) start = clock.monotonic()
        left = Number.POSITIVE_INFINITY
        socket.write(REQUESTS[size])
      }
      const heard = (bytes) => {
        if (left === Number.POSITIVE_INFINITY) left = bytes.indexOf('\r\n\r\n') + 4 + bodyBytes // a head comes in one piece
        left -= bytes.length
        if (left > 0) return
        if (left < 0) return reject(new Error('more came than was asked for'))
        const now = clock.monotonic()
        latencies.push(now - start)
        if (now >= until || fresh) socket.destroy()
        if (now >= until) resolve()
        else if (fresh) open()
        else ask()
      }
      open()
    })
  }
  return {
    async round({ port, clients, size, ms, fresh }) {
      const latencies = []
      const begun = clock.monotonic()
      await Promise.all(Array.from({ length: clients }, () => client(port, size, begun + ms, fresh, latencies)))
      const tookMs = clock.monotonic() - begun
      latencies.sort((a, b) => a - b)
      return { requests: latencies.length, rate: (latencies.length / tookMs) * 1000, p50: latencies[latencies.length >> 1], p99: latencies[Math.floor(latencies.length * 0.99)] }
    },
    /** Opens and holds connections that say nothing. */
    async idle({ port, connections }) {
      const sockets = []
      for (let n = 0; n < connections; n++) await new Promise((resolve, reject) => sockets.push(connect(port, '127.0.0.1', resolve).on('error', reject)))
      this.held = sockets
    },
    drop() {
      for (const socket of this.held) socket.resetAndDestroy()
    },
    /** Asks for much and leaves in the middle. */
    async abort({ port, requests, clients }) {
      let left = requests
      const one = () =>
        new Promise((resolve) => {
          const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(REQUESTS.l))
          socket.on('error', () => {})
          socket.once('data', () => socket.resetAndDestroy())
          socket.on('close', resolve)
        })
      await Promise.all(Array.from({ length: clients }, async () => { while (left-- > 0) await one() }))
    },
  }
}

const ROLES = { service, pipe, ours, forward, load }
let role

process.on('message', async ({ do: what, ...orders }) => {
  try {
    if (what === 'be') {
      role = await ROLES[orders.role](orders)
      process.send({ port: role.port ?? 0 })
    } else if (what === 'facts') {
      if (orders.collected) globalThis.gc() // only where memory is the question: it makes the code slow for a while
      const { user, system } = process.cpuUsage()
      process.send({ cpuUs: user + system, rss: process.memoryUsage().rss, ...role.facts() })
    } else process.send((await role[what](orders)) ?? {})
  } catch (error) {
    process.send({ error: String(error?.stack ?? error) })
  }
})
process.on('disconnect', () => process.exit())
