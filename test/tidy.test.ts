/**
 * The mechanical rules that hold determinism and the rooms up: who may import whom, who may touch time, chance, sockets, files and the process.
 * Nothing about length or taste. A finding reads `file:line: what it touches, and where that belongs`.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, test } from 'vitest'

interface Rule {
  /** What must not stand there. */
  pattern: RegExp
  what: string
  /** Files that may; a folder ends in a slash. */
  only: readonly string[]
}

const COMMANDS_AND_PLAN = ['src/commands/', 'src/lab/plan.ts']
/** src/address.ts takes node's reading of addresses from node:net, and no socket. */
const SOCKETS = ['src/http-server.ts', 'src/http-client.ts', 'src/open-network.ts', 'src/address.ts', 'src/reset.ts', 'src/proxy/link.ts', 'src/proxy/admin.ts', 'src/proxy/http-hop.ts', 'src/proxy/evil-receiver.ts']
const FILES = ['src/engines/store/sqlite.ts', 'src/engines/payment/ledger.ts', 'src/lab/', 'src/commands/']
const SCREENS = ['src/lab/reporters/screens/']

/** Names in code. A date made from a given number is a plain computation; one made from nothing reads a clock. */
const CODE: Rule[] = [
  { pattern: /\bDate\.now\b|\bnew Date\b(?!\s*\(\s*[^\s)])|(?<!new )\bDate\(|\bperformance\s*\.|\bprocess\.(hrtime|uptime)\b/g, what: 'reads a clock', only: ['src/clock.ts'] },
  { pattern: /\b(setTimeout|setInterval|setImmediate)\b|\bAbortSignal\.timeout\b/g, what: 'sets a timer', only: ['src/clock.ts'] },
  { pattern: /\bMath\.random\b|\b(randomUUID|randomBytes|randomInt|getRandomValues)\b/g, what: 'draws a random number', only: ['src/random.ts'] },
  { pattern: /(?<![\w.#])(fetch|WebSocket|EventSource)\(/g, what: 'opens a connection', only: SOCKETS },
  { pattern: /\bprocess\.(env|argv|execArgv)\b/g, what: 'reads the environment', only: [...COMMANDS_AND_PLAN, 'src/lab/node.ts'] },
  { pattern: /\bprocess\.(exit|abort|reallyExit)\b/g, what: 'ends the process', only: [] },
]

const PACKAGES: Rule[] = [
  { pattern: /^node:timers(\/promises)?$/, what: 'sets a timer', only: ['src/clock.ts'] },
  { pattern: /^node:perf_hooks$/, what: 'reads a clock', only: ['src/clock.ts'] },
  { pattern: /^node:process$/, what: 'hides the process from these rules', only: [] },
  { pattern: /^(node:(http|https|http2|net|tls|dgram)|undici)$/, what: 'opens a connection', only: SOCKETS },
  { pattern: /^better-sqlite3$/, what: 'opens a database', only: ['src/engines/store/sqlite.ts'] },
  { pattern: /^node:fs(\/promises)?$/, what: 'touches files', only: FILES },
  { pattern: /^node:(child_process|cluster|worker_threads)$/, what: 'starts processes', only: ['src/lab/'] },
  { pattern: /^(ink|react)(\/|$)/, what: 'draws', only: SCREENS },
]

/** Words of SQL that bring their own time or chance, or that only one store knows. */
const SQL_WORDS = /\b(now|random|randomblob|datetime|julianday|unixepoch|strftime)\s*\(|\bCURRENT_(TIMESTAMP|DATE|TIME)\b|\bSKIP\s+LOCKED\b/gi
const SQL = /\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE (TABLE|INDEX|UNIQUE INDEX|TRIGGER|VIEW)|ALTER TABLE)\b/

/** Rooms that a room may import besides itself. The catalog knows every unit, so importing it is importing all rooms. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  root: [],
  proxy: ['root'],
  engines: ['root'],
  lab: ['root', 'catalog', 'proxy', 'engines'],
  commands: ['root', 'catalog', 'proxy', 'engines', 'lab'],
  catalog: ['root', 'proxy', 'engines', 'lab'],
}

function room(path: string): string {
  if (path === 'src/catalog.ts') return 'catalog'
  const [, folder, file] = path.split('/')
  return file === undefined ? 'root' : folder!
}

/** 'payment' for src/engines/payment/engine.ts; undefined for what the engines share. */
const engine = (path: string) => /^src\/engines\/(?!policies\/|store\/)([^/]+)\//.exec(path)?.[1]

const allowed = (path: string, only: readonly string[]) => only.some((place) => (place.endsWith('/') ? path.startsWith(place) : path === place))

/** Comments, then strings, then templates; the first that begins wins. */
const TOKEN = /\/\*[^]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g
const blank = (text: string) => text.replace(/[^\n]/g, ' ')

function check(path: string, source: string): string[] {
  const findings: { at: number; what: string }[] = []
  const found = (at: number, what: string, only: readonly string[] = []) => {
    findings.push({ at, what: only.length > 0 ? `${what}, which belongs in ${only.join(', ')}` : what })
  }
  const sqlIn = (text: string, start: number) => {
    for (const match of text.matchAll(SQL_WORDS)) found(start + match.index, `${match[0]} in SQL: bring it as a parameter`)
  }

  if (path.endsWith('.sql')) {
    sqlIn(source.replace(/--[^\n]*/g, blank), 0)
    return findings.map(({ at, what }) => `${path}:${line(source, at)}: ${what}`)
  }

  const text = source.replace(TOKEN, (token) => (/^\/[/*]/.test(token) ? blank(token) : token))
  const code = text.replace(TOKEN, (token) => (token.startsWith('`') ? token : blank(token)))
  if (path.endsWith('.tsx') && !allowed(path, SCREENS)) found(0, 'is a .tsx', SCREENS)
  for (const { pattern, what, only } of CODE) {
    if (allowed(path, only)) continue
    for (const match of code.matchAll(pattern)) found(match.index, `${match[0].trim()} ${what}`, only)
  }
  for (const token of text.matchAll(TOKEN)) {
    if (SQL.test(token[0])) sqlIn(token[0], token.index)
  }
  for (const match of text.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)'([^'\n]+)'/g)) {
    const name = match[1]!
    const at = match.index
    if (!name.startsWith('.')) {
      for (const { pattern, what, only } of PACKAGES) {
        if (pattern.test(name) && !allowed(path, only)) found(at, `${name} ${what}`, only)
      }
      continue
    }
    const target = posix.join(posix.dirname(path), name)
    const [from, to] = [room(path), room(target)]
    if (from !== to && !MAY_IMPORT[from]?.includes(to)) found(at, `${from} imports ${to} (${target})`)
    if (engine(path) && engine(target) && engine(path) !== engine(target)) found(at, `one engine imports another (${target})`)
    if (allowed(target, SCREENS) && !allowed(path, SCREENS) && !/import\s*\(/.test(match[0])) found(at, `${target} is imported when no screen may be drawn; use import()`)
  }
  return findings.sort((a, b) => a.at - b.at).map(({ at, what }) => `${path}:${line(source, at)}: ${what}`)
}

const line = (source: string, at: number) => source.slice(0, at).split('\n').length

const shipped = readdirSync(new URL('../src', import.meta.url), { recursive: true, encoding: 'utf8' })
  .map((path) => `src/${path.replaceAll('\\', '/')}`)
  .filter((path) => /\.(ts|tsx|sql)$/.test(path))

test('every file keeps to its room', () => {
  expect(shipped.length).toBeGreaterThan(10)
  const findings = shipped.flatMap((path) => check(path, readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')))
  expect(findings).toEqual([])
})

describe('a planted violation is found, with its line', () => {
  const planted: [path: string, source: string, finding: string][] = [
    ['src/engines/cron/elector.ts', 'const a = 1\nconst b = Date.now()', 'src/engines/cron/elector.ts:2: Date.now reads a clock, which belongs in src/clock.ts'],
    ['src/proxy/link.ts', 'const at = new Date()', 'src/proxy/link.ts:1: new Date reads a clock, which belongs in src/clock.ts'],
    ['src/proxy/link.ts', '/* one\ntwo */ setTimeout(run, 5)', 'src/proxy/link.ts:2: setTimeout sets a timer, which belongs in src/clock.ts'],
    ['src/lab/run.ts', 'const s = `${performance.now()}`', 'src/lab/run.ts:1: performance. reads a clock, which belongs in src/clock.ts'],
    ['src/lab/run.ts', 'import { setTimeout as sleep } from \'node:timers/promises\'', 'src/lab/run.ts:1: setTimeout sets a timer, which belongs in src/clock.ts'],
    ['src/lab/run.ts', 'fetch(url, { signal: AbortSignal.timeout(5) })', 'src/lab/run.ts:1: AbortSignal.timeout sets a timer, which belongs in src/clock.ts'],
    ['src/clock.ts', 'const r = Math.random()', 'src/clock.ts:1: Math.random draws a random number, which belongs in src/random.ts'],
    ['src/engines/engine.ts', 'import { randomUUID } from \'node:crypto\'', 'src/engines/engine.ts:1: randomUUID draws a random number, which belongs in src/random.ts'],
    ['src/engines/engine.ts', 'await fetch(url)', `src/engines/engine.ts:1: fetch( opens a connection, which belongs in ${SOCKETS.join(', ')}`],
    ['src/lab/world.ts', 'const home = process.env.HOME', `src/lab/world.ts:1: process.env reads the environment, which belongs in ${COMMANDS_AND_PLAN.join(', ')}, src/lab/node.ts`],
    ['src/commands/pay.ts', '\n\nprocess.exit(1)', 'src/commands/pay.ts:3: process.exit ends the process'],
    ['src/lab/run.ts', 'import { exit } from \'node:process\'', 'src/lab/run.ts:1: node:process hides the process from these rules'],
    ['src/lab/run.ts', 'import { connect } from \'node:net\'', `src/lab/run.ts:1: node:net opens a connection, which belongs in ${SOCKETS.join(', ')}`],
    ['src/engines/webhook/http.ts', 'const { Pool } = await import(\'undici\')', `src/engines/webhook/http.ts:1: undici opens a connection, which belongs in ${SOCKETS.join(', ')}`],
    ['src/lab/audit.ts', 'import Database from \'better-sqlite3\'', 'src/lab/audit.ts:1: better-sqlite3 opens a database, which belongs in src/engines/store/sqlite.ts'],
    ['src/proxy/journal.ts', 'import { open } from \'node:fs/promises\'', `src/proxy/journal.ts:1: node:fs/promises touches files, which belongs in ${FILES.join(', ')}`],
    ['src/commands/up.ts', 'import { fork } from \'node:child_process\'', 'src/commands/up.ts:1: node:child_process starts processes, which belongs in src/lab/'],
    ['src/lab/reporters/plain.ts', 'import { render } from \'ink\'', 'src/lab/reporters/plain.ts:1: ink draws, which belongs in src/lab/reporters/screens/'],
    ['src/commands/pay.tsx', '', 'src/commands/pay.tsx:1: is a .tsx, which belongs in src/lab/reporters/screens/'],
    ['src/lab/reporters/dashboard.ts', 'import { Pay } from \'./screens/pay.tsx\'', 'src/lab/reporters/dashboard.ts:1: src/lab/reporters/screens/pay.tsx is imported when no screen may be drawn; use import()'],
    ['src/engines/payment/engine.ts', 'import { Link } from \'../../proxy/link.ts\'', 'src/engines/payment/engine.ts:1: engines imports proxy (src/proxy/link.ts)'],
    ['src/engines/payment/engine.ts', 'import { toxics } from \'../../catalog.ts\'', 'src/engines/payment/engine.ts:1: engines imports catalog (src/catalog.ts)'],
    ['src/engines/payment/engine.ts', 'import { sign } from \'../webhook/signature.ts\'', 'src/engines/payment/engine.ts:1: one engine imports another (src/engines/webhook/signature.ts)'],
    ['src/proxy/simulated.ts', 'const { run } = await import(\'../lab/run.ts\')', 'src/proxy/simulated.ts:1: proxy imports lab (src/lab/run.ts)'],
    ['src/network.ts', 'import type {\n  Store,\n} from \'./engines/store/store.ts\'', 'src/network.ts:3: root imports engines (src/engines/store/store.ts)'],
    ['src/lab/run.ts', 'import { flags } from \'../commands/flags.ts\'', 'src/lab/run.ts:1: lab imports commands (src/commands/flags.ts)'],
    ['src/engines/cron/worker.ts', 'const sql = `\n  UPDATE runs\n  SET at = unixepoch()`', 'src/engines/cron/worker.ts:3: unixepoch( in SQL: bring it as a parameter'],
    ['src/engines/cron/worker.ts', 'tx.query(\'UPDATE runs SET at = CURRENT_TIMESTAMP\')', 'src/engines/cron/worker.ts:1: CURRENT_TIMESTAMP in SQL: bring it as a parameter'],
    ['src/engines/cron/migrations/0001.sql', '-- now() is not used\nCREATE TABLE runs (at INTEGER DEFAULT (now()))', 'src/engines/cron/migrations/0001.sql:2: now( in SQL: bring it as a parameter'],
  ]
  test.each(planted)('%s: %j', (path, source, finding) => {
    expect(check(path, source)).toContain(finding)
  })
})

test('what is right is left alone', () => {
  const clean: [path: string, source: string][] = [
    ['src/clock.ts', 'const a = Date.now(); setTimeout(run, 5); performance.now()'],
    ['src/random.ts', 'import { randomBytes } from \'node:crypto\'\nconst b = Math.random()'],
    ['src/http-client.ts', 'import { Pool } from \'undici\'\nimport { outcomeOf } from \'./network.ts\''],
    ['src/engines/cron/crontab.ts', 'const day = new Date(at).getUTCDay()\nconst noon = Date.UTC(2030, 0, 1, 12)'],
    ['src/engines/cron/ticker.ts', '// setTimeout and Date.now() are not for us\nconst hint = \'do not call process.exit() or Math.random()\' /* fetch(x) */'],
    ['src/engines/payment/engine.ts', 'import { outsideTransactions } from \'../store/store.ts\'\nconst now = clock.now()\nawait this.fetch(key)'],
    ['src/engines/payment/engine.ts', 'const why = `it was ${clock.now()} and random() was not asked`'],
    ['src/lab/world.ts', 'import { toxics } from \'../catalog.ts\'\nimport { Link } from \'../proxy/link.ts\'\nprocess.exitCode = 1'],
    ['src/lab/reporters/dashboard.ts', 'const { Pay } = await import(\'./screens/pay.tsx\')'],
    ['src/lab/reporters/screens/pay.tsx', 'import { Box } from \'ink\'\nimport { fold } from \'../../../engines/payment/view.ts\''],
    ['src/commands/pay.ts', 'import { run } from \'../lab/run.ts\'\nconst home = process.env.HOME'],
    ['src/catalog.ts', 'const latency = () => import(\'./proxy/toxics/latency.ts\')'],
  ]
  expect(clean.flatMap(([path, source]) => check(path, source))).toEqual([])
})
