import { mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SystemClock, VirtualClock } from '../../../src/clock.ts'
import { APPLICATION_ID, openSqlite } from '../../../src/engines/store/sqlite.ts'
import type { SqliteStore } from '../../../src/engines/store/sqlite.ts'
import type { Migration, Tx } from '../../../src/engines/store/store.ts'
import { Random } from '../../../src/random.ts'
import { conformance } from '../../store.conformance.ts'

const outside = () => ({ clock: new SystemClock(), random: Random.seeded(1) })

conformance('SQLite in memory', async () => ({ open: () => openSqlite(':memory:', outside()), remove: async () => {} }), { outlivesStore: false })

conformance(
  'an SQLite file',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'resil-store-'))
    return { open: () => openSqlite(join(folder, 'app.db'), outside()), remove: async () => rmSync(folder, { recursive: true }) }
  },
  { outlivesStore: true },
)

const TABLE: Migration[] = [{ version: 1, sql: 'CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT)' }]

const put = (tx: Tx, id: number, text = '') => tx.query('INSERT INTO item (id, text) VALUES (:id, :text)', { id, text })

const count = async (store: SqliteStore) => {
  const [row] = await store.transaction('count', (tx) => tx.query<{ n: number }>('SELECT count(*) AS n FROM item'))
  return row!.n
}

const pragma = async (store: SqliteStore, name: string) => {
  const [row] = await store.transaction('pragma', (tx) => tx.query(`PRAGMA ${name}`))
  return Object.values(row!)[0]
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'resolved',
    (error: unknown) => (error as { code?: string }).code,
  )

let folder: string
let path: string
let stores: SqliteStore[]

const open = async (options: { readOnly?: boolean } = {}) => {
  const store = await openSqlite(path, { ...outside(), ...options })
  stores.push(store)
  if (!options.readOnly) await store.migrate(TABLE)
  return store
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'resil-store-'))
  path = join(folder, 'app.db')
  stores = []
})

afterEach(async () => {
  for (const store of stores) await store.close()
  rmSync(folder, { recursive: true })
})

describe('the connection', () => {
  it('is in WAL mode with synchronous FULL after a write, strict about schemas, and never blocks on a lock', async () => {
    const store = await open()
    await store.transaction('put', (tx) => put(tx, 1))
    expect(store.facts()).toMatchObject({ journal: 'wal', synchronous: 2, warnings: [] })
    const settings = ['busy_timeout', 'foreign_keys', 'trusted_schema', 'cell_size_check', 'application_id', 'user_version']
    expect(await Promise.all(settings.map((name) => pragma(store, name)))).toEqual([0, 1, 0, 1, APPLICATION_ID, 1])
  })

  it('makes a file that only its owner can read, and so its log', async () => {
    const store = await open()
    await store.transaction('put', (tx) => put(tx, 1))
    expect([statSync(path).mode & 0o777, statSync(`${path}-wal`).mode & 0o777]).toEqual([0o600, 0o600])
  })

  it('keeps hundreds of different statements apart', async () => {
    const store = await open()
    await store.transaction('many', async (tx) => {
      for (let round = 0; round < 2; round++) for (let i = 0; i < 300; i++) expect(await tx.query(`SELECT ${i} AS n`)).toEqual([{ n: i }])
    })
  })

  it.each([1, -(2 ** 31) - 1, 1_893_456_000_000, 2 ** 53 - 1])('binds %d as an integer wherever it stands', async (n) => {
    const store = await open()
    expect(await store.transaction('bind', (tx) => tx.query('SELECT typeof(:n) AS type, :n AS n', { n }))).toEqual([{ type: 'integer', n }])
  })

  it('compiles a statement once: its plan does not depend on what is bound', async () => {
    const store = await open()
    await store.transaction('rows', async (tx) => {
      await tx.query("CREATE INDEX item_new ON item (text) WHERE text = 'new:1'")
      for (const [id, text] of [[1, 'new:1'], [2, 'new:2']] as const) await put(tx, id, text)
    })
    // What the planner may look at, it says it looks at; and what looks like a parameter in a text is text.
    const ask = (sql: string, text: string) => store.transaction('ask', (tx) => tx.query<{ detail?: string; id?: number }>(sql, { text }))
    expect(await ask("EXPLAIN QUERY PLAN SELECT id FROM item WHERE text = :text AND text <> 'a:text ''b:text'", 'new:1')).toMatchObject([{ detail: 'SCAN item' }])
    expect(await ask("SELECT id FROM item WHERE text = :text AND text <> 'a:text ''b:text'", 'new:2')).toEqual([{ id: 2 }])
    expect(await ask("SELECT :text || ':text' || -:text AS id", '3')).toEqual([{ id: '3:text-3' }])
  })

  it('reads beside a writer when opened read-only, and refuses to write', async () => {
    const writer = await open()
    const reader = await open({ readOnly: true })
    await writer.transaction('put', (tx) => put(tx, 1))
    expect(await count(reader)).toBe(1)
    expect(await codeOf(reader.transaction('put', (tx) => put(tx, 2)))).toBe('STORE_READ_ONLY')
    expect(await count(writer)).toBe(1)
  })
})

