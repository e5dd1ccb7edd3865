// What the scheduler's promises cost: fail-over as a multiple of the lease beside etcd's own election, hand-over, a hundred thousand schedules due at
// once, the same asleep, and the evaluation of expressions beside two libraries. Prints one JSON line of figures last.
//   node bench/cron.js [--quick]     etcd: the script looks for `etcd` and installs etcd-server from Debian's packages when it may
import { execFileSync, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { CronExpressionParser } from 'cron-parser'
import { Cron } from 'croner'
import { SystemClock } from '../dist/clock.js'
import { parseCrontab } from '../dist/engines/cron/crontab.js'
import { migrations } from '../dist/engines/cron/migrations.js'
import { completeSpec } from '../dist/engines/cron/spec.js'
import { openCron } from '../dist/lab/cron-alone.js'

const quick = process.argv.includes('--quick')
const clock = new SystemClock()
const folder = mkdtempSync(join(tmpdir(), 'resil-bench-cron-'))
const bin = fileURLToPath(new URL('../bin/run.js', import.meta.url))
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const round = (value, digits = 2) => Number(value.toFixed(digits))
const floors = []
const floor = (name, value, most) => floors.push({ name, value: round(value, 3), most, met: value <= most })

// ── fail-over ──

/** Three nodes, and a job about every 100 ms; `next(after)` resolves at the first commit of a job behind that wall time by somebody else. */
async function ours(ttlMs, more) {
  const db = join(folder, `failover-${ttlMs}-${more.length}-${Math.floor(clock.now())}.db`)
  const { registry, close } = await openCron(db)
  for (let n = 0; n < 10; n++) {
    await registry.put(`job-${n}`, { expr: '@every 1s', overlap: 'allow', job: { kind: 'module', file: '/nowhere' } })
    await pause(100)
  }
  await close()
  const nodes = new Map()
  let leader
  let wanted
  const start = (name) => {
    const child = spawn(process.execPath, [bin, 'cron', 'run', '--db', db, '--node', name, '--ttl', `${ttlMs}ms`, '--json', ...more], { stdio: ['ignore', 'pipe', 'inherit'] })
    nodes.set(name, child)
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = JSON.parse(line)
      if (event.type === 'leader.elected') {
        leader = name
        if (wanted?.kind === 'elected' && name !== wanted.not) wanted.resolve(event.at)
      } else if (event.type === 'tick.recorded' && wanted?.kind === 'committed' && name !== wanted.not) wanted.resolve(event.at)
    })
  }
  for (const name of ['n1', 'n2', 'n3']) start(name)
  while (leader === undefined) await pause(50)
  return {
    async end(signal) {
      const name = leader
      const child = nodes.get(name)
      const from = clock.now()
      const done = new Promise((resolve) => (wanted = { kind: signal === 'SIGKILL' ? 'committed' : 'elected', not: name, resolve }))
      child.kill(signal)
      const at = await done
      wanted = undefined
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      start(name)
      await pause(ttlMs * (1.2 + Math.random() * 0.5)) // it follows again, and has seen the lease; not in step with the renewals
      return at - from
    },
    async close() {
      for (const child of nodes.values()) child.kill('SIGKILL')
      await Promise.all([...nodes.values()].map((child) => child.exitCode === null && child.signalCode === null && once(child, 'exit')))
    },
  }
}

function spawnRole(role, orders) {
  const child = fork(fileURLToPath(new URL('cron-process.js', import.meta.url)))
  child.send({ do: 'be', role, ...orders })
  return child
}

async function etcdServer() {
  try {
    execFileSync('etcd', ['--version'], { stdio: 'ignore' })
  } catch {
    try {
      execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'etcd-server'], { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
    } catch {
      return undefined
    }
  }
  const child = spawn('etcd', ['--data-dir', join(folder, 'etcd'), '--listen-client-urls', 'http://127.0.0.1:23790', '--advertise-client-urls', 'http://127.0.0.1:23790', '--listen-peer-urls', 'http://127.0.0.1:23800', '--logger', 'zap', '--log-outputs', join(folder, 'etcd.log')], { stdio: 'ignore' })
  for (let tries = 0; tries < 100; tries++) {
    try {
      if ((await fetch('http://127.0.0.1:23790/health')).ok) return { url: 'http://127.0.0.1:23790', stop: () => child.kill('SIGKILL') }
    } catch {
      await pause(100)
    }
  }
  return undefined
}

