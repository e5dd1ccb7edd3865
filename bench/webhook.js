// What a delivered webhook costs: messages a second and CPU a message of the webhook engine beside bare undici, BullMQ on Redis and graphile-worker on PostgreSQL;
// claiming behind a dead lane of a million; a million an hour; and what one endpoint that hangs costs the others. Prints one JSON line of figures last.
//
//   bare | bare again | engine | BullMQ | graphile-worker ──> sink (204 to whatever comes, knows every message by its number)      each a process of its own
//
// Bodies of 1 KiB, signed, HTTP with keep-alive to this machine. The subjects have one core and take turns on it, the sink and the peers' servers have the other, where there is `taskset`.
// Rounds are interleaved; medians of the rounds; each round is compared with bare undici's next to it; `bare again` is the same sender in a second process: how far its
// ratio is from 1 is how far the others can be trusted. CPU is of the subject's process and, for a peer, of its server: the engine's store has no process of its own.
// The engine writes an attempt for each message and every commit is durable (WAL, synchronous FULL); after each level its rows are counted.
//   --quick            a few minutes, for a first look
//   --only A,B         of ceilings, dead-lane, steady, isolation
//   --no-peers         without Redis and PostgreSQL (Debian's redis-server and postgresql; what is absent is skipped)
//   --profile DIR      CPU profiles of the engine's processes go there
// Exit code 1 under a floor, or when a message was lost.
import { execFileSync, fork } from 'node:child_process'
import { availableParallelism, loadavg } from 'node:os'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import Database from 'better-sqlite3'
import { redisServer } from './peers/bullmq.js'
import { postgresServer } from './peers/graphile.js'
import { cpuMsOf } from './webhook-wire.js'

const { values: options } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string', default: 'ceilings,dead-lane,steady,isolation' }, 'no-peers': { type: 'boolean', default: false }, profile: { type: 'string' } },
})
const { quick } = options
const only = options.only.split(',')
const peersWanted = !options['no-peers']

/** A million an hour. */
const PER_SECOND = 278
const LEVELS = [
  { name: '1 endpoint', endpoints: 1, addresses: 1, clients: 64, floor: 0.45, goal: 0.7 },
  { name: '100 endpoints', endpoints: 100, addresses: 100, clients: 256, floor: 0.4, goal: 0.6 },
  { name: '10,000 endpoints', endpoints: 10_000, addresses: 100, clients: 256, peers: false },
]
const ROUNDS = quick ? 3 : 7
const MESSAGES = quick ? 4000 : 20_000
/** Before the first round, so that nothing is compiled in it. */
const WARM = quick ? 3000 : 8000
const WITHIN_MS = 120_000
const BACKLOG = quick ? 200_000 : 1_000_000
/** Rounds of the pace, interleaved, and what comes before each, unmeasured, to open the connections. */
const STEADY_ROUNDS = 3
const STEADY_WARM_MS = quick ? 2000 : 5000
/** Of a million an hour, those to the one that hangs: 15 %, as near as every so manieth comes to it. */
const HANG_EVERY = 7
const HANG_MS = 3000
/** What statfs says of a file system in memory, where fsync costs nothing. */
const TMPFS = 0x01021994

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const round = (value, digits = 2) => (value === null || value === undefined ? value : Number(value.toFixed(digits)))
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const floors = []
/** `most` or `least`, and perhaps a goal. */
const floor = (name, value, { most, least, goal }) => floors.push({ name, value: round(value, 3), ...(most === undefined ? { least } : { most }), ...(goal === undefined ? {} : { goal }), met: most === undefined ? value >= least : value <= most })
const columns = (cells) => console.log(cells.map((cell, i) => (i === 0 ? String(cell).padEnd(18) : String(cell ?? '').padStart(12))).join(''))

const pinnable = (() => {
  try {
    execFileSync('taskset', ['-c', '1', 'true'], { stdio: 'ignore' })
    return availableParallelism() > 1
  } catch {
    return false
  }
})()
const pinned = (core) => (pinnable ? ['taskset', '-c', String(core)] : [])

