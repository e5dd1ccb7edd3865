/** What a hurried, careless or hostile operator gives to the payment commands: flags (A), the database file (G). The requests (E) stand in pay-serve.test.ts. */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, statSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resil, root, start } from './cli.ts'
import { refused } from './refused.ts'
import type { Around } from './standing.ts'
import { curl, folder, killAll, openAround, order, removeFolders, stand } from './standing.ts'

let around: Around
/** A database with payments whose service was killed: what stands in its log is not in its file yet. */
let killed: string

beforeAll(async () => {
  around = await openAround()
  killed = join(folder(), 'payments.db')
  const service = await stand(['pay', 'serve', '--port', '0', '--db', killed, ...around.flags])
  for (const name of ['one', 'two', 'three']) await curl(`${service.ready.url}/v1/payments`, ['-H', `Idempotency-Key: key-${name}`, '--data-raw', order(name)])
  // The anchor is written within two seconds of the entry that it remembers.
  while (!existsSync(`${killed}-anchor`) || JSON.parse(readFileSync(`${killed}-anchor`, 'utf8')).seq < 6) await once(spawn('sleep', ['0.1']), 'exit')
  await service.stop('SIGKILL')
})

afterAll(async () => {
  killAll()
  await around.close()
  removeFolders()
})

/** A copy of that database with its log and its anchor; `without` leaves one of them out. */
function copy(without = ''): string {
  const db = join(folder(), 'payments.db')
  for (const suffix of ['', '-wal', '-anchor']) if (suffix === '' || suffix !== without) copyFileSync(`${killed}${suffix}`, `${db}${suffix}`)
  return db
}

/** The same, ended in an orderly way: everything is in the file. */
function settled(): string {
  const db = copy()
  const file = new Database(db)
  file.pragma('wal_checkpoint(TRUNCATE)')
  file.close()
  return db
}

const serve = (args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) => resil(['pay', 'serve', '--port', '0', ...args], options)

/** One line on stderr that says `why`, nothing on stdout, exit code 2. */
function expectRefusal({ exit, stdout, stderr }: { exit: number | null; stdout: string; stderr: string }, why: string | RegExp): void {
  expect({ exit, stdout, stderr }).toEqual({ exit: 2, stdout: '', stderr: expect.stringMatching(why) })
  expect(stderr.split('\n').length - 1, stderr).toBe(1)
}