async function etcd(url, ttlMs) {
  const nodes = new Map()
  let leader
  let wanted
  const start = (name) => {
    const child = spawnRole('candidate', { url, ttlS: ttlMs / 1000, name })
    nodes.set(name, child)
    child.on('message', (told) => {
      if (told.elected) leader = name
      if (told.committed && wanted && name !== wanted.not) wanted.resolve(told.committed)
    })
  }
  for (const name of ['e1', 'e2', 'e3']) start(name)
  while (leader === undefined) await pause(50)
  return {
    async end(signal) {
      const name = leader
      const from = clock.now()
      const done = new Promise((resolve) => (wanted = { not: name, resolve }))
      nodes.get(name).kill(signal)
      const at = await done
      wanted = undefined
      start(name)
      await pause(ttlMs * (1.2 + Math.random() * 0.5))
      return at - from
    },
    async close() {
      for (const child of nodes.values()) child.kill('SIGKILL')
      await pause(ttlMs * 1.5) // until their leases have gone
    },
  }
}

const server = await etcdServer()
const failover = {}
for (const [ttlMs, kills] of quick ? [[2000, 3]] : [[2000, 10], [5000, 6]]) {
  for (const [name, open] of Object.entries({ 'with probe': () => ours(ttlMs, []), 'without probe': () => ours(ttlMs, ['--no-probe']), ...(server ? { etcd: () => etcd(server.url, ttlMs) } : {}) })) {
    const group = await open()
    const times = []
    for (let n = 0; n < kills; n++) times.push((await group.end('SIGKILL')) / ttlMs)
    await group.close()
    failover[`${name}, TTL ${ttlMs / 1000} s`] = { p50: round(median(times)), max: round(Math.max(...times)), kills }
    console.log(`${`${name}, TTL ${ttlMs / 1000} s`.padEnd(28)} p50 ${round(median(times)).toFixed(2)} TTL   max ${round(Math.max(...times)).toFixed(2)} TTL   (${kills} kills)`)
  }
  floor(`fail-over with probe, TTL ${ttlMs / 1000} s, p50`, failover[`with probe, TTL ${ttlMs / 1000} s`].p50, 0.1)
  floor(`fail-over without probe, TTL ${ttlMs / 1000} s, p50`, failover[`without probe, TTL ${ttlMs / 1000} s`].p50, 1)
  floor(`fail-over without probe, TTL ${ttlMs / 1000} s, worst`, failover[`without probe, TTL ${ttlMs / 1000} s`].max, 1.15)
}
server?.stop()
if (!server) console.log('no etcd: there is no peer in this run')

const group = await ours(2000, ['--drain', '1s'])
const handovers = []
for (let n = 0; n < (quick ? 3 : 10); n++) handovers.push(await group.end('SIGTERM'))
await group.close()
console.log(`hand-over at SIGTERM: p50 ${median(handovers)} ms, max ${Math.max(...handovers)} ms`)
floor('hand-over at SIGTERM, ms, worst', Math.max(...handovers), 100)

// ── a hundred thousand schedules ──

const SCHEDULES = quick ? 10_000 : 100_000
const TTL_MS = 3000