/** A child process, and how to ask it. @param {string} file @param {object} orders */
async function start(file, core, orders) {
  const profiled = orders.role === 'engine' && options.profile ? ['--cpu-prof', `--cpu-prof-dir=${options.profile}`] : []
  const [execPath, ...before] = [...pinned(core), process.execPath]
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), { execPath, execArgv: [...before, ...profiled] })
  const gone = new Promise((_, reject) => child.once('exit', (code, signal) => reject(new Error(`${orders.role} ended with ${code ?? signal}`))))
  gone.catch(() => {}) // told to whoever asks
  const ask = async (what, more = {}) => {
    const answered = new Promise((resolve) => child.once('message', resolve))
    child.send({ do: what, ...more })
    const answer = await Promise.race([answered, gone])
    if (answer.error) throw new Error(`${orders.role}: ${answer.error}`)
    return answer
  }
  const end = () => new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', resolve)
    child.disconnect()
  })
  try {
    return { told: await ask('be', orders), ask, end }
  } catch (error) {
    await end()
    throw error
  }
}

// ── the machine and the peers' servers ──

// On the disk of the checkout: a system's folder for temporary files may be in memory.
const cache = fileURLToPath(new URL('../node_modules/.cache/', import.meta.url))
mkdirSync(cache, { recursive: true })
if (statfsSync(cache).type === TMPFS) console.log('NOTE  the databases are on a file system in memory: durability is free here, and the figures flatter')
const folder = mkdtempSync(join(cache, 'resil-bench-'))
chmodSync(folder, 0o711) // PostgreSQL runs as somebody else and has to get through
console.log(`webhooks, node ${process.version}, ${availableParallelism()} cores${pinnable ? ', subjects on one and the rest on the other' : ''}, load ${loadavg()[0].toFixed(1)}`)

/** A port that was free a moment ago. */
async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

const [redisPort, postgresPort] = [await freePort(), await freePort()]
let redis
let postgres

let made = 0
/** Numbers for so many messages that nobody has had. */
const numbers = (many) => ({ from: (made += many) - many, many })

/** Those that a level or a trial is about, begun in the order of their names. */
async function subjects(name, { origins, endpoints, clients, settings, hang, batch = true }, wanted) {
  const kinds = {
    bare: () => start('webhook-process.js', 0, { role: 'bare', origins, clients, endpoints }),
    engine: () => start('webhook-process.js', 0, { role: 'engine', db: join(folder, `${name}.db`), origins, endpoints, settings, hang }),
    'bare again': () => start('webhook-process.js', 0, { role: 'bare', origins, clients, endpoints }),
    BullMQ: redis && (() => start('peers/bullmq.js', 0, { role: 'worker', port: redisPort, name, origins, endpoints, clients })),
    'graphile-worker': postgres && (() => start('peers/graphile.js', 0, { role: 'worker', port: postgresPort, name, origins, endpoints, clients, batch })),
  }
  const servers = { BullMQ: redis?.pid, 'graphile-worker': postgres?.pid }
  const started = new Map()
  for (const kind of wanted) if (kinds[kind]) started.set(kind, { ...(await kinds[kind]()), serverMs: () => (servers[kind] ? cpuMsOf(servers[kind]) : 0), total: 0 })
  return started
}

// ── ceilings ──

/** One round of one subject: enqueued while nobody works, then worked off. */
async function work(sink, subject, many, bulk) {
  const range = numbers(many)
  subject.total += many
  const idle = subject.serverMs()
  const { cpuUs } = await subject.ask('fill', { ...range, bulk })
  const filled = subject.serverMs()
  const arrived = sink.ask('expect', { many: made, withinMs: WITHIN_MS })
  const from = process.hrtime.bigint()
  const begun = await subject.ask('begin')
  const { at } = await arrived
  const ended = await subject.ask('end')
  const cpuMs = begun.cpuMs + ended.cpuMs + subject.serverMs() - filled
  return { cpuUs: (cpuMs * 1000) / many, rate: (many / (at - Number(from / 1000n))) * 1e6, enqueueUs: cpuUs + ((filled - idle) * 1000) / many, bulk }
}

