// graphile-worker on PostgreSQL, as one process of `bench/webhook.js`; the PostgreSQL is started by `postgresServer`.
//
// Settings, and where they are from:
//   localQueue of 500, maxPoolSize 25     worker.graphile.org/docs/performance, the preset of its own figures
//   complete- and failJobBatchDelay 5     the same preset has 0, its options recommend a "noticeable fraction of a second": 5 ms is for how long the engine collects
//   concurrentJobs                        as many as wait for the network at once; its preset has 24 for jobs that do nothing
//   addJobs                               the same page, many at once; beside it `addJob`, which answers each producer by itself
// For trials in which slow jobs stand among quick ones the local queue is off (`batch`): it would lock the quick ones behind them.
// PostgreSQL as Debian ships it, with 256 MiB of shared buffers (its documents: a quarter of what is there) and synchronous_commit on.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import pg from 'pg'
import { bodyOf, inParallel, obeyParent, ownCpuMs, paced, senderOf } from '../webhook-wire.js'

const PRODUCERS = 100
const BULK = 100
const POOL = 25
const PREFIX = '/usr/lib/postgresql'

/** A PostgreSQL of our own, or undefined where there is none. @param {string} folder @param {number} port @param {string[]} pinned */
export async function postgresServer(folder, port, pinned) {
  const newest = existsSync(PREFIX) ? readdirSync(PREFIX).toSorted((a, b) => Number(a) - Number(b)).at(-1) : undefined
  const bin = newest && join(PREFIX, newest, 'bin')
  if (!bin || !existsSync(join(bin, 'initdb'))) return undefined
  const dir = join(folder, 'postgres')
  mkdirSync(dir)
  // It refuses to run as root: then as the user that its package has made.
  const owner = process.getuid() === 0 ? { uid: Number(execFileSync('id', ['-u', 'postgres'])), gid: Number(execFileSync('id', ['-g', 'postgres'])) } : {}
  if (owner.uid) execFileSync('chown', ['-R', 'postgres', dir])
  execFileSync(join(bin, 'initdb'), ['-D', dir, '-U', 'bench', '--auth', 'trust', '-E', 'UTF8'], { stdio: 'ignore', cwd: '/', ...owner })
  const [command, ...args] = [...pinned, join(bin, 'postgres'), '-D', dir, '-p', String(port), '-k', dir, '-c', 'listen_addresses=127.0.0.1', '-c', 'shared_buffers=256MB', '-c', 'max_connections=100']
  const child = spawn(command, args, { stdio: 'ignore', cwd: '/', ...owner })
  for (let tries = 0; ; tries++) {
    const client = new pg.Client({ connectionString: `postgres://bench@127.0.0.1:${port}/postgres` })
    try {
      await client.connect()
      await client.end()
      break
    } catch (error) {
      if (tries === 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  return {
    pid: child.pid,
    stop: () => new Promise((resolve) => {
      child.once('exit', resolve)
      child.kill('SIGINT')
    }),
  }
}

/** @param {{ port: number, name: string, origins: string[], endpoints: number, clients: number, batch: boolean }} orders */
async function worker({ port, name, origins, endpoints, clients, batch }) {
  const connectionString = `postgres://bench@127.0.0.1:${port}/postgres`
  const logger = new Logger(() => () => {})
  const { send, close } = senderOf(origins, Math.ceil(clients / origins.length) * 2)
  const utils = await makeWorkerUtils({ connectionString, logger, schema: name, maxPoolSize: POOL })
  await utils.migrate()
  const look = new pg.Client({ connectionString })
  await look.connect()
  const data = (n, path = `/e/${n % endpoints}`) => ({ n, endpoint: n % endpoints, path, body: bodyOf(n) })
  const options = { maxAttempts: 8 }
  const preset = { worker: { connectionString, schema: name, concurrentJobs: clients, maxPoolSize: POOL, pollInterval: 200, logger, ...(batch ? { localQueue: { size: 500, ttl: 60_000 }, completeJobBatchDelay: 5, failJobBatchDelay: 5 } : {}) } }
  let runner
  let cpu = 0
  return {
    async fill({ from, many, bulk }) {
      const before = ownCpuMs()
      let n = from
      if (bulk) {
        for (let left = many; left > 0; left -= BULK) await utils.addJobs(Array.from({ length: Math.min(BULK, left) }, () => ({ identifier: 'deliver', payload: data(n++), ...options })))
      } else await inParallel(() => utils.addJob('deliver', data(n++), options), many, PRODUCERS)
      return { cpuUs: ((ownCpuMs() - before) * 1000) / many }
    },
    async begin() {
      cpu = ownCpuMs()
      runner = await run({ preset, noHandleSignals: true, taskList: { deliver: (payload) => send(payload) } })
      return { cpuMs: 0 }
    },
    async paced({ hangEvery, ...orders }) {
      const before = ownCpuMs()
      const { made } = await paced(orders, (n) => utils.addJob('deliver', data(n, hangEvery && n % hangEvery === 0 ? '/hang' : undefined), options))
      return { made, cpuMs: ownCpuMs() - before }
    },
    async end() {
      await runner.stop()
      return { cpuMs: ownCpuMs() - cpu }
    },
    async verify({ waiting = 0 }) {
      const { rows } = await look.query(`SELECT COUNT(*)::int AS left FROM "${name}"._private_jobs`)
      if (rows[0].left > waiting) throw new Error(`left in the queue: ${rows[0].left}`)
      return rows[0]
    },
    async close() {
      await look.end()
      await utils.release()
      await close()
    },
  }
}

if (process.send) obeyParent({ worker })
