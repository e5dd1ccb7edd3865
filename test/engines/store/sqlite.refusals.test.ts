/** What is refused at the door. Every refusal has a stable code, a hint, and leaves the file as it was. */
import { createHash } from 'node:crypto'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SystemClock } from '../../../src/clock.ts'
import { ANCHOR_SUFFIX, openSqlite, refuseUnusableDriver, translate } from '../../../src/engines/store/sqlite.ts'
import { ResilError } from '../../../src/errors.ts'
import { Random } from '../../../src/random.ts'
import { compile } from './child.ts'

const outside = (readOnly = false) => ({ clock: new SystemClock(), random: Random.seeded(1), readOnly })
const TABLE = [{ version: 1, sql: 'CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT)' }]

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'resil-refusal-'))
  path = join(folder, 'app.db')
})

afterEach(() => rmSync(folder, { recursive: true }))

const digest = (file: string) => (existsSync(file) ? createHash('sha256').update(readFileSync(file)).digest('hex') : 'absent')

/** Opens (and migrates), expecting a refusal; the file and what lies beside it must be the same before and after. */
async function refusal(place = path, readOnly = false): Promise<ResilError> {
  const before = [digest(path), digest(`${path}-wal`)]
  const error = await (async () => {
    const store = await openSqlite(place, outside(readOnly))
    try {
      await store.migrate(TABLE)
    } finally {
      await store.close()
    }
  })().catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(ResilError)
  expect((error as ResilError).hint).not.toBe('')
  expect((error as ResilError).message).toContain(place)
  expect(digest(path)).toBe(before[0])
  if (before[1] !== 'absent') expect(digest(`${path}-wal`)).toBe(before[1])
  return error as ResilError
}

/** A store of ours with `rows` rows of a kilobyte, closed. */
async function filled(rows: number): Promise<void> {
  const store = await openSqlite(path, outside())
  await store.migrate(TABLE)
  await store.transaction('fill', async (tx) => {
    for (let id = 0; id < rows; id++) await tx.query('INSERT INTO item (id, text) VALUES (:id, :text)', { id, text: 'x'.repeat(1000) })
  })
  await store.close()
}

describe('a file that is not ours', () => {
  it.each([
    ['a line', 'hello\n'],
    ['a long one', 'root:x:0:0:root:/root:/bin/bash\n'.repeat(500)],
    ['the magic of SQLite and nonsense', `SQLite format 3\0${'nonsense'.repeat(100)}`],
  ])('G121 a text file is refused and unchanged: %s', async (_, content) => {
    writeFileSync(path, content)
    expect((await refusal()).code).toBe('STORE_NOT_OURS')
    expect(readdirSync(folder)).toEqual(['app.db'])
  })

  it('G128 a database with another application_id is refused and unchanged', async () => {
    const db = new Database(path)
    db.pragma('application_id = 12345')
    db.exec('CREATE TABLE item (id INTEGER)')
    db.close()
    expect((await refusal()).code).toBe('STORE_NOT_OURS')
  })

  it('G128 a database without application_id is refused and unchanged', async () => {
    const db = new Database(path)
    db.exec('CREATE TABLE item (id INTEGER)')
    db.close()
    expect((await refusal()).code).toBe('STORE_NOT_OURS')
  })

  it("G128 another program's database whose log still waits to be moved is refused, and the log is not moved", async () => {
    const db = new Database(path)
    db.pragma('journal_mode = WAL')
    db.exec('CREATE TABLE item (id INTEGER); INSERT INTO item VALUES (1)')
    const [main, log] = [readFileSync(path), readFileSync(`${path}-wal`)]
    db.close()
    writeFileSync(path, main)
    writeFileSync(`${path}-wal`, log)
    expect((await refusal()).code).toBe('STORE_NOT_OURS')
  })

  it("another program's database in the middle of a transaction is refused, and not rolled back", async () => {
    const db = new Database(path)
    db.exec(`CREATE TABLE item (text TEXT); INSERT INTO item VALUES ('${'x'.repeat(9000)}')`)
    db.close()
    writeFileSync(`${path}-journal`, journalOf(3))
    expect((await refusal()).code).toBe('STORE_NOT_OURS')
    expect(existsSync(`${path}-journal`)).toBe(true)
  })

  it("another program's database of one page is not taken for a creation of ours that was killed", async () => {
    const db = new Database(path)
    db.pragma('user_version = 7')
    db.close()
    writeFileSync(`${path}-journal`, journalOf(1))
    expect((await refusal()).code).toBe('STORE_NOT_OURS')
  })
})

