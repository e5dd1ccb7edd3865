// `npm run sweep:webhook-hour`: a million webhooks in an hour of real time, through the engine on a file, with retention at work: what has arrived is forgotten after
// ten minutes. Prints each minute's lag (from before the enqueueing to the arrival), memory, the file and its log. Nothing may grow, nor become slower.
//   --minutes 60   shorter for a try: the retention and the windows that are compared shrink with it
// The figures last, as JSON; exit code 1 when a message was lost or came twice, or when the end is not as good as the beginning.
import { fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '60' } } })
const MINUTES = Number(values.minutes)
if (!(MINUTES >= 2)) throw new Error('--minutes is at least 2')
const PER_SECOND = 1_000_000 / 3600
const MINUTE_MS = 60_000
/** Ten minutes of sixty. */
const WINDOW = Math.max(1, Math.round(MINUTES / 6))
const KEEP_MS = WINDOW * MINUTE_MS
/** Compiled, connected, and the first of what is old forgotten: only then is a size a level. */
const WARM = Math.min(MINUTES - 1, WINDOW + Math.max(1, Math.round(WINDOW / 5)))
const ENDPOINTS = 100
const GROWTH_MOST = 1.1
/** Below this, ms, two lags are the same: timers are no finer. */
const LAG_GRAIN_MS = 2
const WITHIN_MS = 60_000

const round = (value, digits = 1) => Number(value.toFixed(digits))
const median = (all) => all.toSorted((a, b) => a - b)[all.length >> 1]
const mib = (path) => (statSync(path, { throwIfNoEntry: false })?.size ?? 0) / 2 ** 20

async function start(orders) {
  const child = fork(fileURLToPath(new URL('../bench/webhook-process.js', import.meta.url)))
  const gone = new Promise((_, reject) => child.once('exit', (code, signal) => reject(new Error(`${orders.role} ended with ${code ?? signal}`))))
  gone.catch(() => {}) // told to whoever asks
  const ask = async (what, more = {}) => {
    const answered = new Promise((resolve) => child.once('message', resolve))
    child.send({ do: what, ...more })
    const answer = await Promise.race([answered, gone])
    if (answer.error) throw new Error(`${orders.role}: ${answer.error}`)
    return answer
  }
  return { told: await ask('be', orders), ask, end: () => child.connected && child.disconnect() }
}

const cache = fileURLToPath(new URL('../node_modules/.cache/', import.meta.url))
mkdirSync(cache, { recursive: true })
const folder = mkdtempSync(join(cache, 'resil-hour-'))
const db = join(folder, 'hour.db')
const minutes = []
let made = 0
const sink = await start({ role: 'sink', addresses: ENDPOINTS })
try {
  const engine = await start({ role: 'engine', db, origins: sink.told.origins, endpoints: ENDPOINTS, settings: { keepMs: KEEP_MS } })
  try {
    await engine.ask('begin')
    console.log(`${round(PER_SECOND, 0)} a second to ${ENDPOINTS} endpoints for ${MINUTES} minutes; kept for ${KEEP_MS / MINUTE_MS}`)
    console.log(['minute', 'p50 ms', 'p99 ms', 'most ms', 'CPU us', 'RSS MiB', 'file MiB', 'log MiB', 'rows'].map((cell) => cell.padStart(10)).join(''))
    let before = await engine.ask('facts')
    for (let minute = 1; minute <= MINUTES; minute++) {
      const { made: many } = await engine.ask('paced', { from: made, perSecond: PER_SECOND, ms: MINUTE_MS })
      made += many
      const [lags, facts] = [await sink.ask('lags'), await engine.ask('facts')]
      const now = { p50: round(lags.p50), p99: round(lags.p99), most: round(lags.most), cpuUs: round(((facts.cpuMs - before.cpuMs) * 1000) / many), rssMiB: round(facts.rssMiB), fileMiB: round(mib(db)), logMiB: round(mib(`${db}-wal`)), rows: facts.kept }
      before = facts
      minutes.push(now)
      console.log([minute, ...Object.values(now)].map((cell) => String(cell).padStart(10)).join(''))
    }
    await sink.ask('expect', { many: made, withinMs: WITHIN_MS })
    await engine.ask('end')
    const { taken, delivered } = await engine.ask('facts')
    const { distinct, twice } = await sink.ask('lags')
    const first = minutes.slice(Math.min(1, MINUTES - WINDOW), Math.min(1, MINUTES - WINDOW) + WINDOW)
    const levelled = minutes.slice(WARM - 1, WARM - 1 + WINDOW)
    const last = minutes.slice(-WINDOW)
    const of = (some, field) => median(some.map((each) => each[field]))
    const most = (some, field) => Math.max(...some.map((each) => each[field]))
    const ratios = { rss: round(most(last, 'rssMiB') / most(levelled, 'rssMiB'), 3), file: round(most(last, 'fileMiB') / most(levelled, 'fileMiB'), 3), log: round(most(last, 'logMiB') / Math.max(1, most(levelled, 'logMiB')), 3) }
    const p99 = { first: of(first, 'p99'), last: of(last, 'p99') }
    const findings = []
    if (taken !== made || delivered !== made || distinct !== made || twice > 0) findings.push(`${made} were enqueued, the store counts ${taken} and ${delivered} delivered, the receivers ${distinct}, ${twice} of them twice`)
    if (p99.last > p99.first * GROWTH_MOST && p99.last - p99.first > LAG_GRAIN_MS) findings.push(`lag p99 went from ${p99.first} to ${p99.last} ms`)
    for (const [what, ratio] of Object.entries(ratios)) if (ratio > GROWTH_MOST) findings.push(`${what} grew to ${ratio} times`)
    for (const finding of findings) console.log(finding)
    console.log(JSON.stringify({ ok: findings.length === 0, minutes: MINUTES, messages: made, twice, p99, ratios, most: { p99: most(minutes, 'p99'), rssMiB: most(minutes, 'rssMiB'), fileMiB: most(minutes, 'fileMiB'), logMiB: most(minutes, 'logMiB') }, cpuUs: of(minutes, 'cpuUs') }))
    if (findings.length > 0) process.exitCode = 1
    await engine.ask('close')
  } finally {
    engine.end()
  }
} finally {
  sink.end()
  rmSync(folder, { recursive: true, force: true })
}
