// Makes docs/screens/: the dashboards at three widths, as text and SVG: a run in mid-fault and at its end, a storm of customers, a customer down for two
// hours, and a proxy under load, then dead. `npm run screens`, after a build; with `run`, `storm`, `webhook` or `watch` only these.
import { spawn as spawnChild } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import { connect, createServer as createTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { spawn } from 'node-pty'

const root = fileURLToPath(new URL('..', import.meta.url))
const target = join(root, 'docs', 'screens')
mkdirSync(target, { recursive: true })

const plain = stripVTControlCharacters

/** How much of what was drawn is looked at: some pictures of the widest terminal. */
const LATEST = 100_000

/** The command line on a terminal of that many columns. @param {string[]} args @param {number} columns */
function open(args, columns) {
  const cwd = mkdtempSync(join(tmpdir(), 'resil-screens-'))
  const { CI, NO_COLOR, ...env } = process.env
  const pty = spawn(process.execPath, [join(root, 'bin', 'run.js'), ...args], { name: 'xterm-256color', cols: columns, rows: 44, cwd, env })
  let shown = ''
  let tell = () => {}
  pty.onData((data) => {
    shown = (shown + data).slice(-LATEST)
    tell()
  })
  const ended = new Promise((resolve) => pty.onExit(resolve))
  /** @param {RegExp | ((text: string) => boolean)} wanted */
  const shows = (wanted) =>
    new Promise((resolve) => {
      tell = () => (typeof wanted === 'function' ? wanted(plain(shown)) : wanted.test(plain(shown))) && resolve(undefined)
      tell()
    })
  /** Copies what is shown, saved by the screen's own key into `folder`. @param {string} name @param {string} folder */
  const save = async (name, folder) => {
    shown = ''
    pty.write('s')
    await shows(/saved /)
    for (const file of readdirSync(join(cwd, folder))) {
      const kind = /\.(txt|svg)$/.exec(file)?.[1]
      if (kind) copyFileSync(join(cwd, folder, file), join(target, `${name}-${columns}.${kind}`))
    }
  }
  const leave = async () => {
    pty.write('q')
    await ended
    rmSync(cwd, { recursive: true, force: true })
  }
  return { shows, save, leave }
}

/** @param {number} columns */
async function captureRun(columns) {
  const { shows, save, leave } = open(['pay', '--double-click', '--seed', '7', '--toxic', 'bank:latency=900ms,method=GET'], columns)
  await shows(/UNKNOWN \(RESET\)/)
  await save('double-click-mid-fault', '.resil/runs')
  await shows(/the run has ended/)
  await save('double-click-end', '.resil/runs')
  await leave()
}

/** Of the run, from the beginning of a storm until its waves have reached everybody, s. */
const IN_STORM_S = 9

/** Where the clock of the run stands on the screen, s. @param {string} text */
function clockOf(text) {
  const [, minutes, seconds] = [...text.matchAll(/seed \d+ +(\d\d):(\d\d)\.\d{3}/g)].at(-1) ?? []
  return Number(minutes ?? 0) * 60 + Number(seconds ?? 0)
}

/** @param {number} columns */
async function captureStorm(columns) {
  const { shows, save, leave } = open(['pay', '--black-friday', '--seed', '7', '--sim'], columns)
  let begun = Infinity
  await shows((text) => {
    if (begun === Infinity && /× (bank )?weather/.test(text)) begun = clockOf(text)
    return clockOf(text) >= begun + IN_STORM_S
  })
  await save('black-friday-mid-storm', '.resil/runs')
  await shows(/the run has ended/)
  await save('black-friday-end', '.resil/runs')
  await leave()
}

/** Of the run: the customer has been down for so long, min. */
const DOWN_MIN = 80

/** @param {number} columns */
async function captureWebhook(columns) {
  const { shows, save, leave } = open(['webhook', '--down-2h', '--seed', '3'], columns)
  await shows((text) => Number([...text.matchAll(/seed 3 +01:(\d\d):\d\d\.\d{3}/g)].at(-1)?.[1] ?? -1) + 60 >= DOWN_MIN)
  await save('webhook-down-2h', '.resil/runs')
  await shows(/the run has ended/)
  await save('webhook-down-2h-end', '.resil/runs')
  await leave()
}

/** Long enough for a sparkline, ms. */
const UNDER_LOAD_MS = 40_000
/** Until a dead proxy has been stale for a while, ms. */
const STALE_MS = 4000
const wait = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Three proxies under load, watched at each width. @param {number[]} widths */
async function captureWatch(widths) {
  const folder = mkdtempSync(join(tmpdir(), 'resil-screens-'))
  const bank = createServer((_, response) => response.end('x'.repeat(2000))).listen(0, '127.0.0.1')
  const echo = createTcp((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
  await Promise.all([once(bank, 'listening'), once(echo, 'listening')])
  const portOf = (/** @type {import('node:net').Server} */ server) => /** @type {import('node:net').AddressInfo} */ (server.address()).port
  const config = {
    seed: 7,
    proxies: [
      { name: 'bank', listen: '127.0.0.1:7001', upstream: `127.0.0.1:${portOf(bank)}`, toxics: [{ type: 'latency', attributes: { latency: 30, jitter: 20 } }, { type: 'lost_response', name: 'maybe', attributes: { method: 'POST', every: 50 } }, { type: 'http_error', attributes: { status: 503, retry_after: 2, path: '/v1/refunds/**' } }] },
      { name: 'database', listen: '127.0.0.1:7002', upstream: `127.0.0.1:${portOf(echo)}`, toxics: [{ type: 'bandwidth', attributes: { rate: 512 } }] },
      { name: 'mail', listen: '127.0.0.1:7003', upstream: '127.0.0.1:25', enabled: false },
    ],
  }
  writeFileSync(join(folder, 'proxies.yaml'), JSON.stringify(config))
  const proxy = spawnChild(process.execPath, [join(root, 'bin', 'run.js'), 'proxy', 'start', '--config', join(folder, 'proxies.yaml')], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => {
    let said = ''
    proxy.stdout.on('data', (data) => /^mail /m.test((said += data)) && resolve(undefined))
  })
  const screens = widths.map((columns) => open(['proxy', 'watch'], columns))

  let loading = true
  const agent = new Agent({ keepAlive: true })
  let asked = 0
  const ask = () => {
    if (!loading) return
    const again = () => setTimeout(ask, 20 + 60 * Math.abs(Math.sin(++asked / 150)))
    request({ port: 7001, host: '127.0.0.1', path: '/v1/charges', method: asked % 4 === 0 ? 'POST' : 'GET', agent }, (answer) => answer.resume().on('end', again)).on('error', again).end()
  }
  for (let n = 0; n < 12; n++) ask()
  const session = connect(7002, '127.0.0.1').on('error', () => {})
  const talk = () => {
    if (!loading) return
    session.write(Buffer.alloc(20_000 + 15_000 * Math.sin(asked / 40)))
    setTimeout(talk, 100)
  }
  talk()
  await wait(UNDER_LOAD_MS)
  for (const { save } of screens) await save('proxy-watch', '.')
  proxy.kill('SIGKILL')
  loading = false
  for (const { shows } of screens) await shows(/STALE since/)
  await wait(STALE_MS)
  for (const { save, leave } of screens) {
    await save('proxy-watch-stale', '.')
    await leave()
  }
  agent.destroy()
  session.destroy()
  bank.close()
  bank.closeAllConnections()
  echo.close()
  rmSync(folder, { recursive: true, force: true })
}

const WIDTHS = [60, 100, 160]
const only = process.argv[2]
const wants = (/** @type {string} */ what) => only === undefined || only === what
if (wants('run')) for (const columns of WIDTHS) await captureRun(columns)
if (wants('storm')) await Promise.all(WIDTHS.map(captureStorm))
if (wants('webhook')) await Promise.all(WIDTHS.map(captureWebhook))
if (wants('watch')) await captureWatch(WIDTHS)
console.log(readdirSync(target).join('\n'))
