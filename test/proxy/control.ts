/** A control API with its proxies, over real sockets, and raw ways to ask it. */
import { connect } from 'node:net'
import { SystemClock } from '../../src/clock.ts'
import type { Clock } from '../../src/clock.ts'
import { EventLog } from '../../src/events.ts'
import { openAdmin } from '../../src/proxy/admin.ts'
import type { Admin } from '../../src/proxy/admin.ts'
import { Proxies } from '../../src/proxy/proxies.ts'
import { toxics } from './wire.ts'

export interface Told {
  status: number
  type: string | null
  headers: Headers
  text: string
  json(): any
}

export interface Control extends AsyncDisposable {
  admin: Admin
  proxies: Proxies
  log: EventLog
  url: string
  /** A body that is no text is sent as JSON. */
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Told>
  /** Bytes as they are; what came back until the end of the connection. */
  raw(bytes: string): Promise<string>
}

export async function openControl(options: { clock?: Clock; token?: string; host?: string } = {}): Promise<Control> {
  const clock = options.clock ?? new SystemClock()
  const log = new EventLog('test', clock)
  const proxies = new Proxies({ clock, log, seed: 1, toxics })
  const admin = await openAdmin({ proxies, log, clock, toxics, host: options.host ?? '127.0.0.1', port: 0, token: options.token, version: '0.0.0' })
  return {
    admin,
    proxies,
    log,
    url: admin.url,
    async ask(method, path, body, headers = {}) {
      const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
      const init = { method, body: text, headers: { connection: 'close', 'content-type': 'application/json', ...headers } }
      const response = await fetch(`${admin.url}${path}`, init)
      const told = await response.text()
      return { status: response.status, type: response.headers.get('content-type'), headers: response.headers, text: told, json: () => JSON.parse(told) }
    },
    raw(bytes) {
      return new Promise((resolve) => {
        const { hostname, port } = new URL(admin.url)
        const socket = connect(Number(port), hostname)
        let text = ''
        socket.setEncoding('latin1').on('data', (data: string) => (text += data))
        socket.on('error', () => {}).on('close', () => resolve(text))
        socket.write(bytes, 'latin1')
      })
    },
    async [Symbol.asyncDispose]() {
      await admin.close()
      await proxies.close()
    },
  }
}
