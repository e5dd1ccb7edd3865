// `npm run sweep:webhook-backlog`: all hundred endpoints refuse for two hours while 200,000 events come (--events 200000); then they are back, and 2,000 more come at a hundred a second. In
// virtual time, on a store in a file, and with nothing kept but what the engine keeps: RSS is the engine's. Prints the figures last; exit code 1 when an event is lost, RSS reaches
// 300 MB, or the live p99 after the recovery 5 s.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { VirtualClock } from '../dist/clock.js'
import { ResilError } from '../dist/errors.js'
import { Random } from '../dist/random.js'
import { openSqlite } from '../dist/engines/store/sqlite.js'
import { WebhookEngine } from '../dist/engines/webhook/engine.js'

const { values } = parseArgs({ options: { events: { type: 'string', default: '200000' }, seed: { type: 'string', default: '1' } } })

const EVENTS = Number(values.events)
const ENDPOINTS = 100
const DOWN_MS = 2 * 3_600_000
/** Events that a producer writes in one transaction of its own. */
const BATCH = 50
const LIVE = 2000
const LIVE_PER_SECOND = 100
/** Until all that was held has arrived, ms. */
const DRAINED_MS = 1_800_000
const RSS_MOST = 300e6
const P99_MOST_MS = 5000
/** Enough for a million events. */
const TIMERS = 500_000_000

const folder = mkdtempSync(join(tmpdir(), 'resil-backlog-'))
const clock = new VirtualClock()
const random = Random.seeded(Number(values.seed))
const latency = random.fork('latency')
const seen = { requests: 0, arrived: 0, live: [], down: true }
/** When each event of the live traffic was written, by its id. */
const writtenAt = new Map()
let repeats = 0
/** One bit an event: which numbers of each endpoint have arrived. */
const arrivals = Array.from({ length: ENDPOINTS }, () => new Uint8Array(Math.ceil((EVENTS + LIVE) / ENDPOINTS) + 2))

const network = {
  async call(origin, request) {
    seen.requests++
    await clock.sleep(1)
    if (seen.down) return { kind: 'failed', error: new ResilError('REFUSED', 'nobody listens') }
    await clock.sleep(4 + 36 * latency.next())
    const numbers = arrivals[Number(new URL(origin).hostname.slice(1).split('.', 1)[0])]
    const n = Number(request.headers['webhook-sequence'])
    if (numbers[n] === 1) repeats++
    else seen.arrived++
    numbers[n] = 1
    const at = writtenAt.get(request.headers['webhook-id'])
    if (at !== undefined) seen.live.push(clock.monotonic() - at)
    return { kind: 'ok', value: { status: 204, headers: {}, body: '' } }
  },
}
const log = { emit() {} }
let rssMost = 0
const measure = () => (rssMost = Math.max(rssMost, process.memoryUsage().rss))
const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)] ?? 0

const started = performance.now()
const figures = await clock.run(work(), { timers: TIMERS }).finally(() => rmSync(folder, { recursive: true, force: true }))
console.log(JSON.stringify({ ...figures, rssMostMB: Math.round(rssMost / 1e6), realS: Math.round((performance.now() - started) / 1000), cpuS: Math.round(process.cpuUsage().user / 1e6) }, undefined, 2))
if (figures.lost > 0 || rssMost >= RSS_MOST || figures.liveP99Ms >= P99_MOST_MS) process.exitCode = 1

async function work() {
  const store = await openSqlite(join(folder, 'webhooks.db'), { clock, random: random.fork('store') })
  const settings = { beatMs: 5000, leaseMs: 35_000, pollMs: 1000, keeperMs: 60_000 }
  const engine = new WebhookEngine({ clock, random, network, store, log, node: 'n1', incarnation: 1, masterKeys: [Buffer.alloc(32, 7)], allow: [], plainHttp: false, version: '0.0.0' }, settings)
  const abort = new AbortController()
  const running = engine.start(abort.signal)
  await clock.sleep(1000)
  for (let n = 0; n < ENDPOINTS; n++) await engine.endpoints.add({ url: `https://c${n}.example/hook`, patterns: [`order.of_${n}`] })
  await clock.sleep(10_000)
  const write = (from, many) =>
    store.transaction('order', async (tx) => {
      const ids = []
      for (let n = from; n < from + many; n++) ids.push((await engine.events.enqueue(tx, { type: `order.of_${n % ENDPOINTS}`, data: { order: n, text: 'x'.repeat(500) } })).id)
      return ids
    })
  for (let n = 0; n < EVENTS; n += BATCH) {
    await write(n, Math.min(BATCH, EVENTS - n))
    engine.dispatcher.wake()
    await clock.sleep((DOWN_MS * BATCH) / EVENTS)
    measure()
  }
  const waiting = () => store.transaction('look', async (tx) => (await tx.query('SELECT SUM(seq - delivered - dead - cancelled) AS n FROM lane'))[0].n)
  const held = await waiting()
  const requestsDown = seen.requests
  seen.down = false
  const back = clock.monotonic()
  while ((await waiting()) > 0 && clock.monotonic() - back < DRAINED_MS) {
    await clock.sleep(250)
    measure()
  }
  const drainedS = Math.round((clock.monotonic() - back) / 1000)
  for (let n = EVENTS; n < EVENTS + LIVE; n++) {
    const [id] = await write(n, 1)
    writtenAt.set(id, clock.monotonic())
    engine.dispatcher.wake()
    await clock.sleep(1000 / LIVE_PER_SECOND)
    measure()
  }
  await clock.sleep(10_000)
  const dead = await store.transaction('look', async (tx) => (await tx.query('SELECT SUM(dead) AS n FROM lane'))[0].n)
  abort.abort()
  await running
  await store.close()
  const live = seen.live.toSorted((a, b) => a - b)
  return { events: EVENTS, held, requestsDown, drainedS, lost: EVENTS + LIVE - seen.arrived, dead, repeats, requestsAMessage: Number((seen.requests / (EVENTS + LIVE)).toFixed(4)), live: live.length, liveP50Ms: Math.round(percentile(live, 0.5)), liveP99Ms: Math.round(percentile(live, 0.99)) }
}