describe('group commit', () => {
  const logBytes = () => statSync(`${path}-wal`).size

  it('writes a hundred works of one turn in one commit', async () => {
    const store = await open()
    const { groups, works } = store.facts()
    const before = logBytes()
    await Promise.all(Array.from({ length: 100 }, (_, id) => store.transaction('put', (tx) => put(tx, id))))
    expect(store.facts()).toMatchObject({ groups: groups + 1, works: works + 100 })
    // One commit writes each changed page once; a hundred commits write at least a hundred pages.
    expect((logBytes() - before) / 4096).toBeLessThan(10)
    expect(await count(store)).toBe(100)
  })

  it('commits works of different turns apart', async () => {
    const store = await open()
    const { groups } = store.facts()
    for (let id = 0; id < 3; id++) await store.transaction('put', (tx) => put(tx, id))
    expect(store.facts().groups).toBe(groups + 3)
  })

  it('writes nothing to the disk when its works only read', async () => {
    const store = await open()
    const before = logBytes()
    await Promise.all([count(store), count(store)])
    expect(logBytes()).toBe(before)
  })

  it('answers no work before the whole group is committed', async () => {
    const store = await open()
    const reader = await open({ readOnly: true })
    const seen = await Promise.all([1, 2, 3].map((id) => store.transaction('put', (tx) => put(tx, id)).then(() => count(reader))))
    expect(seen).toEqual([3, 3, 3])
  })

  it('cuts a long queue into groups of five hundred', async () => {
    const store = await open()
    const { groups } = store.facts()
    await Promise.all(Array.from({ length: 1200 }, (_, id) => store.transaction('put', (tx) => put(tx, id))))
    expect(store.facts().groups).toBe(groups + 3)
    expect(await count(store)).toBe(1200)
  })

  it('refuses the work after ten thousand waiting ones, and takes work again afterwards', async () => {
    const store = await open()
    const waiting = Array.from({ length: 10_000 }, (_, i) => store.transaction('answer', async () => i))
    expect(await codeOf(store.transaction('one too many', async () => 0))).toBe('STORE_OVERLOADED')
    expect((await Promise.all(waiting)).at(-1)).toBe(9999)
    expect(await store.transaction('again', async () => 'fine')).toBe('fine')
  })

  it('needs no real time in a simulated world', async () => {
    const clock = new VirtualClock()
    const random = Random.seeded(1)
    const seen = await clock.run(
      (async () => {
        const store = await openSqlite(':memory:', { clock, random })
        await store.migrate(TABLE)
        const late = store.transaction('late', async (tx) => {
          await put(tx, 1)
          await clock.sleep(10)
        })
        const good = store.transaction('good', (tx) => put(tx, 2))
        const answer = [await codeOf(late), await codeOf(good), await count(store), clock.monotonic()]
        await store.close()
        return answer
      })(),
    )
    expect(seen).toEqual(['TX_WAITED', 'resolved', 1, 0])
  })

  it('lets nothing of the world run between two works, not even after one that waited', async () => {
    const store = await open()
    const clock = new SystemClock()
    let ended = false
    const outsider = new Promise<boolean>((resolve) => {
      const look = () => (ended ? resolve(false) : store.insideTransaction ? resolve(true) : void clock.after(0, look))
      look()
    })
    await Promise.allSettled([
      store.transaction('first', (tx) => put(tx, 1)),
      store.transaction('waits', () => clock.sleep(1)),
      store.transaction('last', (tx) => put(tx, 2)),
    ])
    ended = true
    expect(await outsider).toBe(false)
  })
})

