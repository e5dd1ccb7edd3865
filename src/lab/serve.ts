/** One engine as the service that it is: a store on disk, an HTTP face, loops; and an orderly end. */
import { existsSync, statSync } from 'node:fs'
import type { Clock } from '../clock.ts'
import type { Log } from '../events.ts'
import { HttpNetwork } from '../http-client.ts'
import { serveHttp } from '../http-server.ts'
import type { Network, Service } from '../network.ts'
import type { Random } from '../random.ts'
import type { CreateEngine, Engine } from '../engines/engine.ts'
import type { Head } from '../engines/payment/ledger.ts'
import { Anchor, verify } from '../engines/payment/ledger.ts'
import { ANCHOR_SUFFIX, openSqlite } from '../engines/store/sqlite.ts'
import { isStoreTrouble } from '../engines/store/store.ts'
import type { Store, Tx } from '../engines/store/store.ts'
import { hasTable, refuseOthers } from './audit.ts'

/** How often the head of the ledger is read, to be remembered beside the database, ms. */
const ANCHOR_EVERY_MS = 1000

export interface ServeEngine {
  clock: Clock
  random: Random
  log: Log
  node: string
  incarnation: number
  /** The database file. */
  db: string
  host?: string
  port: number
  /** Base URLs of fraud, bank and notification. */
  services: Record<string, string>
  settings?: Record<string, unknown>
  createEngine: CreateEngine
  /** A life's boundary, when it may be made to die at a crossing. */
  boundary?: { store(inner: Store): Store; network(inner: Network): Network; handle(inner: Service): Service }
}

export interface Served {
  url: string
  port: number
  /** The database file: absolute, without symbolic links. */
  db: string
  /** What the operator should know about it. */
  warnings: readonly string[]
  /** Rejects when the engine's loops end by themselves: a bug. */
  failed: Promise<never>
  /** Accepts nothing more, answers what is in flight for up to `drainMs`, ends the loops, closes the store. Idempotent. */
  close(drainMs: number): Promise<void>
}

/** Throws what the store (STORE_*, LEDGER_*), the engine or the port refuse. */
export async function serveEngine(options: ServeEngine): Promise<Served> {
  const { clock, random, log, node, incarnation, boundary } = options
  const network = new HttpNetwork({ clock, services: options.services })
  await refuseUnsound(options)
  const store = await openSqlite(options.db, { clock, random: random.fork('store') })
  const stop = new AbortController()
  try {
    const anchor = new Anchor(`${store.path}${ANCHOR_SUFFIX}`, clock)
    const engine: Engine = await options.createEngine(
      { clock, random, network: boundary ? boundary.network(network) : network, store: boundary ? boundary.store(store) : store, log, node, incarnation },
      options.settings,
    )
    const keeping = (await hasTable(store, 'ledger')) ? anchor : undefined
    const server = await serveHttp(boundary ? boundary.handle(engine.handle) : engine.handle, { clock, host: options.host, port: options.port, log })
    const loops = Promise.all([engine.start(stop.signal), keeping && keep(keeping, store, clock, stop.signal)])
    const failed = new Promise<never>((_, reject) => loops.catch(reject))
    failed.catch(() => {}) // whoever waits for it is told; nobody has to
    let closing: Promise<void> | undefined
    const close = async (drainMs: number) => {
      await server.close(drainMs)
      stop.abort()
      await loops.catch(() => {}) // told by `failed`
      await network.close()
      try {
        await anchor.close()
      } finally {
        await store.close()
      }
    }
    return {
      url: server.url,
      port: server.port,
      db: store.path,
      warnings: store.facts().warnings,
      failed,
      close: (drainMs) => (closing ??= close(drainMs)),
    }
  } catch (error) {
    await network.close()
    await store.close()
    throw error
  }
}

/** Throws LEDGER_* through a connection that cannot write: what was lost must not look like a new beginning, and closing a writer would move its log into the file. */
async function refuseUnsound({ db, clock, random }: ServeEngine): Promise<void> {
  // Nothing yet, or a creation that was killed: there is no ledger to lose, and what an anchor says of that is the store's to tell.
  if (!existsSync(db) || statSync(db).size === 0 || existsSync(`${db}-journal`)) return
  const store = await openSqlite(db, { clock, random: random.fork('check'), readOnly: true })
  try {
    await refuseOthers(store, 'payment')
    const begun = await hasTable(store, 'ledger')
    await store.transaction('verify', async (tx) => {
      if (begun) await verify(tx)
      await new Anchor(`${store.path}${ANCHOR_SUFFIX}`, clock).check(begun ? tx : NOTHING)
    })
  } finally {
    await store.close()
  }
}

/** A ledger that is not there holds no entry. */
const NOTHING: Tx = { query: async () => [] }

/** Tells the anchor of every head that has been committed, until the signal aborts and once more after it. A store in trouble is asked again next time. */
async function keep(anchor: Anchor, store: Store, clock: Clock, signal: AbortSignal): Promise<void> {
  for (let last = false; !last; ) {
    await clock.sleep(ANCHOR_EVERY_MS, signal)
    last = signal.aborted
    try {
      const [head] = await store.transaction('head', (tx) => tx.query<Head>('SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1'))
      if (head) anchor.note(head)
    } catch (error) {
      if (!isStoreTrouble(error)) throw error
    }
  }
}
