/**
 * A Service on a real socket: node:http in front, plain records behind.
 *
 * | what came                                  | what goes back                                             |
 * |--------------------------------------------|------------------------------------------------------------|
 * | a whole request                            | what the Service answers                                   |
 * | bytes that are no HTTP, no Host            | 400 by node itself, connection closed                      |
 * | two Hosts, a body that is not UTF-8        | 400 problem                                                |
 * | a body over `maxBodyBytes`                 | 413 problem before the rest is read, connection closed     |
 * | over HEADERS_LIMIT header lines            | 431 problem, connection closed                             |
 * | the Service throws CONNECTION_CUT          | RST, not one byte                                          |
 * | the Service throws anything else           | 500 problem that tells nothing; the log is told everything |
 *
 * A client that leaves does not stop the Service: the work may have been done, and its answer is stored for a second question.
 */
import { isUtf8 } from 'node:buffer'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net'
import { type Clock, within } from './clock.ts'
import { assert, ResilError } from './errors.ts'
import { type Log, silentLog } from './events.ts'
import { type HttpRequest, type HttpResponse, problem, type Service } from './network.ts'
import { reset } from './reset.ts'

/** From the connection's first byte to the end of a request's head, ms: a slow head holds a connection no longer. */
const HEADERS_TIMEOUT_MS = 5_000
/** From a request's first byte to its last, ms. */
const REQUEST_TIMEOUT_MS = 30_000
/** How often node looks for requests past the two limits above, ms; its own default of 30 s would make 5 s mean 35 s. */
const TIMEOUT_CHECK_MS = 1_000
/** Header lines in one request. */
const HEADERS_LIMIT = 200
/** Open connections; the next ones are closed on arrival. */
const CONNECTIONS_LIMIT = 1024
/** An idle connection is kept this long, ms. Well over the client's, so that it is always our client that closes first: a request never meets a closing connection. */
export const SERVER_KEEP_ALIVE_MS = 10_000
/** How long a refused body is read and thrown away, ms: closing at once would reset the connection, and the client would miss the 413. */
const LINGER_MS = 1_000
const MAX_BODY_BYTES = 64 * 1024
/** A reason of its own spares the error that is made without one. */
const LEFT = 'the client left'

export interface ServeOptions {
  clock: Clock
  host?: string
  /** 0 takes a free one. */
  port?: number
  maxBodyBytes?: number
  log?: Log
}

export interface HttpServer {
  /** Without a slash at its end. */
  url: string
  host: string
  port: number
  /** Accepts nothing more; answers what is in flight for up to `drainMs`, then cuts what is left. Resolves when no connection is left. Idempotent. */
  close(drainMs: number): Promise<void>
}