describe('flags', () => {
  it('A1 --port 0 takes a free port and says which', async () => {
    const service = await stand(['pay', 'serve', '--port', '0', '--db', join(folder(), 'payments.db'), ...around.flags])
    expect(service.ready.url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/)
    expect(await curl(`${service.ready.url}/healthz`)).toMatchObject({ status: 200 })
    await service.stop()
  })

  it.each(['70000', '-1', '80.5', '0x50'])('A2 --port %s is refused', async (port) => {
    expectRefusal(await refused(['pay', 'serve', `--port=${port}`]), 'is not a port')
  })

  it('A3 a port in use is refused by its number', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as AddressInfo
    expectRefusal(await refused(['pay', 'serve', '--port', String(port), '--db', join(folder(), 'payments.db')]), `port ${port} on 127\\.0\\.0\\.1 is in use; `)
    holder.close()
  })

  it.each(['0.0.0.0', '::', '127.0.0.1.nip.io', ''])('A4 --host "%s" is refused without --allow-remote', async (host) => {
    const db = join(folder(), 'payments.db')
    expectRefusal(await refused(['pay', 'serve', '--port', '0', '--host', host, '--db', db]), /can be reached from other machines, and there is no password; .*--allow-remote/)
    expect(existsSync(db)).toBe(false)
  })

  it('A4 with --allow-remote it listens there', async () => {
    const service = await stand(['pay', 'serve', '--port', '0', '--host', '0.0.0.0', '--allow-remote', '--db', join(folder(), 'payments.db'), ...around.flags])
    expect(await curl(`${service.ready.url}/healthz`)).toMatchObject({ status: 200 })
    await service.stop()
  })

  it.each([['pay', '--seed', 'abc'], ['pay', '--seed', '18446744073709551616'], ['up', '--seed', '-1']])('A5 %s %s %s is refused', async (...args) => {
    expectRefusal(await refused(args), 'is not a seed')
  })

  it.each([['--clicks', '0'], ['--clicks', '10001'], ['--clicks', '2.5']])('A6 pay %s %s is refused', async (...args) => {
    expectRefusal(await refused(['pay', ...args]), 'is not a whole number from 1 to 100')
  })

  it.each([['serve', '--port', '0'], ['list'], ['status', 'pay_1']])('A7 pay %s of a file that is no database of ours is refused, and the file is as it was', async (...args) => {
    const file = join(folder(), 'passwd')
    copyFileSync('/etc/passwd', file)
    expectRefusal(await refused(['pay', ...args, '--db', file]), 'passwd is not a database of this program; choose another file')
    expect(readFileSync(file)).toEqual(readFileSync('/etc/passwd'))
    expect(readdirSync(join(file, '..'))).toEqual(['passwd'])
  })

  it.each([['serve', '--port', '0'], ['list'], ['status', 'pay_1']])('A8 pay %s of a folder is refused', async (...args) => {
    expectRefusal(await refused(['pay', ...args, '--db', folder()]), 'is a directory')
  })

  it.each([['serve', '--port', '0'], ['list'], ['status', 'pay_1']])('A9 pay %s of a URI is refused: --db takes a path', async (...args) => {
    expectRefusal(await refused(['pay', ...args, '--db', 'file:payments.db?mode=ro']), 'URIs are not understood; give a plain path')
  })

  it('A10 an unknown flag is refused with the one that was meant', async () => {
    expectRefusal(await refused(['pay', 'serve', '--bnak', 'http://127.0.0.1:1']), 'did you mean --bank\\?')
    expectRefusal(await refused(['pay', '--dobule-click']), 'did you mean --double-click\\?')
  })

  it('A11 a flag given twice is refused', async () => {
    expectRefusal(await refused(['pay', 'serve', '--db', 'a', '--db', 'b']), '--db was given twice; give it once')
  })

  it.each(['javascript:alert(1)', 'file:///etc/passwd', '127.0.0.1:4002', 'http://user:secret@127.0.0.1:4002', ''])('A12 --bank "%s" is no base URL, and no database is made', async (url) => {
    const db = join(folder(), 'payments.db')
    expectRefusal(await refused(['pay', 'serve', '--port', '0', '--bank', url, '--db', db]), 'bank: .* is no base URL; give http://')
    expect(existsSync(db)).toBe(false)
  })

  it('A13 line breaks, escapes and marks that turn the writing are shown, not obeyed', () => {
    const name = 'pay_\n\u001b[31m\u202egpj.exe'
    const { stderr } = resil(['pay', 'status', name, '--db', killed])
    expect(stderr).toContain('pay_\\n\\e[31m\\u202egpj.exe')
    expect(stderr.split('\n')).toHaveLength(2)
  })

  it('A13 an argument that is not UTF-8 is refused with one line', () => {
    const { status, stderr } = spawnSync('bash', ['-c', `"$0" "$1" pay status $'pay_\\xff\\xfe' --db "$2"`, process.execPath, `${root}bin/run.js`, killed], { encoding: 'utf8' })
    expect({ status, lines: stderr.split('\n').length - 1 }).toEqual({ status: 2, lines: 1 })
  })

  it.each([['--deadline', '1s'], ['--deadline', '1h'], ['--settle', '24h'], ['--deadline', '5']])('%s %s is refused: it would break what is promised', async (flag, value) => {
    expectRefusal(await refused(['pay', 'serve', '--port', '0', flag, value, '--db', join(folder(), 'payments.db')]), /is not between|is not a duration/)
  })
})

describe('a run on real sockets that is cut short', () => {
  function alive(pid: number): boolean {
    try {
      process.kill(pid, 0)
      return true
    } catch {
      return false
    }
  }

  it.each([[1, 'once'], [2, 'twice']])('A14 Ctrl-C %i times: 130, one line at most, no process, no port and no folder stay', async (times) => {
    const temporary = folder()
    const run = start('bin/run.js', ['pay', '--double-click', '--json', '--toxic', 'bank:latency=3s'], { TMPDIR: temporary })
    await run.said('"payment.claimed"')
    run.child.kill('SIGINT')
    if (times === 2) run.child.kill('SIGINT')
    const { exit, stdout, stderr } = await run.ended
    expect({ exit, stderr }).toEqual({ exit: 130, stderr: '' })
    const events = stdout.trimEnd().split('\n').map((line) => JSON.parse(line))
    const { pid } = events.find(({ type }) => type === 'node.started')
    const { urls } = events.find(({ type }) => type === 'world.opened')
    // A node whose laboratory is gone ends by itself, in its own time.
    while (alive(pid)) await once(spawn('sleep', ['0.05']), 'exit')
    for (const url of Object.values<string>(urls)) await expect(fetch(url)).rejects.toThrow()
    if (times === 1) expect(readdirSync(temporary)).toEqual([])
  })

  it('A15 resil pay --double-click | head -1 ends quietly', () => {
    const { stdout, stderr } = spawnSync('bash', ['-c', '"$0" "$1" pay --double-click | head -1', process.execPath, `${root}bin/run.js`], { encoding: 'utf8', timeout: 15_000, cwd: folder() })
    expect({ lines: stdout.split('\n').length - 1, stderr }).toEqual({ lines: 1, stderr: '' })
  })
})

