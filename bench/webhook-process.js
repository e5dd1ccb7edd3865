// One process of `bench/webhook.js` or `scripts/sweep-webhook-hour.js`, told over its channel what to be: the sink, a sender that keeps nothing, or the webhook engine.
import { createServer } from 'node:net'
import { SystemClock } from '../dist/clock.js'
import { silentLog } from '../dist/events.js'
import { OpenNetwork } from '../dist/open-network.js'
import { Random } from '../dist/random.js'
import { openSqlite } from '../dist/engines/store/sqlite.js'
import { WebhookEngine } from '../dist/engines/webhook/engine.js'
import { migrations } from '../dist/engines/webhook/migrations.js'
import { AT_AT, AT_DIGITS, BODY_BYTES, bodyOf, inParallel, microseconds, N_AT, N_DIGITS, obeyParent, ownCpuMs, paced, senderOf } from './webhook-wire.js'

const clock = new SystemClock()
const HANG_MS = 3000
/** Producers who wait for their answers. */
const PRODUCERS = 100
const ANSWER = Buffer.from('HTTP/1.1 204 No Content\r\n\r\n')
const HEAD_END = Buffer.from('\r\n\r\n')
const HANG = Buffer.from('POST /hang ')
const LENGTH = Buffer.from(`content-length: ${BODY_BYTES}\r\n`)

/** The receivers: bytes in, 204 out. It knows each message by its number, so nothing is counted twice. @param {{ addresses: number }} orders */
async function sink({ addresses }) {
  let seen = new Uint8Array(1 << 20)
  let distinct = 0
  let twice = 0
  let wanted
  let lags = []
  let hung = 0
  const take = (head, body) => {
    const n = Number(body.latin1Slice(N_AT, N_AT + N_DIGITS))
    if (n >= seen.length) {
      const larger = new Uint8Array(Math.max(n + 1, seen.length * 2))
      larger.set(seen)
      seen = larger
    }
    if (seen[n] === 1) twice++
    else distinct++
    seen[n] = 1
    const hangs = head.subarray(0, HANG.length).equals(HANG)
    if (hangs) hung++
    else lags.push(microseconds() - Number(body.latin1Slice(AT_AT, AT_AT + AT_DIGITS)))
    if (wanted && distinct >= wanted.many) {
      wanted.resolve()
      wanted = undefined
    }
    return hangs
  }
  const serve = (socket) => {
    let rest
    socket.setNoDelay(true)
    socket.on('error', () => {}) // whoever leaves is counted by nobody
    socket.on('data', (chunk) => {
      let bytes = rest ? Buffer.concat([rest, chunk]) : chunk
      rest = undefined
      for (;;) {
        const end = bytes.indexOf(HEAD_END)
        if (end < 0 || bytes.length < end + 4 + BODY_BYTES) break
        const head = bytes.subarray(0, end + 2)
        if (!head.includes(LENGTH)) throw new Error(`not a message of ours: ${head}`)
        const hangs = take(head, bytes.subarray(end + 4, end + 4 + BODY_BYTES))
        if (hangs) setTimeout(() => socket.write(ANSWER), HANG_MS)
        else socket.write(ANSWER)
        bytes = bytes.subarray(end + 4 + BODY_BYTES)
      }
      if (bytes.length > 0) rest = bytes
    })
  }
  // As many origins as there are addresses: all of 127.0.0.0/8 is this machine.
  const origins = []
  let port = 0
  for (let i = 0; i < addresses; i++) {
    const host = `127.0.${Math.floor(i / 200)}.${(i % 200) + 1}`
    const server = createServer(serve)
    await new Promise((resolve, reject) => server.once('error', reject).listen({ port, host, backlog: 4096 }, resolve))
    port = server.address().port
    origins.push(`http://${host}:${port}`)
  }
  return {
    told: { origins },
    /** Resolves once so many different messages have come since the beginning. @param {{ many: number, withinMs: number }} orders */
    async expect({ many, withinMs }) {
      if (distinct < many) {
        let timer
        const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`${distinct} of ${many} messages came within ${withinMs} ms`)), withinMs)))
        await Promise.race([new Promise((resolve) => (wanted = { many, resolve })), late])
        clearTimeout(timer)
      }
      return { at: microseconds() }
    },
    /** ms from the making of a message to its arrival, of those that came since this was last asked; who hangs is not among them. */
    async lags() {
      const sorted = Float64Array.from(lags).sort()
      const at = (share) => (sorted.length === 0 ? null : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] / 1000)
      const result = { healthy: sorted.length, p50: at(0.5), p99: at(0.99), most: at(1), hung, distinct, twice }
      lags = []
      hung = 0
      return result
    },
  }
}

/** @param {{ origins: string[], clients: number }} orders */
async function bare({ origins, clients, endpoints }) {
  const { send, close } = senderOf(origins, Math.ceil(clients / origins.length) * 2)
  const one = (n) => send({ n, endpoint: n % endpoints, path: `/e/${n % endpoints}`, body: bodyOf(n) })
  let from = 0
  let many = 0
  return {
    async fill(orders) {
      ;({ from, many } = orders)
      return { cpuUs: 0 }
    },
    async begin() {
      const cpu = ownCpuMs()
      let n = from
      await inParallel(() => one(n++), many, clients)
      return { cpuMs: ownCpuMs() - cpu }
    },
    async paced(orders) {
      const cpu = ownCpuMs()
      const { made } = await paced(orders, one)
      return { made, cpuMs: ownCpuMs() - cpu }
    },
    async end() {
      return { cpuMs: 0 }
    },
    close,
  }
}