describe('a file of ours that is not well', () => {
  it('G123 a truncated file is refused and unchanged', async () => {
    await filled(50)
    truncateSync(path, 3 * 4096)
    expect((await refusal()).code).toBe('STORE_CORRUPT')
  })

  it('G123 a file with a damaged page is refused and unchanged', async () => {
    await filled(200)
    const bytes = readFileSync(path)
    bytes.fill(0xff, 4 * 4096, 5 * 4096)
    writeFileSync(path, bytes)
    expect((await refusal()).code).toBe('STORE_CORRUPT')
    expect((await refusal(path, true)).code).toBe('STORE_CORRUPT')
  })

  it('G122 an empty file beside an anchor is refused: it had rows once', async () => {
    writeFileSync(path, '')
    writeFileSync(path + ANCHOR_SUFFIX, '{}')
    expect((await refusal()).code).toBe('STORE_LOST')
  })

  it('G122 a missing file beside an anchor is refused, and not made anew', async () => {
    writeFileSync(path + ANCHOR_SUFFIX, '{}')
    expect((await refusal()).code).toBe('STORE_LOST')
    expect(existsSync(path)).toBe(false)
  })

  it('an empty file without an anchor becomes a new database', async () => {
    writeFileSync(path, '')
    await filled(1)
    expect(statSync(path).size).toBeGreaterThan(0)
  })

  it('G127 a newer user_version is refused and the file is unchanged', async () => {
    await filled(3)
    const db = new Database(path)
    db.pragma('user_version = 2')
    db.close()
    expect((await refusal()).code).toBe('STORE_NEWER')
    expect((await refusal(path, true)).code).toBe('STORE_NEWER')
  })

  it('a creation that was killed half-way is begun again', async () => {
    // What a SIGKILL leaves between the first page and the end of its transaction: the page, and a journal that says the file was empty.
    writeFileSync(path, Buffer.alloc(4096, 1))
    writeFileSync(`${path}-journal`, journalOf(0))
    await filled(2)
    const store = await openSqlite(path, outside())
    expect(await store.transaction('count', (tx) => tx.query('SELECT count(*) AS n FROM item'))).toEqual([{ n: 2 }])
    await store.close()
  })
})

/** The head of a rollback journal without pages: whoever finds it cuts the file back to `pages`. Layout: https://www.sqlite.org/fileformat2.html#the_rollback_journal */
function journalOf(pages: number): Buffer {
  const head = Buffer.alloc(512)
  head.write('d9d505f920a163d7', 'hex')
  for (const [i, word] of [0, 0, pages, 512, 4096].entries()) head.writeUInt32BE(word, 8 + 4 * i)
  return head
}

describe('a path that is not the plain name of a file', () => {
  it('a directory is refused', async () => {
    mkdirSync(path)
    const error = await openSqlite(path, outside()).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'STORE_CANNOT_OPEN', message: expect.stringContaining('is a directory') })
  })

  it.each(['file:x?mode=ro', 'file:///tmp/x.db', '', ' padded.db', 'a\0b'])('%j is refused, and no file of that name appears', async (place) => {
    expect((await refusal(place)).code).toBe('STORE_CANNOT_OPEN')
    expect(existsSync('x')).toBe(false)
  })

  it('a missing parent directory is refused with the command that makes it', async () => {
    const error = await refusal(join(folder, 'no/such/app.db'))
    expect(error).toMatchObject({ code: 'STORE_CANNOT_OPEN', hint: `mkdir -p ${folder}/no/such` })
    expect(existsSync(join(folder, 'no'))).toBe(false)
  })

  it('a missing file is refused when it is only to be read, and not made', async () => {
    expect((await refusal(path, true)).code).toBe('STORE_CANNOT_OPEN')
    expect(existsSync(path)).toBe(false)
  })

  it('G134 a symbolic link is refused, a directory behind one is fine and named by its real path', async () => {
    await filled(1)
    symlinkSync(path, join(folder, 'link.db'))
    expect(await refusal(join(folder, 'link.db'))).toMatchObject({ code: 'STORE_CANNOT_OPEN', message: expect.stringContaining('symbolic link') })
    symlinkSync(folder, join(folder, 'linked'))
    const store = await openSqlite(join(folder, 'linked/app.db'), outside())
    expect(store.path).toBe(path)
    await store.close()
  })

  it('G134 a dangling symbolic link is refused, and no file appears at its other end', async () => {
    symlinkSync(join(folder, 'elsewhere.db'), path)
    expect((await refusal()).code).toBe('STORE_CANNOT_OPEN')
    expect(existsSync(join(folder, 'elsewhere.db'))).toBe(false)
  })

  it('G134 a directory that all may write to is warned of, unless it is sticky', async () => {
    const warnings = async (mode: number) => {
      chmodSync(folder, mode)
      const store = await openSqlite(path, outside())
      await store.close()
      return (await reopened()).length
    }
    const reopened = async () => {
      const store = await openSqlite(path, outside())
      const found = store.facts().warnings
      await store.close()
      return found
    }
    expect([await warnings(0o755), await warnings(0o777), await warnings(0o1777)]).toEqual([0, 1, 0])
  })
})