async function ceiling(sink, level) {
  const started = await subjects(`ceiling-${level.endpoints}`, { origins: sink.told.origins.slice(0, level.addresses), ...level }, ['bare', 'engine', 'bare again', ...(level.peers === false ? [] : ['BullMQ', 'graphile-worker'])])
  const names = [...started.keys()]
  const rounds = Object.fromEntries(names.map((name) => [name, []]))
  try {
    for (const subject of started.values()) await work(sink, subject, Math.max(WARM, level.endpoints))
    for (let i = 0; i < ROUNDS; i++) {
      for (let j = 0; j < names.length; j++) {
        const name = names[(i + j) % names.length]
        rounds[name].push(await work(sink, started.get(name), MESSAGES, i % 2 === 1))
      }
    }
    await started.get('engine').ask('verify', { many: started.get('engine').total })
    for (const name of names) if (!name.startsWith('bare') && name !== 'engine') await started.get(name).ask('verify', {})
    for (const subject of started.values()) await subject.ask('close')
  } finally {
    for (const subject of started.values()) await subject.end()
  }
  const figures = {}
  for (const name of names) {
    const enqueue = (bulk) => {
      const some = rounds[name].filter((each) => each.bulk === bulk).map((each) => each.enqueueUs)
      return some.length > 0 && !name.startsWith('bare') ? round(median(some), 1) : undefined
    }
    figures[name] = {
      cpuUs: round(median(rounds[name].map(({ cpuUs }) => cpuUs)), 1),
      perSecond: round(median(rounds[name].map(({ rate }) => rate)), 0),
      efficiency: round(median(rounds[name].map(({ cpuUs }, i) => rounds.bare[i].cpuUs / cpuUs)), 3),
      rateRatio: round(median(rounds[name].map(({ rate }, i) => rate / rounds.bare[i].rate)), 3),
      enqueueUs: name === 'engine' ? round(median(rounds[name].map((each) => each.enqueueUs)), 1) : enqueue(false),
      bulkUs: name === 'engine' ? undefined : enqueue(true),
    }
  }
  for (const peer of ['BullMQ', 'graphile-worker']) if (rounds[peer]) figures[peer].oursTimes = round(median(rounds[peer].map(({ cpuUs }, i) => cpuUs / rounds.engine[i].cpuUs)), 2)
  return figures
}

async function ceilings(sink) {
  const results = {}
  for (const level of LEVELS) {
    console.log(`\n${level.name} at ${level.addresses} ${level.addresses === 1 ? 'origin' : 'origins'}; ${ROUNDS} rounds of ${MESSAGES}; enqueued first, then worked off; the others' concurrency ${level.clients}, the engine finds its own`)
    columns(['', 'CPU us/msg', 'msg/s', 'efficiency', 'rate ratio', 'enqueue us', 'in bulk us'])
    const figures = await ceiling(sink, level)
    results[level.name] = figures
    for (const [name, f] of Object.entries(figures)) columns([name, f.cpuUs, f.perSecond, f.efficiency, f.rateRatio, f.enqueueUs, f.bulkUs])
    if (level.floor === undefined) continue
    floor(`efficiency at ${level.name}`, figures.engine.efficiency, { least: level.floor, goal: level.goal })
    if (figures.BullMQ) floor(`times BullMQ's at ${level.name}`, figures.BullMQ.oursTimes, { least: 1.5, goal: 2.5 })
    if (figures['graphile-worker']) floor(`times graphile-worker's at ${level.name}`, figures['graphile-worker'].oursTimes, { least: 1.1, goal: 1.6 })
  }
  return results
}

// ── a dead lane ──

/** So many deliveries that wait for an endpoint at which nobody listens. */
function strew(path, many) {
  const db = new Database(path)
  db.pragma('synchronous = OFF')
  const lane = db.prepare(`SELECT lane FROM endpoint WHERE patterns = '["bench.down"]'`).pluck().get()
  const { seq } = db.prepare('SELECT COALESCE(MAX(seq), 0) AS seq FROM event').get()
  db.transaction(() => {
    db.prepare(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)
      INSERT INTO event (seq, id, tenant, type, body, created_at) SELECT :seq + i, printf('evt_%09d', i), 'default', 'bench.down', '{"n":' || i || '}', :now FROM n`).run({ many, seq, now: Date.now() })
    db.prepare(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)
      INSERT INTO delivery (event, lane, n, state, class, due, tries, strikes, flags, created_at) SELECT :seq + i, :lane, i, 'pending', 0, 0, 0, 0, 0, :now FROM n`).run({ many, seq, lane, now: Date.now() })
    db.prepare('UPDATE lane SET seq = :many WHERE lane = :lane').run({ many, lane })
  })()
  db.pragma('wal_checkpoint(TRUNCATE)')
  db.close()
}