describe('surroundings', () => {
  it.each([[{}], [{ NO_COLOR: '1' }], [{ FORCE_COLOR: '1' }]])('A16 no escape code goes into a pipe (%j)', (env) => {
    const { stdout, stderr, exit } = resil(['pay', '--double-click', '--sim'], { env, cwd: folder() })
    expect(exit).toBe(0)
    expect(stdout + stderr).not.toContain('\u001b')
    expect(resil(['pay', 'list', '--db', killed], { env }).stdout).not.toContain('\u001b')
  })

  it('A17 a place that cannot be written is refused with its path', () => {
    const place = folder()
    writeFileSync(join(place, '.resil'), 'a file where a folder should be')
    expectRefusal(resil(['pay', '--double-click', '--sim'], { cwd: place }), '\\.resil')
    expectRefusal(serve(['--db', join(place, '.resil', 'payments.db')]), 'there is no directory')
    expectRefusal(serve(['--db', '/proc/payments.db']), '/proc/payments\\.db')
  })

  it('A18 it works without HOME', async () => {
    expect(resil(['pay', '--double-click', '--sim'], { env: { HOME: undefined }, cwd: folder() })).toMatchObject({ exit: 0, stderr: '' })
    const service = await stand(['pay', 'serve', '--port', '0', ...around.flags], { env: { HOME: undefined }, cwd: folder() })
    expect(await service.stop()).toMatchObject({ exit: 0, stderr: '' })
  })
})

