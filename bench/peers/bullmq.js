// BullMQ on Redis, as one process of `bench/webhook.js`; the Redis is started by `redisServer`.
//
// Settings, and where they are from:
//   appendonly yes, appendfsync everysec, maxmemory-policy noeviction   docs.bullmq.io/guide/going-to-production: persistence, and the policy that queues need
//   removeOnComplete                                                    docs.bullmq.io/guide/queues/auto-removal-of-jobs
//   attempts and exponential backoff                                    docs.bullmq.io, "Retrying failing jobs"
//   concurrency                                                         docs.bullmq.io, "Concurrency": one worker, many jobs that wait for the network
//   addBulk                                                             docs.bullmq.io, "Adding jobs in bulk"; beside it `add`, which answers each producer by itself
// The client is node-redis, which sends what one turn of the loop has asked for together (its documents, "Auto-Pipelining").
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Queue, Worker } from 'bullmq'
import { createClient } from 'redis'
import { bodyOf, inParallel, obeyParent, ownCpuMs, paced, senderOf } from '../webhook-wire.js'

const PRODUCERS = 100
const BULK = 100
const OPTIONS = { attempts: 8, backoff: { type: 'exponential', delay: 5000 }, removeOnComplete: true, removeOnFail: { count: 1000 } }

/** A Redis of our own, or undefined where there is none. @param {string} folder @param {number} port @param {string[]} pinned */
export async function redisServer(folder, port, pinned) {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  const dir = join(folder, 'redis')
  mkdirSync(dir)
  const [command, ...args] = [...pinned, 'redis-server', '--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--appendonly', 'yes', '--appendfsync', 'everysec', '--save', '', '--maxmemory-policy', 'noeviction']
  const child = spawn(command, args, { stdio: 'ignore' })
  const client = createClient({ url: `redis://127.0.0.1:${port}` })
  client.on('error', () => {}) // until it listens
  await client.connect()
  await client.ping()
  await client.close()
  return {
    pid: child.pid,
    stop: () => new Promise((resolve) => {
      child.once('exit', resolve)
      child.kill()
    }),
  }
}

/** @param {{ port: number, name: string, origins: string[], endpoints: number, clients: number }} orders */
async function worker({ port, name, origins, endpoints, clients }) {
  const connect = async () => {
    const client = createClient({ url: `redis://127.0.0.1:${port}` })
    await client.connect()
    return client
  }
  const { send, close } = senderOf(origins, Math.ceil(clients / origins.length) * 2)
  const queue = new Queue(name, { connection: await connect(), defaultJobOptions: OPTIONS })
  await queue.waitUntilReady()
  const data = (n, path = `/e/${n % endpoints}`) => ({ n, endpoint: n % endpoints, path, body: bodyOf(n) })
  let current
  let cpu = 0
  return {
    async fill({ from, many, bulk }) {
      const before = ownCpuMs()
      let n = from
      if (bulk) {
        for (let left = many; left > 0; left -= BULK) await queue.addBulk(Array.from({ length: Math.min(BULK, left) }, () => ({ name: 'deliver', data: data(n++) })))
      } else await inParallel(() => queue.add('deliver', data(n++)), many, PRODUCERS)
      return { cpuUs: ((ownCpuMs() - before) * 1000) / many }
    },
    async begin() {
      const connection = await connect()
      cpu = ownCpuMs()
      current = new Worker(name, async (job) => send(job.data), { connection, concurrency: clients, autorun: false })
      current.on('error', (error) => console.error(error))
      void current.run()
      return { cpuMs: 0 }
    },
    async paced({ hangEvery, ...orders }) {
      const before = ownCpuMs()
      const { made } = await paced(orders, (n) => queue.add('deliver', data(n, hangEvery && n % hangEvery === 0 ? '/hang' : undefined)))
      return { made, cpuMs: ownCpuMs() - before }
    },
    async end() {
      await current.close()
      return { cpuMs: ownCpuMs() - cpu }
    },
    async verify({ waiting = 0 }) {
      const counts = await queue.getJobCounts()
      const left = Object.values(counts).reduce((sum, count) => sum + count, 0)
      if (left > waiting) throw new Error(`left in the queue: ${JSON.stringify(counts)}`)
      return counts
    },
    async close() {
      await queue.close()
      await close()
    },
  }
}

if (process.send) obeyParent({ worker })
