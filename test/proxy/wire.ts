/** One link between raw sockets: a service that a test scripts, a client that it drives. */
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { SystemClock } from '../../src/clock.ts'
import type { Clock } from '../../src/clock.ts'
import { EventLog } from '../../src/events.ts'
import type { Event } from '../../src/events.ts'
import { Link } from '../../src/proxy/link.ts'
import { Rules } from '../../src/proxy/rules.ts'
import type { Toxic } from '../../src/proxy/toxic.ts'

const folder = new URL('../../src/proxy/toxics/', import.meta.url)
const all = (await Promise.all(readdirSync(folder).map((file) => import(new URL(file, folder).href)))).map((unit) => unit.toxic as Toxic)

/** Every toxic there is. */
export const toxics: Record<string, Toxic> = Object.fromEntries(all.map((toxic) => [toxic.name, toxic]))

/** The client's or the service's end of a connection, and what came over it. */
export class End {
  readonly socket: Socket
  /** How the other side ended it: `fin` at its FIN, `rst` at its RST. */
  readonly ended: Promise<'fin' | 'rst'>
  #parts: Buffer[] = []

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => this.#parts.push(bytes))
    this.ended = new Promise((resolve) => {
      socket.on('end', () => resolve('fin'))
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNRESET' ? 'rst' : 'fin'))
    })
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }

  get text(): string {
    return this.bytes.toString('latin1')
  }

  /** Once what came contains `text` (`times` times); rejects when the connection closes before. */
  async until(text: string, times = 1): Promise<void> {
    while (this.text.split(text).length <= times) {
      if (this.socket.destroyed) throw new Error(`closed with ${JSON.stringify(this.text)}`)
      await new Promise<void>((resolve) => {
        const go = () => {
          this.socket.off('data', go).off('close', go)
          resolve()
        }
        this.socket.on('data', go).on('close', go)
      })
    }
  }
}

export interface Wire {
  link: Link
  rules: Rules
  log: EventLog
  events: Event[]
  /** Connections that the service has open. */
  served: Set<Socket>
  client(): Promise<End>
  /** Events of a type, in order. */
  of(type: string): Event[]
  /** Once there were `times` events of a type. */
  until(type: string, times?: number): Promise<void>
  /** Once the service has that many connections open. */
  untilServed(connections: number): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** `serve` is told each connection of the service. */
export async function openWire(serve: (end: End) => void, options: { seed?: number; upstreamPort?: number; clock?: Clock } = {}): Promise<Wire> {
  const clock = options.clock ?? new SystemClock()
  const log = new EventLog('test', clock)
  const events: Event[] = []
  log.subscribe((event) => events.push(event))
  const served = new Set<Socket>()
  const clients = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    served.add(socket)
    socket.on('close', () => served.delete(socket))
    serve(new End(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const rules = new Rules({ link: 'bank', seed: options.seed ?? 1, toxics, clock, log: log.from('proxy') })
  const upstream = { host: '127.0.0.1', port: options.upstreamPort ?? (server.address() as AddressInfo).port }
  const link = new Link({ name: 'bank', listen: { port: 0 }, upstream, rules, clock, log: log.from('proxy') })
  await link.setEnabled(true)
  return {
    link,
    rules,
    log,
    events,
    served,
    of: (type) => events.filter((event) => event.type === type),
    async until(type, times = 1) {
      while (events.filter((event) => event.type === type).length < times) await log.until(type)
    },
    async untilServed(connections) {
      while (served.size > connections) await Promise.race([...served].map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    },
    async client() {
      const socket = connect({ ...link.address, allowHalfOpen: true, noDelay: true })
      clients.add(socket)
      const end = new End(socket)
      await once(socket, 'connect')
      return end
    },
    async [Symbol.asyncDispose]() {
      for (const socket of [...clients, ...served]) socket.destroy()
      await link.close()
      server.close()
    },
  }
}

/** A service that answers each POST or GET with what `answer` says, byte for byte; `seen` are the requests, heads and bodies. */
export function http(seen: string[], answer: (request: string) => string | undefined): (end: End) => void {
  return (end) => {
    let read = 0
    end.socket.on('data', () => {
      for (;;) {
        const text = end.text.slice(read)
        const head = text.indexOf('\r\n\r\n')
        if (head === -1) return
        const length = Number(/content-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? 0)
        if (text.length < head + 4 + length) return
        const request = text.slice(0, head + 4 + length)
        read += request.length
        seen.push(request)
        const bytes = answer(request)
        if (bytes !== undefined) end.socket.write(bytes, 'latin1')
      }
    })
    end.socket.on('end', () => end.socket.end())
  }
}

/** A promise, and what settles it. */
export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

export function post(path: string, body = '{}', headers = ''): string {
  return `POST ${path} HTTP/1.1\r\nhost: bank\r\n${headers}content-length: ${body.length}\r\n\r\n${body}`
}

export function answer(body: string, headers = ''): string {
  return `HTTP/1.1 200 OK\r\n${headers}content-length: ${body.length}\r\n\r\n${body}`
}