describe('a commit that fails', () => {
  const FAMILY: Migration[] = [
    ...TABLE,
    { version: 2, sql: 'CREATE TABLE part (id INTEGER PRIMARY KEY, item INTEGER REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED)' },
  ]

  it('is an unknown outcome for every work of its group, and the store goes on', async () => {
    const store = await open()
    await store.migrate(FAMILY)
    const group = await Promise.all([
      codeOf(store.transaction('good', (tx) => put(tx, 1))),
      codeOf(store.transaction('orphan', (tx) => tx.query('INSERT INTO part (id, item) VALUES (1, 99)'))),
      store.transaction('thrown', () => Promise.reject(new Error('its own'))).catch((error: Error) => error.message),
    ])
    expect(group).toEqual(['COMMIT_UNKNOWN', 'COMMIT_UNKNOWN', 'its own'])
    expect(store.insideTransaction).toBe(false)
    expect(await count(store)).toBe(0)
    await store.transaction('again', (tx) => put(tx, 1))
    expect(await count(store)).toBe(1)
  })

  it('keeps what the database said', async () => {
    const store = await open()
    await store.migrate(FAMILY)
    const error = await store.transaction('orphan', (tx) => tx.query('INSERT INTO part (id, item) VALUES (1, 99)')).catch((caught: Error) => caught)
    expect((error as Error).cause).toMatchObject({ code: 'SQLITE_CONSTRAINT_FOREIGNKEY' })
  })

  it('is what a work gets that ends the transaction by itself', async () => {
    const store = await open()
    const outcomes = await Promise.all([codeOf(store.transaction('good', (tx) => put(tx, 1))), codeOf(store.transaction('commits', (tx) => tx.query('COMMIT')))])
    expect(outcomes).toEqual(['COMMIT_UNKNOWN', 'COMMIT_UNKNOWN'])
    expect(await codeOf(store.transaction('again', (tx) => put(tx, 2)))).toBe('resolved')
  })
})

describe('a disk that is full (a limit on pages stands in for it)', () => {
  const big = 'x'.repeat(3000)
  const fill = async (tx: Tx) => {
    for (let id = 1000; id < 1100; id++) await put(tx, id, big)
  }

  it('G131 a full disk rolls back the whole group with STORE_FULL; reading and deleting go on, and writing once there is space', async () => {
    const store = await open()
    await store.transaction('seed', async (tx) => {
      for (let id = 0; id < 10; id++) await put(tx, id, big)
    })
    await pragma(store, 'max_page_count = 20')
    const outcomes = await Promise.all([codeOf(store.transaction('small', (tx) => put(tx, 500))), codeOf(store.transaction('fill', fill)), codeOf(store.transaction('after', (tx) => put(tx, 501)))])
    expect(outcomes).toEqual(['STORE_FULL', 'STORE_FULL', 'STORE_FULL'])
    expect(await count(store)).toBe(10)
    await store.transaction('delete', (tx) => tx.query('DELETE FROM item WHERE id < 5'))
    await store.transaction('small', (tx) => put(tx, 500, big))
    await pragma(store, 'max_page_count = 100000')
    await store.transaction('fill', fill)
    expect(await count(store)).toBe(106)
  })

  it('lets no work write on that swallowed the error', async () => {
    const store = await open()
    await pragma(store, 'max_page_count = 10')
    const stubborn = store.transaction('stubborn', async (tx) => {
      await fill(tx).catch(() => {})
      await put(tx, 7).catch(() => {})
      return 'fine'
    })
    expect(await codeOf(stubborn)).toBe('STORE_FULL')
    expect(await count(store)).toBe(0)
  })
})

