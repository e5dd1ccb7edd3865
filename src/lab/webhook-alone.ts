/** The webhook engine on a database file: the operator's way to it, and one node of it in this process. */
import { createHash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { SystemClock } from '../clock.ts'
import type { Log } from '../events.ts'
import { silentLog } from '../events.ts'
import { serveHttp } from '../http-server.ts'
import type { Network, Service } from '../network.ts'
import { OpenNetwork } from '../open-network.ts'
import { Random } from '../random.ts'
import type { CreateWebhook, WebhookEngine } from '../engines/webhook/engine.ts'
import { createEngine } from '../engines/webhook/engine.ts'
import { REQUEST_MOST } from '../engines/webhook/http.ts'
import { migrations } from '../engines/webhook/migrations.ts'
import type { WebhookSettings } from '../engines/webhook/settings.ts'
import type { SqliteStore } from '../engines/store/sqlite.ts'
import { openSqlite } from '../engines/store/sqlite.ts'
import type { Store } from '../engines/store/store.ts'
import { refuseOthers } from './audit.ts'

/** What an engine needs to know of the world around it. */
export interface WebhookPlace {
  /** The one that seals first. Asked for once the database has been found good, for a key may be made here. */
  keys(): readonly Uint8Array[]
  /** Networks, in CIDR notation, that endpoints may be in beside public ones. */
  allow: readonly string[]
  plainHttp: boolean
  token?: string
  version: string
}

export interface OpenedWebhooks {
  /** It is not started: for what an operator does on the store. */
  engine: WebhookEngine
  store: SqliteStore
  clock: Clock
  close(): Promise<void>
}

/** Throws what the store and the keys refuse, and STORE_NOT_OURS for the database of another engine. */
export async function openWebhooks(db: string, place: WebhookPlace, clock: Clock = new SystemClock()): Promise<OpenedWebhooks> {
  const random = Random.system()
  const store = await openSqlite(db, { clock, random: random.fork('store') })
  const nobody: Network = { call: () => Promise.reject(new Error('an engine that is not started sends nothing')) }
  try {
    await refuseOthers(store, 'webhook')
    await store.migrate(migrations)
    const engine = createEngine({ ...place, masterKeys: place.keys(), clock, random, network: nobody, store, log: silentLog, node: 'operator', incarnation: clock.now() }, {})
    return { engine, store, clock, close: () => store.close() }
  } catch (error) {
    await store.close()
    throw error
  }
}

export interface WebhookNode {
  url: string
  port: number
  db: string
  warnings: readonly string[]
  engine: WebhookEngine
  /** Rejects when the node cannot go on. */
  failed: Promise<never>
  /** Accepts nothing more, lets what is in flight end, for up to `drainMs`, and leaves nothing behind. Idempotent. */
  close(drainMs: number): Promise<void>
}

export interface WebhookNodeOptions {
  clock: Clock
  log: Log
  db: string
  node: string
  host?: string
  port: number
  place: WebhookPlace
  settings: Partial<WebhookSettings>
  create?: CreateWebhook
  /** A node of the laboratory: its boundary, its chance, and who vouches for customers there (PEM). */
  lab?: { boundary: { store(inner: Store): Store; network(inner: Network): Network; handle(inner: Service): Service }; random: Random; incarnation: number; ca: string }
}

/** Throws what the store, the keys, the engine or the port refuse. */
export async function runWebhookNode({ clock, log, db, node, host, port, place, settings, create = createEngine, lab }: WebhookNodeOptions): Promise<WebhookNode> {
  const random = lab?.random ?? Random.system()
  const store = await openSqlite(db, { clock, random: random.fork('store') })
  const network = new OpenNetwork({ clock, allow: place.allow, connectionsPerOrigin: settings.inFlightMost, ca: lab?.ca })
  const stop = new AbortController()
  try {
    await refuseOthers(store, 'webhook')
    await store.migrate(migrations)
    const engine = create({ ...place, masterKeys: place.keys(), clock, random, network: lab?.boundary.network(network) ?? network, store: lab?.boundary.store(store) ?? store, log, node, incarnation: lab?.incarnation ?? clock.now() }, settings)
    const server = await serveHttp(lab?.boundary.handle(engine.handle) ?? engine.handle, { clock, host, port, log, maxBodyBytes: REQUEST_MOST })
    const running = engine.start(stop.signal)
    const failed = new Promise<never>((_, reject) => running.catch(reject))
    failed.catch(() => {}) // whoever waits for it is told
    let closing: Promise<void> | undefined
    const close = async (drainMs: number) => {
      await server.close(drainMs)
      stop.abort()
      await running.catch(() => {}) // told by `failed`
      await network.close()
      await store.close()
    }
    return { url: server.url, port: server.port, db: store.path, warnings: store.facts().warnings, engine, failed, close: (drainMs) => (closing ??= close(drainMs)) }
  } catch (error) {
    await network.close()
    await store.close()
    throw error
  }
}

/** The master key of a laboratory's world: it follows from the seed, like everything in it. */
export function labKey(seed: number): Buffer {
  return createHash('sha256').update(`laboratory ${seed}`).digest()
}