/** How long works of a name have held the store, ms: nothing else runs while one does. */
function timed(store) {
  const spent = new Map()
  return {
    spent,
    store: {
      transaction: (name, work) =>
        store.transaction(name, async (tx) => {
          const from = performance.now()
          try {
            return await work(tx)
          } finally {
            spent.set(name, (spent.get(name) ?? 0) + performance.now() - from)
          }
        }),
      migrate: (all) => store.migrate(all),
      close: () => store.close(),
      get insideTransaction() {
        return store.insideTransaction
      },
    },
  }
}

/**
 * The engine as a program embeds it, with nobody reading its events. Endpoint i is told of `bench.e<i>`; `hang` of `bench.hang`.
 * @param {{ db: string, origins: string[], endpoints: number, settings?: object, time?: boolean, hang?: boolean, down?: string }} orders
 */
async function engine({ db, origins, endpoints, settings = {}, time = false, hang = false, down }) {
  const random = Random.system()
  const opened = await openSqlite(db, { clock, random })
  await opened.migrate(migrations)
  const { store, spent } = time ? timed(opened) : { store: opened, spent: new Map() }
  const allow = ['127.0.0.0/8']
  let incarnation = 0
  const network = new OpenNetwork({ clock, allow })
  const build = () =>
    new WebhookEngine({ clock, random, network, store, log: silentLog, node: 'n1', incarnation: ++incarnation, masterKeys: [Buffer.alloc(32, 7)], allow, plainHttp: true, version: '0.0.0' }, settings)
  let current = build()
  let adding = 0
  await inParallel(async () => {
    const i = adding++
    await current.endpoints.add({ url: `${origins[i % origins.length]}/e/${i}`, patterns: [`bench.e${i}`] })
  }, endpoints, PRODUCERS)
  if (hang) await current.endpoints.add({ url: `${origins[0]}/hang`, patterns: ['bench.hang'] })
  if (down) await current.endpoints.add({ url: down, patterns: ['bench.down'] })
  let abort
  let running
  let cpu = 0
  const take = (n, type) => current.events.take({ type, body: bodyOf(n) })
  return {
    async fill({ from, many }) {
      const before = ownCpuMs()
      let n = from
      await inParallel(() => {
        const at = n++
        return take(at, `bench.e${at % endpoints}`)
      }, many, PRODUCERS)
      return { cpuUs: ((ownCpuMs() - before) * 1000) / many }
    },
    async begin() {
      abort = new AbortController()
      cpu = ownCpuMs()
      running = current.start(abort.signal)
      running.catch((error) => {
        console.error(error)
        process.exit(1)
      })
      return { cpuMs: 0 }
    },
    /** Every `hangEvery`th goes to the one that hangs. */
    async paced({ hangEvery, ...orders }) {
      const before = ownCpuMs()
      const { made } = await paced(orders, (n) => take(n, hangEvery && n % hangEvery === 0 ? 'bench.hang' : `bench.e${n % endpoints}`))
      return { made, cpuMs: ownCpuMs() - before }
    },
    /** What was under way is written down, then it ends. */
    async end() {
      abort.abort()
      await running
      const cpuMs = ownCpuMs() - cpu
      current = build()
      const times = Object.fromEntries(spent)
      spent.clear()
      return { cpuMs, times }
    },
    /** Each delivered once, with one attempt, and the lanes' counters say the same. `waiting` may be left of what hangs. */
    async verify({ many, waiting = 0 }) {
      const [row] = await store.transaction('verify', (tx) => tx.query(
        `SELECT (SELECT COUNT(*) FROM delivery WHERE state = 'delivered') AS delivered, (SELECT COUNT(*) FROM attempt WHERE outcome = 'delivered') AS attempts, (SELECT SUM(delivered) FROM lane) AS counted,
           (SELECT COUNT(*) FROM delivery d JOIN endpoint e ON e.lane = d.lane WHERE d.state <> 'delivered' AND e.patterns <> '["bench.down"]') AS others`,
      ))
      if (row.delivered + row.others !== many || row.others > waiting || row.attempts !== row.delivered || row.counted !== row.delivered) throw new Error(`of ${many} the store says ${JSON.stringify(row)}`)
      const { journal, synchronous } = opened.facts()
      if (journal !== 'wal' || synchronous !== 2) throw new Error(`not durable: journal ${journal}, synchronous ${synchronous}`)
      return row
    },
    /** Of this process and of its store; the counters outlive what is forgotten. */
    async facts() {
      const [row] = await store.transaction('facts', (tx) => tx.query('SELECT SUM(seq) AS taken, SUM(delivered) AS delivered, (SELECT COUNT(*) FROM delivery) AS kept FROM lane'))
      return { ...row, rssMiB: process.memoryUsage.rss() / 2 ** 20, cpuMs: ownCpuMs() }
    },
    async close() {
      await network.close()
      await opened.close()
    },
  }
}

obeyParent({ sink, bare, engine })