/** So many schedules, over as many pairs of zone and expression as there are zones times five, all due at one instant, or next year. */
function fill(path, dueAt) {
  const db = new Database(path)
  db.pragma('journal_mode = WAL')
  db.pragma('application_id = 0x5245534c')
  for (const { version, sql } of migrations) {
    db.exec(sql)
    db.pragma(`user_version = ${version}`)
  }
  const zones = Intl.supportedValuesOf('timeZone')
  const forms = [(m, h) => `${m} ${h} * * *`, (m, h, d) => `${m} ${h} ${d} * *`, (m, h, d, mo) => `${m} ${h} ${d} ${mo} *`, (m, h) => `0 ${m} ${h} * * *`, (m, h) => `${m} ${h} * * 0-6`]
  const distinct = new Set()
  const local = zones.map((zone) => {
    const parts = Object.fromEntries(new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' }).formatToParts(dueAt).map(({ type, value }) => [type, Number(value)]))
    return forms.map((form) => form(parts.minute, parts.hour, parts.day, parts.month))
  })
  const schedule = db.prepare('INSERT INTO schedule (name, generation, paused, cursor_at, next_at, created_at, updated_at) VALUES (?, 1, 0, ?, ?, ?, ?)')
  const definition = db.prepare('INSERT INTO definition (schedule, generation, spec, min_build, created_at) VALUES (?, 1, ?, 0, ?)')
  const now = Math.floor(clock.now())
  db.transaction(() => {
    for (let n = 0; n < SCHEDULES; n++) {
      const zone = zones[n % zones.length]
      const expr = local[n % zones.length][Math.floor(n / zones.length) % forms.length]
      distinct.add(`${zone} ${expr}`)
      schedule.run(`s-${n}`, now, dueAt, now, now)
      definition.run(`s-${n}`, JSON.stringify({ ...completeSpecOf(expr, zone) }), now)
    }
  })()
  db.close()
  return distinct.size
}

const cache = new Map()
function completeSpecOf(expr, zone) {
  const key = `${zone} ${expr}`
  if (!cache.has(key)) cache.set(key, completeSpec('bench', { expr, zone, job: { kind: 'module', file: '/nowhere' } }))
  return cache.get(key)
}

/** The same rows written with nothing but statements, in transactions of the same size. */
function raw(path) {
  const db = new Database(path)
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  const names = db.prepare('SELECT name FROM schedule').pluck().all()
  const insert = db.prepare(
    `INSERT INTO tick (schedule, slot_at, kind, seq, until_at, slots, generation, epoch, state, reason, overlap, min_build, run_at, attempts, deaths, token, cancelling, recorded_at, ended_at)
     VALUES (?, 1, 'cron', 0, 1, 1, 1, 1, 'queued', '', 'skip', 0, 1, 0, 0, 0, 0, 1, NULL) ON CONFLICT DO NOTHING RETURNING seq`,
  )
  const advance = db.prepare('UPDATE schedule SET cursor_at = 1, next_at = 2 WHERE name = ?')
  const from = clock.monotonic()
  for (let n = 0; n < names.length; n += 200) {
    db.transaction(() => {
      for (const name of names.slice(n, n + 200)) {
        insert.all(name)
        advance.run(name)
      }
    }).immediate()
  }
  const ms = clock.monotonic() - from
  db.close()
  return ms
}

async function started(db) {
  const child = spawnRole('engine', { db, ttlMs: TTL_MS })
  const queue = []
  child.on('message', (told) => {
    if (told.error) throw new Error(told.error)
    if (told.facts) queue.shift()?.(told.facts)
  })
  const elected = new Promise((resolve) => child.on('message', (told) => told.elected && resolve()))
  await elected
  return {
    facts: () =>
      new Promise((resolve) => {
        queue.push(resolve)
        child.send({ do: 'facts' })
      }),
    async stop() {
      child.disconnect()
      await once(child, 'exit')
    },
  }
}

const bulk = []
let distinct = 0
for (let n = 0; n < (quick ? 1 : 3); n++) {
  const dueAt = Math.ceil((clock.now() + (quick ? 3000 : 12_000)) / 60_000) * 60_000 // on a minute
  const path = join(folder, `bulk-${n}.db`)
  distinct = fill(path, dueAt)
  const rawPath = join(folder, `raw-${n}.db`)
  fill(rawPath, dueAt)
  const rawMs = raw(rawPath)
  const engine = await started(path)
  await pause(Math.max(0, dueAt - clock.now() - 500))
  await engine.facts() // from here on the loop's delay counts
  let facts
  do {
    await pause(250)
    facts = await engine.facts().then((now) => ({ ...now, loopMaxMs: Math.max(now.loopMaxMs, facts?.loopMaxMs ?? 0) }))
  } while (facts.recorded < SCHEDULES && clock.now() < dueAt + 120_000)
  await engine.stop()
  bulk.push({ ms: facts.lastAt - dueAt, rawMs, rssMiB: facts.rssMiB, loopMaxMs: facts.loopMaxMs, lost: facts.lost, recorded: facts.recorded })
}
const ratio = median(bulk.map(({ ms, rawMs }) => ms / rawMs))
console.log(`${SCHEDULES} schedules, ${distinct} pairs of zone and expression, due at once: ${round(median(bulk.map(({ ms }) => ms)), 0)} ms, raw inserts ${round(median(bulk.map(({ rawMs }) => rawMs)), 0)} ms, ${round(ratio)} times; ${round(Math.max(...bulk.map(({ rssMiB }) => rssMiB)), 0)} MiB, loop blocked for ${round(Math.max(...bulk.map(({ loopMaxMs }) => loopMaxMs)), 0)} ms at most, leads lost ${bulk.reduce((sum, { lost }) => sum + lost, 0)}`)
floor('100,000 due at once, to raw inserts', ratio, 3)
floor('MiB', Math.max(...bulk.map(({ rssMiB }) => rssMiB)), 500)
floor('loop blocked, ms', Math.max(...bulk.map(({ loopMaxMs }) => loopMaxMs)), TTL_MS / 10)
floor('leads lost', bulk.reduce((sum, { lost }) => sum + lost, 0), 0)
floor('ticks that are missing', bulk.reduce((sum, { recorded }) => sum + SCHEDULES - recorded, 0), 0)

const idleOf = async (path) => {
  const engine = await started(path)
  await pause(3000)
  const before = await engine.facts()
  const ms = quick ? 5000 : 15_000
  await pause(ms)
  const after = await engine.facts()
  await engine.stop()
  return (after.cpuMs - before.cpuMs) / (ms / 1000)
}
const nextYear = clock.now() + 300 * 86_400_000
fill(join(folder, 'idle-many.db'), Math.ceil(nextYear / 60_000) * 60_000)
const idle = { empty: [], many: [] }
for (let n = 0; n < (quick ? 1 : 3); n++) {
  idle.empty.push(await idleOf(join(folder, 'idle-empty.db')))
  idle.many.push(await idleOf(join(folder, 'idle-many.db')))
}
console.log(`asleep: ${round(median(idle.many))} ms of processor a second with ${SCHEDULES} schedules, ${round(median(idle.empty))} with none`)
floor('asleep, to an empty one', median(idle.many) / median(idle.empty), 1.2)

// ── expressions ──

const EXPRESSIONS = ['*/15 9-17 * * 1-5', '0 9 * * *', '30 2 1,15 * *', '0 0 * * 0']
const rates = {}
const evaluate = {
  ours: (expr) => {
    const crontab = parseCrontab(expr, { zone: 'America/New_York' })
    return (at) => crontab.next(at)
  },
  croner: (expr) => {
    const cron = new Cron(expr, { timezone: 'America/New_York', paused: true })
    return (at) => cron.nextRun(new Date(at)).getTime()
  },
  'cron-parser': (expr) => (at) => CronExpressionParser.parse(expr, { tz: 'America/New_York', currentDate: new Date(at) }).next().getTime(),
}
for (const [name, make] of Object.entries(evaluate)) {
  const best = []
  for (let n = 0; n < 3; n++) {
    let count = 0
    const from = clock.monotonic()
    while (clock.monotonic() - from < 700) {
      for (const expr of EXPRESSIONS) {
        const next = make(expr)
        let at = Date.UTC(2026, 0, 1)
        for (let i = 0; i < 50; i++) at = next(at)
        count += 50
      }
    }
    best.push((count / (clock.monotonic() - from)) * 1000)
  }
  rates[name] = round(Math.max(...best), 0)
}
console.log(`next, evaluations a second: ${Object.entries(rates).map(([name, rate]) => `${name} ${rate}`).join(', ')}`)

rmSync(folder, { recursive: true, force: true })
console.log()
for (const { name, value, most, met } of floors) console.log(`${met ? 'met   ' : 'MISSED'}  ${name}: ${value}, at most ${most}`)
console.log(JSON.stringify({ failover, handoverMs: { p50: median(handovers), max: Math.max(...handovers) }, bulk, distinct, idle, rates, floors }))