async function deadLane(sink) {
  const endpoints = 10
  const down = `http://127.0.0.1:${await freePort()}/down`
  const started = {}
  const rounds = { empty: [], behind: [] }
  try {
    for (const name of ['empty', 'behind']) {
      const db = join(folder, `dead-${name}.db`)
      started[name] = { ...(await start('webhook-process.js', 0, { role: 'engine', db, origins: sink.told.origins.slice(0, endpoints), endpoints, time: true, down })), total: 0 }
      if (name === 'behind') strew(db, BACKLOG)
    }
    for (let i = 0; i <= ROUNDS; i++) {
      for (const name of i % 2 === 0 ? ['empty', 'behind'] : ['behind', 'empty']) {
        const subject = started[name]
        const range = numbers(MESSAGES)
        subject.total += MESSAGES
        const { cpuUs: enqueueUs } = await subject.ask('fill', range)
        const arrived = sink.ask('expect', { many: made, withinMs: WITHIN_MS })
        await subject.ask('begin')
        await arrived
        const { cpuMs, times } = await subject.ask('end')
        if (i > 0) rounds[name].push({ claimUs: (times.claim * 1000) / MESSAGES, cpuUs: (cpuMs * 1000) / MESSAGES, enqueueUs })
      }
    }
    for (const subject of Object.values(started)) {
      await subject.ask('verify', { many: subject.total })
      await subject.ask('close')
    }
  } finally {
    for (const subject of Object.values(started)) await subject.end()
  }
  const of = (name, field) => round(median(rounds[name].map((each) => each[field])), 1)
  const ratio = round(median(rounds.behind.map(({ claimUs }, i) => claimUs / rounds.empty[i].claimUs)))
  console.log(`\n${BACKLOG} deliveries wait for an endpoint at which nobody listens: the other ${endpoints} are claimed for in ${of('behind', 'claimUs')} us a message, without the backlog in ${of('empty', 'claimUs')}: ${ratio} times`)
  console.log(`all CPU a message ${of('behind', 'cpuUs')} us and ${of('empty', 'cpuUs')} us; enqueueing ${of('behind', 'enqueueUs')} us and ${of('empty', 'enqueueUs')} us`)
  floor('claiming behind a dead lane, to an empty store', ratio, { most: 2 })
  return { backlog: BACKLOG, ratio, claimUs: { behind: of('behind', 'claimUs'), empty: of('empty', 'claimUs') }, cpuUs: { behind: of('behind', 'cpuUs'), empty: of('empty', 'cpuUs') } }
}

// ── a million an hour ──

/** At the pace, once; the lag is from before the enqueueing to the first byte's arrival at the receiver. */
async function pacedOnce(sink, subject, ms, hangEvery) {
  const many = Math.round((PER_SECOND * ms) / 1000)
  const range = numbers(many)
  await sink.ask('lags')
  const server = subject.serverMs()
  const { cpuMs } = await subject.ask('paced', { from: range.from, perSecond: PER_SECOND, ms, hangEvery })
  return { many, cpuMs: cpuMs + subject.serverMs() - server }
}

async function steady(sink) {
  const ms = quick ? 10_000 : 60_000
  const endpoints = 100
  const started = await subjects('steady', { origins: sink.told.origins.slice(0, endpoints), endpoints, clients: 256 }, ['bare', 'engine', 'bare again', 'BullMQ', 'graphile-worker'])
  const names = [...started.keys()]
  const rounds = Object.fromEntries(names.map((name) => [name, []]))
  try {
    console.log(`\n${PER_SECOND} messages a second to ${endpoints} endpoints for ${ms / 1000} s; ${STEADY_ROUNDS} rounds, of the queues one; enqueueing is part of the engine's CPU and of the queues'`)
    columns(['', 'CPU us/msg', 'of a core', 'lag p50 ms', 'lag p99 ms', 'most ms'])
    // At this pace it takes long until everything is compiled: as much as before a ceiling, at full speed.
    for (const subject of started.values()) await work(sink, subject, WARM)
    for (let i = 0; i < STEADY_ROUNDS; i++) {
      for (const name of i % 2 === 0 ? names : names.toReversed()) {
        const subject = started.get(name)
        const queue = !name.startsWith('bare')
        if (i > 0 && queue && name !== 'engine') continue
        if (queue) await subject.ask('begin')
        await pacedOnce(sink, subject, STEADY_WARM_MS)
        await sink.ask('expect', { many: made, withinMs: WITHIN_MS })
        const { many, cpuMs } = await pacedOnce(sink, subject, ms)
        await sink.ask('expect', { many: made, withinMs: WITHIN_MS })
        const lags = await sink.ask('lags')
        if (queue) await subject.ask('end')
        const one = { cpuUs: (cpuMs * 1000) / many, share: cpuMs / ms, p50: lags.p50, p99: lags.p99, most: lags.most }
        rounds[name].push(one)
        columns([name, round(one.cpuUs, 1), `${round(one.share * 100, 1)} %`, round(one.p50), round(one.p99), round(one.most)])
      }
    }
    for (const subject of started.values()) await subject.ask('close')
  } finally {
    for (const subject of started.values()) await subject.end()
  }
  const figures = Object.fromEntries(names.map((name) => [name, Object.fromEntries(Object.keys(rounds[name][0]).map((field) => [field, round(median(rounds[name].map((each) => each[field])), field === 'share' ? 4 : 2)]))]))
  figures.ratios = rounds.engine.map(({ cpuUs }, i) => round((2 * cpuUs) / (rounds.bare[i].cpuUs + rounds['bare again'][i].cpuUs)))
  floor('a million an hour: lag p99, ms', figures.engine.p99, { most: 50 })
  floor("a million an hour: CPU to bare undici's", median(figures.ratios), { most: 2 })
  return figures
}

