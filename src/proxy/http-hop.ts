/**
 * The hop for upstreams that are URLs: HTTP is read and written anew, because Host, path and TLS change. It stands behind the link, which keeps
 * every fault at its byte:
 *
 *   client ◀──▶ link with its toxics ◀──▶ hop (127.0.0.1, this process) ◀──▶ the first route that fits
 *
 * What is forwarded is what node's own parser takes beyond doubt; everything else is 400 or 431, and nothing of it is forwarded. The forwarding
 * itself is the package `http-proxy` (httpxy, its maintained successor). Not kept, as with every HTTP forwarder: interim answers, trailers, the
 * case and order of headers. An upgrade passes once it is a WebSocket's.
 */
import { Agent as HttpAgent, createServer, STATUS_CODES } from 'node:http'
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { createProxyServer } from 'http-proxy'
import { ResilError } from '../errors.ts'
import type { Log } from '../events.ts'
import { problem } from '../network.ts'
import { globOf } from './glob.ts'

export interface HopRoute {
  /** Only paths like this, without the query; `*` stands for anything but `/`, `**` for anything. */
  path?: string
  /** Only requests to this host, without its port. */
  host?: string
  /** http:// or https://; its path goes before the request's. */
  url: string
}

export interface UpstreamTls {
  /** PEM of authorities that are trusted beside the usual ones. */
  ca?: string
  /** Takes any certificate. */
  insecure?: boolean
}

export interface HopSetup {
  /** The first that fits has the request; the last is for all and names neither path nor host. */
  routes: readonly HopRoute[]
  tls?: UpstreamTls
  /** Bound to src `proxy`. */
  log: Log
}

export interface Hop {
  /** On 127.0.0.1. */
  port: number
  close(): Promise<void>
}

const HEADERS_TIMEOUT_MS = 5000
const REQUEST_TIMEOUT_MS = 30_000
const TIMEOUT_CHECK_MS = 1000
/** Longer than clients keep theirs: the link closes with them. */
const KEEP_ALIVE_MS = 75_000
const MAX_CONNECTIONS = 10_000
const MAX_HEADER_LINES = 200
/** Connections to one upstream. */
const MAX_SOCKETS = 256
/** Silence of the upstream before the answer is given up. */
const UPSTREAM_TIMEOUT_MS = 120_000
const UPGRADE_TIMEOUT_MS = 10_000

/** Throws BAD_UPSTREAM for a route that cannot be, LISTEN_FAILED. */
export async function openHop({ routes, tls = {}, log }: HopSetup): Promise<Hop> {
  const ways = routes.map(readRoute)
  const agents = {
    'http:': new HttpAgent({ keepAlive: true, maxSockets: MAX_SOCKETS }),
    'https:': new HttpsAgent({ keepAlive: true, maxSockets: MAX_SOCKETS, ca: tls.ca, rejectUnauthorized: tls.insecure !== true }),
  }
  const forwarder = createProxyServer({ changeOrigin: true, proxyTimeout: UPSTREAM_TIMEOUT_MS, upgradeTimeout: UPGRADE_TIMEOUT_MS, secure: tls.insecure !== true })
  forwarder.on('error', (error, _request, response) => {
    log.emit('hop.failed', { error: error.message })
    if (response instanceof Socket) response.destroy()
    else if (response) refuse(response as ServerResponse, 502, 'The upstream cannot be reached, or broke off')
  })
  // What passed the doubts of node's parser is written anew; a body in chunks stays one, whatever the method.
  forwarder.on('proxyReq', (outgoing: ClientRequest, request) => {
    if (request.headers['transfer-encoding'] !== undefined && outgoing.getHeader('transfer-encoding') === undefined) outgoing.setHeader('transfer-encoding', 'chunked')
  })

  // Trailers do not pass: nobody shall wait for them.
  forwarder.on('proxyRes', (answer) => {
    delete answer.headers['trailer']
  })

  const wayOf = (request: IncomingMessage) => {
    const path = (request.url ?? '/').split('?', 1)[0]!
    const host = (request.headers.host ?? '').replace(/:\d+$/, '').toLowerCase()
    return ways.find((way) => (way.host === undefined || way.host === host) && (way.path === undefined || way.path(path)))!
  }

  // Sockets that the server has given away: it neither closes them nor forgets them.
  const held = new Set<Socket>()
  const hold = (socket: Socket) => {
    held.add(socket)
    socket.on('close', () => held.delete(socket))
  }

  const server = createServer({ headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS, connectionsCheckingInterval: TIMEOUT_CHECK_MS }, (request, response) => {
    const wrong = whatIsWrong(request)
    if (wrong) return refuse(response, wrong.status, wrong.title)
    stripHopByHop(request)
    const { url } = wayOf(request)
    response.on('error', () => {}) // the client is gone
    forwarder.web(request, response, { target: url, agent: agents[url.protocol as keyof typeof agents] }).catch(() => refuse(response, 502, 'The request cannot be forwarded'))
  })
  server.maxConnections = MAX_CONNECTIONS
  server.maxHeadersCount = 0 // counted by whatIsWrong: node would drop the rest in silence
  server.on('checkContinue', (request, response) => {
    if (!whatIsWrong(request)) response.writeContinue()
    server.emit('request', request, response)
  })
  server.on('upgrade', (request, socket: Socket, head) => {
    socket.on('error', () => {}) // the client is gone
    hold(socket)
    if (whatIsWrong(request) || request.headers.upgrade?.toLowerCase() !== 'websocket') return dismiss(socket, 400)
    const { url } = wayOf(request)
    forwarder.ws(request, socket, { target: url, agent: agents[url.protocol as keyof typeof agents] }, head).catch(() => socket.destroy())
  })
  server.on('connect', (_request, socket: Socket) => {
    socket.on('error', () => {}) // the client is gone
    hold(socket)
    dismiss(socket, 405)
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
    const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
    hold(socket as Socket)
    dismiss(socket as Socket, status)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new ResilError('LISTEN_FAILED', `the HTTP hop cannot listen: ${error.message}`, '', { cause: error })))
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      for (const socket of held) socket.destroy()
      for (const agent of Object.values(agents)) agent.destroy()
      await closed
    },
  }
}