/** Listens, or throws PORT_BUSY, or LISTEN_FAILED for any other reason. */
export async function serveHttp(service: Service, options: ServeOptions): Promise<HttpServer> {
  const { clock, host = '127.0.0.1', port = 0, maxBodyBytes = MAX_BODY_BYTES, log = silentLog } = options
  const sockets = new Set<Socket>()
  const inFlight = new Set<ServerResponse>()
  let closing: Promise<void> | undefined

  function send(response: ServerResponse, { status, headers, body }: HttpResponse, close = false): void {
    const all: Record<string, string | number> = { ...headers }
    if (status !== 204 && status !== 304) all['content-length'] = Buffer.byteLength(body)
    if (close || closing) all.connection = 'close'
    response.writeHead(status, all)
    response.end(body)
  }

  function refuseBody(request: IncomingMessage, response: ServerResponse): void {
    const { status, headers, body } = problem(413, 'body-too-large', 'The body is too large', { code: 'BODY_TOO_LARGE', maxBodyBytes })
    response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' })
    response.write(body)
    const cancel = clock.after(LINGER_MS, () => response.end())
    request.once('end', () => response.end())
    response.once('close', cancel)
    request.resume()
  }

  async function answer(request: HttpRequest, response: ServerResponse): Promise<void> {
    const gone = new AbortController()
    response.once('close', () => {
      if (!response.writableFinished) gone.abort(LEFT)
    })
    try {
      const answered = await service(request, gone.signal)
      assert(answered.status >= 200, `a Service answered ${answered.status}, which is not a final status`)
      send(response, answered)
    } catch (error) {
      if (error instanceof ResilError && error.code === 'CONNECTION_CUT') {
        reset(response.req.socket)
        return
      }
      log.emit('service.failed', { method: request.method, path: request.path, why: error instanceof Error ? error.stack : String(error) })
      if (!response.headersSent) send(response, problem(500, 'internal', 'Something broke here', { code: 'INTERNAL' }))
    }
  }

  function receive(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    inFlight.add(response)
    response.once('close', () => {
      inFlight.delete(response)
      if (closing) socket.destroySoon()
    })
    if (request.rawHeaders.length > 2 * HEADERS_LIMIT) {
      send(response, problem(431, 'too-many-headers', 'Too many header lines', { code: 'TOO_MANY_HEADERS', limit: HEADERS_LIMIT }), true)
      return
    }
    const headers = joined(request.rawHeaders)
    if (headers.host?.includes(',')) { // no host has a comma in its name
      send(response, problem(400, 'two-hosts', 'More than one Host header', { code: 'TWO_HOSTS' }), true)
      return
    }
    if (Number(headers['content-length'] ?? 0) > maxBodyBytes) {
      refuseBody(request, response)
      return
    }
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      if (bytes > maxBodyBytes) return
      bytes += chunk.length
      if (bytes > maxBodyBytes) {
        chunks.length = 0
        refuseBody(request, response)
      } else {
        chunks.push(chunk)
      }
    })
    request.on('end', () => {
      if (bytes > maxBodyBytes) return
      const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
      if (isUtf8(body)) void answer({ method: request.method!, path: request.url!, headers, body: body.toString() }, response)
      else send(response, problem(400, 'body-not-utf8', 'The body is not valid UTF-8', { code: 'BODY_NOT_UTF8' }))
    })
  }

  const server = createServer({
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    keepAliveTimeout: SERVER_KEEP_ALIVE_MS,
  }, receive)
  server.maxHeadersCount = HEADERS_LIMIT + 1 // node drops further lines without a word: one more than the limit shows that there were too many
  server.maxConnections = CONNECTIONS_LIMIT
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') reject(new ResilError('PORT_BUSY', `port ${port} on ${host} is in use`, 'stop what listens there, or choose another port; 0 takes a free one', { cause: error }))
      else reject(new ResilError('LISTEN_FAILED', `cannot listen on ${host} port ${port}: ${error.message}`, 'choose another host or port', { cause: error }))
    })
    server.listen({ port, host, backlog: CONNECTIONS_LIMIT }, resolve)
  })
  server.removeAllListeners('error')
  server.on('error', (error) => log.emit('service.failed', { why: error.stack }))

  async function drain(drainMs: number): Promise<void> {
    // net's close, not http's: that one takes an answer for given when it is written, and cuts it while the client still reads.
    const ended = new Promise<true>((resolve) => NetServer.prototype.close.call(server, () => resolve(true)))
    const busy = new Set([...inFlight].map((response) => response.req.socket))
    for (const socket of sockets) {
      if (!busy.has(socket)) socket.destroy()
    }
    if (!await within(clock, drainMs, ended)) server.closeAllConnections()
    await ended
    server.close(() => {}) // only stops node's own check of timeouts; that it is closed already is no news
  }

  const bound = (server.address() as AddressInfo).port
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    host,
    port: bound,
    close: (drainMs) => (closing ??= drain(drainMs)),
  }
}

/** Every header line, those included that node drops or keeps apart: a second Idempotency-Key must be seen. */
function joined(raw: string[]): Record<string, string> {
  const headers: Record<string, string> = {}
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    const value = raw[i + 1]!
    headers[name] = Object.hasOwn(headers, name) ? `${headers[name]}, ${value}` : value
  }
  return headers
}