describe('the database file', () => {
  /** Digests of all that is kept: neither SQLite's shared memory nor an empty log, which every reader makes anew. */
  function kept(db: string): Record<string, string> {
    const files = readdirSync(join(db, '..')).map((name) => ({ name, bytes: readFileSync(join(db, '..', name)) }))
    return Object.fromEntries(files.filter(({ name, bytes }) => !name.endsWith('-shm') && !(name.endsWith('-wal') && bytes.length === 0)).map(({ name, bytes }) => [name, createHash('sha256').update(bytes).digest('hex')]))
  }

  /** `pay serve` refuses the file and leaves it as it was, byte for byte. */
  function expectUntouched(db: string, why: string | RegExp): void {
    const before = kept(db)
    expectRefusal(serve(['--db', db, ...around.flags]), why)
    expect(kept(db)).toEqual(before)
  }

  it('the copies that the others spoil are sound', async () => {
    for (const db of [copy(), settled()]) {
      const service = await stand(['pay', 'serve', '--port', '0', '--db', db, ...around.flags])
      expect(await service.stop()).toMatchObject({ exit: 0 })
      expect(resil(['pay', 'list', '--db', db, '--json']).json().at(-1)).toEqual({ ok: true, count: 3, more: false })
    }
  })

  it('G121 a text file', () => {
    const db = join(folder(), 'payments.db')
    writeFileSync(db, 'dear diary\n'.repeat(1000))
    expectUntouched(db, 'is not a database of this program; choose another file')
  })

  it.each(['empty', 'gone'])('G122 a file that is %s although its anchor says it held a ledger', (how) => {
    const db = settled()
    if (how === 'empty') truncateSync(db)
    else unlinkSync(db)
    expectUntouched(db, `is ${how}, but payments\\.db-anchor says that it held a ledger; restore the database`)
  })

  it('G123 a file that was cut short', () => {
    const db = settled()
    truncateSync(db, Math.floor(statSync(db).size / 2 / 4096) * 4096)
    expectUntouched(db, 'is damaged: .*; keep a copy, restore a backup')
  })

  it('G124 a bit that flipped in the log: SQLite drops what follows, the anchor misses it', () => {
    const db = copy()
    const log = readFileSync(`${db}-wal`)
    log[32 + 24 + 100] = log[32 + 24 + 100]! ^ 1 // in the first page of the first frame
    writeFileSync(`${db}-wal`, log)
    expectUntouched(db, 'entry 6 was durable once and is gone; ')
  })

  it('G125 a log that is missing', () => {
    expectUntouched(copy('-wal'), 'entry 6 was durable once and is gone; .* its -wal file is missing')
  })

  it('G126 an amount that was changed behind our back: the chain shows it', () => {
    const db = settled()
    const file = new Database(db)
    file.exec('DROP TRIGGER ledger_refuses_update; UPDATE ledger SET amount = amount * 2 WHERE seq = 3')
    file.close()
    expectRefusal(serve(['--db', db, ...around.flags]), 'the ledger is broken: entry 3 is not what was appended; stop the engine')
  })

  it('G127 a file of a newer version, for serve and for the operator', () => {
    const db = settled()
    const file = new Database(db)
    file.pragma('user_version = 99')
    file.close()
    const before = readFileSync(db)
    expectRefusal(serve(['--db', db, ...around.flags]), 'is of version 99; .* use the program that wrote it')
    expectRefusal(resil(['pay', 'list', '--db', db]), 'is of version 99')
    expect(readFileSync(db)).toEqual(before)
  })

  it("G128 another program's database", () => {
    const db = join(folder(), 'payments.db')
    const file = new Database(db)
    file.exec('PRAGMA application_id = 42; CREATE TABLE diary (day TEXT)')
    file.close()
    expectUntouched(db, 'is not a database of this program; choose another file')
  })

  it('a database of ours that holds no payments is told from one that does', async () => {
    const db = join(folder(), 'other.db')
    const file = new Database(db)
    file.pragma('application_id = 0x5245534c')
    file.pragma('journal_mode = WAL')
    file.exec('CREATE TABLE kept (id INTEGER)')
    file.close()
    expectRefusal(resil(['pay', 'list', '--db', db]), 'holds no payments')
    expectRefusal(resil(['pay', 'list', '--db', join(folder(), 'none.db')]), 'does not exist')
  })

  it('G130 a file that another process holds: refused at the start; a running service answers 503 meanwhile, and serves again after it', async () => {
    const db = settled()
    const service = await stand(['pay', 'serve', '--port', '0', '--db', db, ...around.flags])
    const holder = new Database(db)
    holder.exec('BEGIN IMMEDIATE')
    const pay = () => curl(`${service.ready.url}/v1/payments`, ['-H', 'Idempotency-Key: key-held', '--data-raw', order('held')])
    const waiting = pay()
    // The loop is not blocked by the lock.
    expect(await curl(`${service.ready.url}/healthz`)).toMatchObject({ status: 200 })
    expect(await waiting).toMatchObject({ status: 503, body: { charge_state: 'none', safe_new_key: true } })
    holder.exec('ROLLBACK')
    holder.close()
    expect(await pay()).toMatchObject({ status: 201 })
    expect(await service.stop()).toMatchObject({ exit: 0 })
  })

  it.each(['deleted', 'replaced'])('G132 a file that is %s while the service runs ends it with 2', async (how) => {
    const db = settled()
    const service = await stand(['pay', 'serve', '--port', '0', '--db', db, ...around.flags])
    if (how === 'replaced') {
      copyFileSync(db, `${db}.copy`)
      renameSync(`${db}.copy`, db) // in one step: the service never finds nothing there
    } else renameSync(db, `${db}.moved`)
    const { exit, stderr } = await service.ended
    expect({ exit, stderr }).toEqual({ exit: 2, stderr: expect.stringMatching(new RegExp(`^resil: .*payments\\.db was ${how} while it was open; stop everything that uses it[^\n]*\n$`)) })
  })

  it('G134 a symbolic link is refused; a folder that anyone may write is warned of', async () => {
    const db = settled()
    const link = join(folder(), 'link.db')
    symlinkSync(db, link)
    expectRefusal(serve(['--db', link, ...around.flags]), 'is a symbolic link')
    const open = join(folder(), 'open')
    mkdirSync(open)
    spawnSync('chmod', ['777', open])
    const service = await stand(['pay', 'serve', '--port', '0', '--db', join(open, 'payments.db'), ...around.flags])
    expect((await service.stop()).stderr).toMatch(/^resil: warning: anyone on this machine may replace [^\n]*\n$/)
  })
})
