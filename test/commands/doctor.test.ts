import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SystemClock } from '../../src/clock.ts'
import { openSqlite } from '../../src/engines/store/sqlite.ts'
import { Random } from '../../src/random.ts'
import { resil } from './cli.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'resil-test-'))
})
afterEach(() => rmSync(cwd, { recursive: true, force: true }))

describe('on a machine that is well', () => {
  it('looks at everything, says so, ends with 0 and leaves nothing behind', () => {
    const { exit, stdout, stderr } = resil(['doctor'], { cwd })
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' })
    for (const check of ['node', 'durable write', 'loopback port', 'monotonic clock', 'run folder', 'terminal']) expect(stdout).toMatch(new RegExp(`^fine  ${check} `, 'm'))
    expect(stdout).toContain('synchronous 2')
    expect(stdout).toMatch(/\nall is well\n$/)
    expect(readdirSync(cwd)).toEqual([])
  })

  it('with --json: one finding a line, the outcome last', () => {
    const lines = resil(['doctor', '--json'], { cwd }).json()
    expect(lines.pop()).toEqual({ ok: true, mend: 0 })
    expect(lines).toHaveLength(6)
    for (const line of lines) expect(line).toEqual({ check: expect.any(String), found: expect.any(String), ok: true })
  })

  it('with --quiet: not a word', () => {
    expect(resil(['doctor', '--quiet'], { cwd })).toMatchObject({ exit: 0, stdout: '' })
  })

  it('without a terminal it promises plain lines', () => {
    expect(resil(['doctor'], { cwd }).stdout).toMatch(/^fine  terminal .*plain lines/m)
  })

  it('keeps a .resil folder that was there', () => {
    mkdirSync(join(cwd, '.resil'))
    expect(resil(['doctor', '--quiet'], { cwd }).exit).toBe(0)
    expect(readdirSync(cwd)).toEqual(['.resil'])
  })
})

describe('what must be mended ends with 2 and says how', () => {
  /** The one finding that is not fine. */
  function complaint(args: string[] = []) {
    const run = resil(['doctor', '--json', ...args], { cwd })
    const lines = run.json()
    expect({ exit: run.exit, outcome: lines.pop() }).toEqual({ exit: 2, outcome: { ok: false, mend: 1 } })
    const [bad, ...rest] = lines.filter(({ ok }) => !ok)
    expect(rest).toEqual([])
    return bad
  }

  it('A17 a run folder that cannot be written is told with its path', () => {
    writeFileSync(join(cwd, '.resil'), 'a file where a folder should be')
    expect(complaint()).toMatchObject({ check: 'run folder', found: expect.stringContaining(join(cwd, '.resil')), mend: expect.stringMatching(/./) })
    expect(resil(['doctor', '--quiet'], { cwd }).stdout).toMatch(/^MEND  run folder .*\n +run resil in a folder/)
  })

  it('a folder for temporary files that is not there', () => {
    const { exit, stdout } = resil(['doctor', '--json'], { cwd, env: { TMPDIR: join(cwd, 'missing') } })
    expect(exit).toBe(2)
    expect(stdout).toContain(join(cwd, 'missing'))
  })

  it('A7 --db of a file that is no database: refused, the file unchanged', () => {
    const path = join(cwd, 'passwd')
    writeFileSync(path, 'root:x:0:0:root:/root:/bin/bash\n'.repeat(200))
    const before = readFileSync(path)
    expect(complaint(['--db', path])).toMatchObject({ check: 'database', found: expect.stringContaining('STORE_NOT_OURS') })
    expect(readFileSync(path)).toEqual(before)
    expect(readdirSync(cwd)).toEqual(['passwd'])
  })

  it('A8 --db of a directory', () => {
    expect(complaint(['--db', cwd])).toMatchObject({ check: 'database', found: expect.stringContaining('STORE_CANNOT_OPEN') })
  })

  it('A9 --db as a URI is refused, and no file of that name appears', () => {
    expect(complaint(['--db', 'file:x?mode=ro'])).toMatchObject({ check: 'database', found: expect.stringContaining('STORE_CANNOT_OPEN') })
    expect(readdirSync(cwd)).toEqual([])
  })

  it('--db of a file that is not there does not make it', () => {
    expect(complaint(['--db', join(cwd, 'missing.db')])).toMatchObject({ check: 'database', found: expect.stringContaining('missing.db') })
    expect(readdirSync(cwd)).toEqual([])
  })

  it('A13 control characters in --db are shown, not obeyed', () => {
    expect(resil(['doctor', '--db', '\u001b[31mred\nline'], { cwd }).stdout).toContain('\\e[31mred\\nline')
  })
})

it('--db of one of our databases is fine, and is left as it was', async () => {
  const path = join(cwd, 'ours.db')
  const store = await openSqlite(path, { clock: new SystemClock(), random: Random.seeded(1) })
  await store.migrate([{ version: 1, sql: 'CREATE TABLE kept (id INTEGER PRIMARY KEY) STRICT' }])
  await store.close()
  const before = readFileSync(path)
  const { exit, stdout } = resil(['doctor', '--db', path], { cwd })
  expect({ exit, stdout }).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^fine  database .*ours\.db/m) })
  expect(readFileSync(path)).toEqual(before)
})