describe('a lock held by someone else', () => {
  it('G130 is waited for at most five seconds, then answered with STORE_BUSY; nothing has run, and the next work is fine', async () => {
    const clock = new VirtualClock()
    const store = await clock.run(openSqlite(path, { clock, random: Random.seeded(1) }))
    await clock.run(store.migrate(TABLE))
    const holder = new Database(path)
    holder.exec('BEGIN IMMEDIATE')
    let ran = false
    const started = clock.monotonic()
    const code = await clock.run(codeOf(store.transaction('put', async () => (ran = true))))
    const waited = clock.monotonic() - started
    expect([code, ran]).toEqual(['STORE_BUSY', false])
    expect(waited).toBeGreaterThanOrEqual(5000)
    expect(waited).toBeLessThan(5010)
    expect(store.facts().busy).toBeGreaterThan(1000)
    holder.exec('COMMIT')
    holder.close()
    await clock.run(store.transaction('put', (tx) => put(tx, 1)))
    expect(await clock.run(count(store))).toBe(1)
    await clock.run(store.close())
  })

  it('G130 does not stop the event loop, and a work that came late waits its own five seconds', async () => {
    const clock = new VirtualClock()
    const store = await clock.run(openSqlite(path, { clock, random: Random.seeded(1) }))
    await clock.run(store.migrate(TABLE))
    const holder = new Database(path)
    holder.exec('BEGIN IMMEDIATE')
    let ticks = 0
    const outcomes = await clock.run(
      (async () => {
        const early = codeOf(store.transaction('early', (tx) => put(tx, 1)))
        for (; ticks < 300; ticks++) await clock.sleep(10)
        const late = codeOf(store.transaction('late', (tx) => put(tx, 2)))
        const first = await early
        holder.exec('COMMIT')
        return [first, await late]
      })(),
    )
    holder.close()
    expect(outcomes).toEqual(['STORE_BUSY', 'resolved'])
    await clock.run(store.close())
  })

  it('is waited for in real time without blocking other timers', async () => {
    const store = await open()
    const holder = new Database(path)
    holder.exec('BEGIN IMMEDIATE')
    const put1 = store.transaction('put', (tx) => put(tx, 1))
    const clock = new SystemClock()
    for (let tick = 0; tick < 20 || store.facts().busy === 0; tick++) await clock.sleep(1)
    holder.exec('COMMIT')
    holder.close()
    await put1
    expect(await count(store)).toBe(1)
  })

  it('is waited for while opening, too', async () => {
    const first = await open()
    await first.close()
    const holder = new Database(path)
    holder.pragma('locking_mode = EXCLUSIVE')
    holder.exec('BEGIN EXCLUSIVE')
    const clock = new VirtualClock()
    expect(await clock.run(codeOf(openSqlite(path, { clock, random: Random.seeded(1) })))).toBe('STORE_BUSY')
    expect(clock.monotonic()).toBeGreaterThanOrEqual(5000)
    holder.close()
  })
})

describe('a file that is taken away', () => {
  it('G132 deleted while open: no work is acknowledged any more', async () => {
    const store = await open()
    await store.transaction('put', (tx) => put(tx, 1))
    rmSync(path)
    expect(await codeOf(store.transaction('put', (tx) => put(tx, 2)))).toBe('STORE_REPLACED')
    expect(await codeOf(store.transaction('read', (tx) => tx.query('SELECT 1')))).toBe('STORE_REPLACED')
  })

  it('G132 replaced while open: no work is acknowledged any more, and the other file is not written', async () => {
    const store = await open()
    writeFileSync(join(folder, 'other'), 'something else')
    renameSync(join(folder, 'other'), path)
    const outcomes = await Promise.all([1, 2].map((id) => codeOf(store.transaction('put', (tx) => put(tx, id)))))
    expect(outcomes).toEqual(['STORE_REPLACED', 'STORE_REPLACED'])
    expect(statSync(path).size).toBe('something else'.length)
  })
})
