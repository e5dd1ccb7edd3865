// `npm run torture:cron`: real nodes on one database file. First --fresh 100 times three of them started at once on a new file: all must come up. Then
// --seconds 60 in which one of five is killed, or stopped for longer than its lease, every 300 ms, while a job is due every second and acts on a
// fenced resource; in the end every slot must have had its effect once. Prints the figures last; exit code 1 when one is missing or doubled.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { SystemClock } from '../dist/clock.js'
import { EventLog } from '../dist/events.js'
import { serveHttp } from '../dist/http-server.js'
import { openCron } from '../dist/lab/cron-alone.js'
import { resource } from '../dist/proxy/mocks/resource.js'
import { Random } from '../dist/random.js'

const { values } = parseArgs({ options: { fresh: { type: 'string', default: '100' }, seconds: { type: 'string', default: '60' }, seed: { type: 'string', default: '1' } } })
const bin = fileURLToPath(new URL('../bin/run.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'resil-torture-'))
const clock = new SystemClock()
const random = Random.seeded(values.seed)
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** A node, and what it says: `events` by type. */
function node(db, name, more = []) {
  const child = spawn(process.execPath, [bin, 'cron', 'run', '--db', db, '--node', name, '--json', ...more], { stdio: ['ignore', 'pipe', 'pipe'] })
  const events = {}
  let ready
  const up = new Promise((resolve) => (ready = resolve))
  let errors = ''
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { type } = JSON.parse(line)
    events[type] = (events[type] ?? 0) + 1
    if (type === 'ready') ready(true)
  })
  child.stderr.on('data', (data) => (errors += data))
  const gone = once(child, 'exit').then(([code]) => {
    ready(false)
    return code
  })
  return { name, child, events, up, gone, errors: () => errors }
}

// ── three at once on a fresh file ──
let came = 0
const refused = []
for (let n = 0; n < Number(values.fresh); n++) {
  const db = join(folder, `fresh-${n}.db`)
  const three = ['n1', 'n2', 'n3'].map((name) => node(db, name))
  const up = await Promise.all(three.map((each) => each.up))
  if (up.every(Boolean)) came++
  else refused.push(three.map((each) => each.errors()).join(''))
  for (const each of three) each.child.kill('SIGKILL')
  await Promise.all(three.map((each) => each.gone))
}
console.error(`${came} of ${values.fresh} times all three came up`)

// ── a minute of killing ──
const log = new EventLog('torture', clock)
const mock = resource({ clock, random: random.fork('resource'), log: log.from('mock'), latency: { p50: 20, p99: 200 } })
const server = await serveHttp(mock.handle, { clock, port: 0 })
const db = join(folder, 'torture.db')
const { registry, close } = await openCron(db)
await registry.put('tick', { expr: '* * * * * *', overlap: 'allow', attempts: 1000, retryBaseMs: 50, retryCapMs: 500, timeoutMs: 2000, job: { kind: 'http', service: server.url, method: 'POST', path: '/v1/effects', headers: {}, body: '{"what":"tick"}' } })
const names = ['n1', 'n2', 'n3', 'n4', 'n5']
const nodes = new Map()
const born = (name) => nodes.set(name, node(db, name, ['--ttl', '1s', '--drain', '2s']))
for (const name of names) born(name)
await Promise.all([...nodes.values()].map((each) => each.up))
let [kills, stops] = [0, 0]
const told = {}
const remember = (each) => {
  for (const [type, n] of Object.entries(each.events)) told[type] = (told[type] ?? 0) + n
}
const until = clock.monotonic() + Number(values.seconds) * 1000
while (clock.monotonic() < until) {
  await pause(300)
  const each = nodes.get(random.pick(names))
  if (random.next() < 0.5) {
    kills++
    each.child.kill('SIGKILL')
    void each.gone.then(() => {
      remember(each)
      if (clock.monotonic() < until) born(each.name)
    })
  } else {
    stops++
    each.child.kill('SIGSTOP')
    setTimeout(() => each.child.kill('SIGCONT'), random.int(200, 4000))
  }
}
// Peace: what was left behind is done, nothing new is due.
await pause(4500)
await registry.setPaused('tick', true)
for (const name of names) if (nodes.get(name).child.exitCode !== null || nodes.get(name).child.signalCode !== null) born(name)
let left = Infinity
for (let tries = 0; tries < 120 && left > 0; tries++) {
  await pause(500)
  const [tick] = await registry.list()
  left = tick.queued + tick.running
}
for (const each of nodes.values()) each.child.kill('SIGTERM')
await Promise.all([...nodes.values()].map((each) => each.gone))
for (const each of nodes.values()) remember(each)
const ticks = (await registry.history(10_000)).filter(({ kind }) => kind === 'cron')
const slots = new Set(ticks.map(({ slot_at }) => slot_at))
const [first, last] = [Math.min(...slots), Math.max(...slots)]
const byKey = new Map()
for (const { key } of mock.ledger.effects) byKey.set(key, (byKey.get(key) ?? 0) + 1)
const ran = ticks.filter(({ state }) => state === 'succeeded').length
const lost = ticks.filter(({ state, slot_at }) => state === 'succeeded' && !byKey.has(`tick@${new Date(slot_at).toISOString().replace('.000Z', 'Z')}`)).length
const states = {}
for (const { state } of ticks) states[state] = (states[state] ?? 0) + 1
const gaps = (last - first) / 1000 + 1 - slots.size
const doubled = [...byKey.values()].filter((n) => n > 1).length
const others = ticks.length - ran - (states.skipped_paused ?? 0)
await close()
await server.close(0)
rmSync(folder, { recursive: true, force: true })
const ok = came === Number(values.fresh) && left === 0 && gaps === 0 && lost === 0 && doubled === 0 && others === 0
for (const each of refused.slice(0, 3)) console.error(each)
console.log(JSON.stringify({ ok, fresh: { times: Number(values.fresh), allUp: came }, seconds: Number(values.seconds), kills, stops, slots: slots.size, states, effects: mock.ledger.effects.length, gaps, lost, doubled, unfinished: left, naiveDuplicates: mock.ledger.duplicates.length + mock.ledger.refused.length, refusedTokens: mock.ledger.refused.length, elections: told['leader.elected'] ?? 0, fenced: (told['leader.fenced'] ?? 0) + (told['attempt.fenced'] ?? 0), seed: values.seed }))
process.exitCode = ok ? 0 : 1