describe('a place that cannot be written', () => {
  const NOBODY = 65534
  const root = process.getuid?.() === 0
  /** Rights do not bind root, so root becomes `nobody` first (and has loaded the driver by then, wherever this checkout stands). */
  const openAsOrdinaryUser = async (readOnly: boolean): Promise<string> => {
    const program = compile(`
      import { SystemClock } from './src/clock.ts'
      import { Random } from './src/random.ts'
      import { openSqlite } from './src/engines/store/sqlite.ts'
      const [path, readOnly] = process.argv.slice(2)
      const outside = { clock: new SystemClock(), random: Random.seeded(1) }
      await (await openSqlite(':memory:', outside)).close()
      if (process.getuid() === 0) {
        process.setgid(${NOBODY})
        process.setuid(${NOBODY})
      }
      try {
        const store = await openSqlite(path, { ...outside, readOnly: readOnly === 'true' })
        await store.migrate(${JSON.stringify(TABLE)})
        await store.close()
        process.stdout.write('opened')
      } catch (error) {
        process.stdout.write(error.code)
      }
    `)
    try {
      return await text(program.start([path, String(readOnly)]).stdout!)
    } finally {
      program.remove()
    }
  }
  const giveAway = () => {
    if (root) for (const file of [folder, path]) if (existsSync(file)) chownSync(file, NOBODY, NOBODY)
  }

  it('G129 a read-only file is refused and unchanged, but may be read', async () => {
    await filled(1)
    const before = digest(path)
    giveAway()
    chmodSync(path, 0o444)
    expect(await openAsOrdinaryUser(false)).toBe('STORE_READ_ONLY')
    expect(await openAsOrdinaryUser(true)).toBe('opened')
    expect(digest(path)).toBe(before)
  })

  it('G129 a read-only directory is refused, with a file in it and without', async () => {
    giveAway()
    chmodSync(folder, 0o555)
    expect(await openAsOrdinaryUser(false)).toBe('STORE_READ_ONLY')
    chmodSync(folder, 0o755)
    await filled(1)
    const before = digest(path)
    giveAway()
    chmodSync(folder, 0o555)
    expect(await openAsOrdinaryUser(false)).toBe('STORE_READ_ONLY')
    chmodSync(folder, 0o755)
    expect(digest(path)).toBe(before)
  })
})

describe('what SQLite says in the middle of work', () => {
  const said = (code: string) => translate(new Database.SqliteError('said so', code), '/x/app.db')

  it.each([
    ['SQLITE_FULL', 'STORE_FULL'],
    ['SQLITE_IOERR_FSYNC', 'STORE_IO'],
    ['SQLITE_READONLY', 'STORE_READ_ONLY'],
    ['SQLITE_READONLY_DBMOVED', 'STORE_REPLACED'],
    ['SQLITE_CORRUPT_VTAB', 'STORE_CORRUPT'],
    ['SQLITE_NOTADB', 'STORE_NOT_OURS'],
    ['SQLITE_CANTOPEN_ISDIR', 'STORE_CANNOT_OPEN'],
    ['SQLITE_BUSY_RECOVERY', 'STORE_BUSY'],
  ])('%s becomes %s, with the path, a hint and the cause', (code, word) => {
    const error = said(code) as ResilError
    expect(error).toBeInstanceOf(ResilError)
    expect(error).toMatchObject({ code: word, message: expect.stringContaining('/x/app.db'), hint: expect.stringMatching(/./) })
  })

  it('leaves a broken constraint and the errors of others alone', () => {
    const other = new Error('mine')
    expect([said('SQLITE_CONSTRAINT_UNIQUE'), translate(other, 'x')]).toEqual([expect.objectContaining({ code: 'SQLITE_CONSTRAINT_UNIQUE' }), other])
  })
})

describe('a schema that was tampered with', () => {
  it('G133 a view or a trigger can reach nothing that schemas should not', async () => {
    await filled(1)
    const db = new Database(path)
    db.exec('CREATE VIEW spy AS SELECT * FROM pragma_database_list; CREATE TRIGGER snoop AFTER INSERT ON item BEGIN UPDATE item SET text = (SELECT file FROM pragma_database_list); END')
    expect(db.prepare('SELECT * FROM spy').all()).toHaveLength(1)
    db.close()
    const store = await openSqlite(path, outside())
    await expect(store.transaction('look', (tx) => tx.query('SELECT * FROM spy'))).rejects.toThrow('unsafe use')
    await expect(store.transaction('put', (tx) => tx.query('INSERT INTO item (id) VALUES (77)'))).rejects.toThrow('unsafe use')
    expect(await store.transaction('count', (tx) => tx.query('SELECT text FROM item WHERE id = 77'))).toEqual([])
    await store.close()
  })
})

describe('the driver', () => {
  it.each([
    ['13.2.0', '9'],
    ['13.0.0', undefined],
    ['14.1.0', '8'],
  ])('better-sqlite3 %s on Node-API %s is refused before it can crash the process', (version, napi) => {
    expect(() => refuseUnusableDriver(version, napi)).toThrow(expect.objectContaining({ code: 'DRIVER_UNUSABLE', hint: expect.stringContaining('better-sqlite3@12') }))
  })

  it.each([
    ['12.11.1', '9'],
    ['13.2.0', '10'],
    ['12.11.1', undefined],
  ])('better-sqlite3 %s on Node-API %s is taken', (version, napi) => {
    expect(() => refuseUnusableDriver(version, napi)).not.toThrow()
  })
})
