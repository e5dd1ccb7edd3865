/** The scheduler on a database file: the operator's way to it, and one node of it in this process. */
import type { Clock } from '../clock.ts'
import { SystemClock } from '../clock.ts'
import type { Log } from '../events.ts'
import { HttpNetwork } from '../http-client.ts'
import { serveHttp } from '../http-server.ts'
import type { Network } from '../network.ts'
import { Random } from '../random.ts'
import type { CronSettings } from '../engines/cron/engine.ts'
import { CronEngine } from '../engines/cron/engine.ts'
import { migrations } from '../engines/cron/migrations.ts'
import { Registry } from '../engines/cron/registry.ts'
import type { Runner } from '../engines/cron/worker.ts'
import type { SqliteStore } from '../engines/store/sqlite.ts'
import { openSqlite } from '../engines/store/sqlite.ts'
import type { Store } from '../engines/store/store.ts'
import { refuseOthers } from './audit.ts'
import { hostOf } from './host.ts'
import { JobNetwork } from './job-network.ts'
import { jobRunner } from './job-runner.ts'
import { LabRunner } from './lab-runner.ts'

export interface OpenedCron {
  registry: Registry
  store: SqliteStore
  clock: Clock
  close(): Promise<void>
}

/** Throws what the store refuses, and STORE_NOT_OURS for the database of another engine. */
export async function openCron(db: string, clock: Clock = new SystemClock()): Promise<OpenedCron> {
  const random = Random.system()
  const store = await openSqlite(db, { clock, random: random.fork('store') })
  try {
    await refuseOthers(store, 'cron')
    await store.migrate(migrations)
  } catch (error) {
    await store.close()
    throw error
  }
  return { registry: new Registry(store, clock, random.fork('registry')), store, clock, close: () => store.close() }
}

export interface CronNode {
  url: string
  db: string
  warnings: readonly string[]
  /** Rejects when the node cannot go on; resolves when it has ended because it was drained. */
  ended: Promise<void>
  /** Gives up the lead, lets what runs come to its end, and leaves nothing behind. */
  close(): Promise<void>
}

export interface CronNodeOptions {
  clock: Clock
  log: Log
  db: string
  node: string
  host: string
  port: number
  env: Record<string, string | undefined>
  settings: Partial<CronSettings>
  probe: boolean
  /** A node of the laboratory: its boundary, and where its jobs find what they act on. */
  lab?: { boundary: { store(inner: Store): Store; network(inner: Network): Network }; services: Record<string, string> }
}

/** Throws what the store and the port refuse, and NODE_NAME_TAKEN. */
export async function runCronNode({ clock, log, db, node, host, port, env, settings, probe, lab }: CronNodeOptions): Promise<CronNode> {
  const opened = await openCron(db, clock)
  const network = new JobNetwork(clock)
  const services = lab && new HttpNetwork({ clock, services: lab.services })
  const programs = jobRunner({ clock, env })
  const runner = lab ? eitherOf(new LabRunner({ clock, network: lab.boundary.network(services!), build: settings.build ?? 1, block: (ms) => keepBusy(clock, ms) }), programs) : programs
  const closeNetworks = () => Promise.all([network.close(), services?.close()])
  const store = lab ? lab.boundary.store(opened.store) : opened.store
  const engine = new CronEngine({ clock, random: Random.system(), network, store, log, node, incarnation: clock.now(), runner, host: probe ? hostOf() : undefined }, settings)
  const stop = new AbortController()
  try {
    const server = await serveHttp(engine.handle, { clock, host, port, log })
    const ended = engine.start(stop.signal)
    ended.catch(() => {}) // whoever waits for it is told
    await Promise.race([engine.joined, ended]).catch(async (error: unknown) => {
      await server.close(0)
      throw error
    })
    return {
      url: server.url,
      db: opened.store.path,
      warnings: opened.store.facts().warnings,
      ended,
      async close() {
        stop.abort()
        await ended.catch(() => {}) // told already
        await server.close(0)
        await closeNetworks()
        await opened.close()
      },
    }
  } catch (error) {
    await closeNetworks()
    await opened.close()
    throw error
  }
}

function keepBusy(clock: Clock, ms: number): void {
  const until = clock.monotonic() + ms
  while (clock.monotonic() < until);
}

/** Jobs that the first one knows are its own. */
function eitherOf(first: Runner, second: Runner): Runner {
  return { knows: (job) => first.knows(job) || second.knows(job), run: (job, run) => (first.knows(job) ? first : second).run(job, run) }
}