function readRoute({ path, host, url }: HopRoute, n: number, all: readonly HopRoute[]) {
  const bad = (why: string, hint: string) => new ResilError('BAD_UPSTREAM', `${url}: ${why}`, hint)
  const target = URL.canParse(url) ? new URL(url) : undefined
  if (target?.protocol !== 'http:' && target?.protocol !== 'https:') throw bad('it is no http or https URL', 'write http://HOST:PORT/PATH')
  if (target.username !== '' || target.password !== '') throw bad('it carries a name or a password', 'let the client send its own')
  if (target.search !== '' || target.hash !== '') throw bad('it carries a query', 'leave it out')
  if (n === all.length - 1 && (path !== undefined || host !== undefined)) throw bad('the last route is for some requests only', 'let the last one be for all')
  return { path: path === undefined ? undefined : globOf(path, 'segment'), host: host?.toLowerCase(), url: target }
}

/** The last word on a socket. What still comes is read and dropped: unread, it would hide that the client has gone. */
function dismiss(socket: Socket, status: number): void {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
  socket.resume()
}

/** What node's parser lets pass and a strict reader does not. */
function whatIsWrong(request: IncomingMessage): { status: number; title: string } | undefined {
  const { rawHeaders } = request
  if (rawHeaders.length / 2 > MAX_HEADER_LINES) return { status: 431, title: `There are more than ${MAX_HEADER_LINES} header lines` }
  const count = (wanted: string) => rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === wanted).length
  if (count('host') !== 1) return { status: 400, title: 'There must be one Host' }
  if (count('content-length') > 1) return { status: 400, title: 'There are two Content-Lengths' }
  if (request.httpVersion !== '1.1' && request.httpVersion !== '1.0') return { status: 400, title: 'This is no HTTP/1' }
  return undefined
}

/** Headers that are for the next hop alone, and those that Connection names. The body's framing is made anew by whoever sends it. */
function stripHopByHop({ headers }: IncomingMessage): void {
  const named = String(headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase())
  for (const name of [...named, 'connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade']) if (name !== 'transfer-encoding' && name !== 'content-length' && name !== 'host') delete headers[name]
}

function refuse(response: ServerResponse, status: number, title: string): void {
  if (response.headersSent || response.destroyed) return void response.destroy()
  const { headers, body } = problem(status, status === 502 ? 'upstream-failed' : 'refused', title, { code: status === 502 ? 'UPSTREAM_FAILED' : 'REFUSED' })
  response.writeHead(status, { ...headers, connection: 'close', 'content-length': Buffer.byteLength(body) })
  response.end(body)
}