// ── isolation ──

async function isolation(sink) {
  const ms = quick ? 12_000 : 30_000
  const endpoints = 20
  const started = await subjects('isolation', { origins: sink.told.origins.slice(0, endpoints), endpoints, clients: 64, hang: true, batch: false }, ['engine', 'BullMQ', 'graphile-worker'])
  const figures = {}
  try {
    console.log(`\n${PER_SECOND} messages a second for ${ms / 1000} s, one in ${HANG_EVERY} to an endpoint that answers after ${HANG_MS / 1000} s; concurrency of the queues ${64}. The others:`)
    columns(['', 'delivered', 'p50 ms', 'p99 ms', 'most ms'])
    for (const [name, subject] of started) {
      await subject.ask('begin')
      // Once to warm up, with everybody well.
      const warm = await pacedOnce(sink, subject, quick ? 3000 : 5000)
      await sink.ask('expect', { many: made, withinMs: WITHIN_MS })
      const range = { from: made }
      const { many } = await pacedOnce(sink, subject, ms, HANG_EVERY)
      await pause(1000)
      const lags = await sink.ask('lags')
      let healthy = 0
      for (let n = range.from; n < range.from + many; n++) if (n % HANG_EVERY !== 0) healthy++
      figures[name] = { delivered: round(lags.healthy / healthy, 4), p50: round(lags.p50), p99: round(lags.p99), most: round(lags.most) }
      columns([name, `${round(figures[name].delivered * 100, 1)} %`, figures[name].p50, figures[name].p99, figures[name].most])
      // The rest comes before the next one begins, so that its receivers are idle.
      await sink.ask('expect', { many: made, withinMs: WITHIN_MS })
      await subject.ask('end')
      if (name === 'engine') await subject.ask('verify', { many: warm.many + many })
      await subject.ask('close')
    }
  } finally {
    for (const subject of started.values()) await subject.end()
  }
  floor('isolation: healthy p99, ms', figures.engine.p99, { most: 250 })
  floor('isolation: healthy delivered', figures.engine.delivered, { least: 1 })
  return figures
}

// ── all of them ──

const results = {}
let sink
try {
  redis = peersWanted ? await redisServer(folder, redisPort, pinned(1)) : undefined
  postgres = peersWanted ? await postgresServer(folder, postgresPort, pinned(1)) : undefined
  if (peersWanted && !redis) console.log('no redis-server: BullMQ is skipped (apt-get install redis-server)')
  if (peersWanted && !postgres) console.log('no PostgreSQL: graphile-worker is skipped (apt-get install postgresql)')
  sink = await start('webhook-process.js', 1, { role: 'sink', addresses: 100 })
  for (const [name, trial] of Object.entries({ ceilings, 'dead-lane': deadLane, steady, isolation })) if (only.includes(name)) results[name] = await trial(sink)
  results.twice = (await sink.ask('lags')).twice
} finally {
  await sink?.end()
  await redis?.stop()
  await postgres?.stop()
  rmSync(folder, { recursive: true, force: true })
}

console.log(`\n${made} messages; the sink has seen ${results.twice} of them twice.`)
for (const { name, value, most, least, goal, met } of floors) console.log(`${met ? 'met   ' : 'MISSED'}  ${name}: ${value}, at ${most === undefined ? 'least' : 'most'} ${most ?? least}${goal === undefined ? '' : `, goal ${goal}`}`)
console.log(JSON.stringify({ bench: 'webhook', node: process.version, cores: availableParallelism(), load: round(loadavg()[0], 1), quick, rounds: ROUNDS, messages: MESSAGES, results, floors }))
if (!floors.every(({ met }) => met)) process.exitCode = 1
