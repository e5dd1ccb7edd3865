import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SystemClock, VirtualClock } from '../../../src/clock.ts'
import { Anchor, append, ledgerMigration, verify } from '../../../src/engines/payment/ledger.ts'
import type { Entry, Head } from '../../../src/engines/payment/ledger.ts'
import { ANCHOR_SUFFIX, openSqlite } from '../../../src/engines/store/sqlite.ts'
import type { SqliteStore } from '../../../src/engines/store/sqlite.ts'
import { Random } from '../../../src/random.ts'

const AT = 1_893_456_000_000
const LEDGER = [{ version: 1, sql: ledgerMigration }]

let folder: string
let path: string
let stores: SqliteStore[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'resil-ledger-'))
  path = join(folder, 'app.db')
  stores = []
})

afterEach(async () => {
  for (const store of stores) await store.close()
  rmSync(folder, { recursive: true })
})

async function open(place = path): Promise<SqliteStore> {
  const store = await openSqlite(place, { clock: new SystemClock(), random: Random.seeded(1) })
  stores.push(store)
  await store.migrate(LEDGER)
  return store
}

const charge = (payment: string, amount: number, currency = 'USD'): Entry[] => [
  { payment, account: 'customer', amount: -amount, currency },
  { payment, account: 'merchant', amount, currency },
]

const post = (store: SqliteStore, entries: Entry[], at = AT) => store.transaction('post', (tx) => append(tx, entries, at))
const check = (store: SqliteStore) => store.transaction('verify', verify)
const anchorAt = (place = path) => new Anchor(place + ANCHOR_SUFFIX, new SystemClock())
const compare = (store: SqliteStore, place = path) => store.transaction('anchor', (tx) => anchorAt(place).check(tx))

/** Posts `count` payments, one transaction each, so that each has its own place in the log. */
async function fill(store: SqliteStore, count: number): Promise<Head> {
  let head: Head = { seq: 0, hash: '' }
  for (let i = 0; i < count; i++) head = await post(store, charge(`pay_${i}`, 100 + i), AT + i)
  return head
}

async function anchored(head: Head, place = path): Promise<void> {
  const anchor = anchorAt(place)
  anchor.note(head)
  await anchor.close()
}

/** The files of a store as a crash leaves them: the log still beside the database. */
async function crashed(place: string, count: number): Promise<Head> {
  const store = await open(place)
  const head = await fill(store, count)
  const files = ['', '-wal'].map((suffix) => [place + suffix, readFileSync(place + suffix)] as const)
  await store.close()
  for (const [file, bytes] of files) writeFileSync(file, bytes)
  return head
}

describe('the chain', () => {
  it('is empty at first', async () => {
    expect(await check(await open())).toEqual({ entries: 0, head: { seq: 0, hash: '' } })
  })

  it('ends where the last append ended, over more entries than one batch and in several currencies', async () => {
    const store = await open(':memory:')
    const heads = await Promise.all(Array.from({ length: 1100 }, (_, i) => post(store, [...charge(`pay_${i}`, i), ...charge(`pay_${i}`, 2 ** 53 - 1, 'EUR')])))
    expect(await check(store)).toEqual({ entries: 4400, head: heads.at(-1) })
  })

  it('is the sha256 of the previous hash and the row', async () => {
    const store = await open(':memory:')
    // printf '[1,"p","customer",-5,"USD",1893456000000]' | sha256sum, then the same over that hash and the second row
    expect(await post(store, charge('p', 5))).toEqual({ seq: 2, hash: '5d81d1e126623c27bdc16839253c429da33224866326353c34d51a10afaf2b6c' })
  })

  it('keeps what a rolled back transaction appended out of the chain', async () => {
    const store = await open()
    await fill(store, 1)
    const failing = store.transaction('fail', async (tx) => {
      await append(tx, charge('gone', 5), AT)
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    await fill(store, 1)
    expect((await check(store)).entries).toBe(4)
  })

  it('G135 a clock that is set back a year breaks neither the order nor the chain', async () => {
    const store = await open()
    await post(store, charge('a', 1), AT)
    const head = await post(store, charge('b', 1), AT - 365 * 86_400_000)
    expect(head.seq).toBe(4)
    expect(await check(store)).toEqual({ entries: 4, head })
  })

  it('tells entries apart whose texts run together', async () => {
    const [one, two] = [await open(':memory:'), await open(':memory:')]
    const entries = (payment: string, account: string): Entry[] => [1, -1].map((amount) => ({ payment, account, amount, currency: 'USD' }))
    expect((await post(one, entries('a","b', 'c'))).hash).not.toBe((await post(two, entries('a', 'b","c'))).hash)
  })
})

describe('what is not appended', () => {
  it.each([
    ['one that is missing its counterpart', [charge('a', 100)[0]!]],
    ['amounts that differ', [{ ...charge('a', 100)[0]! }, { ...charge('a', 99)[1]! }]],
    ['a sum of zero over two currencies', [charge('a', 100, 'USD')[0]!, charge('a', 100, 'EUR')[1]!]],
    ['a difference that floating point would hide', [2 ** 53 - 1, 2 ** 53 - 1, 2, -(2 ** 53) + 1, -(2 ** 53) + 1, -1].map((amount) => ({ ...charge('a', 1)[0]!, amount }))],
    ['nothing at all', []],
  ])('refuses %s', async (_, entries) => {
    const store = await open(':memory:')
    await expect(post(store, entries)).rejects.toMatchObject({ code: 'LEDGER_UNBALANCED' })
    expect((await check(store)).entries).toBe(0)
  })

  it.each([99.99, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])('refuses an amount of %d', async (amount) => {
    await expect(post(await open(':memory:'), charge('a', amount))).rejects.toMatchObject({ code: 'LEDGER_ENTRY' })
  })

  it('refuses text that would not be read back as it was, and takes whole pairs', async () => {
    const store = await open(':memory:')
    await expect(post(store, charge('pay_\ud83d', 1))).rejects.toMatchObject({ code: 'LEDGER_ENTRY' })
    await post(store, charge('pay_\ud83d\ude80', 1))
    expect((await check(store)).entries).toBe(2)
  })

  it.each([
    ['an UPDATE', 'UPDATE ledger SET amount = 1 WHERE seq = 1'],
    ['a DELETE', 'DELETE FROM ledger WHERE seq = 2'],
    ['an INSERT OR REPLACE', "INSERT OR REPLACE INTO ledger VALUES (1, 'a', 'b', 1, 'USD', 1, 'x')"],
    ['a gap', "INSERT INTO ledger VALUES (9, 'a', 'b', 1, 'USD', 1, 'x')"],
  ])('the table itself refuses %s', async (_, sql) => {
    const store = await open()
    await fill(store, 1)
    await expect(store.transaction('tamper', (tx) => tx.query(sql))).rejects.toThrow('the ledger is append-only')
    expect((await check(store)).entries).toBe(2)
  })
})

describe('tampering', () => {
  /** Changes the closed file with the triggers out of the way. */
  const tampered = async (sql: string) => {
    const store = await open()
    await fill(store, 10)
    await store.close()
    const db = new Database(path)
    db.exec('DROP TRIGGER ledger_refuses_update; DROP TRIGGER ledger_refuses_delete; DROP TRIGGER ledger_has_no_gap')
    db.exec(sql)
    db.close()
    return check(await open())
  }

  it.each([
    ['an amount', 'UPDATE ledger SET amount = amount + 1 WHERE seq = 7', 'entry 7 is not'],
    ['both sides of a payment', 'UPDATE ledger SET amount = amount * 10 WHERE seq IN (7, 8)', 'entry 7 is not'],
    ['a time', 'UPDATE ledger SET at = at + 1 WHERE seq = 3', 'entry 3 is not'],
    ['a hash', "UPDATE ledger SET hash = 'x' WHERE seq = 20", 'entry 20 is not'],
    ['an entry taken out', 'DELETE FROM ledger WHERE seq = 5', 'entry 5 is missing'],
    ['the first entry taken out', 'DELETE FROM ledger WHERE seq = 1', 'entry 1 is missing'],
    ['half a payment cut off the end', 'DELETE FROM ledger WHERE seq = 20', 'by entry 19'],
    ['two entries exchanged', 'UPDATE ledger SET seq = -5 WHERE seq = 5; UPDATE ledger SET seq = 5 WHERE seq = 6; UPDATE ledger SET seq = 6 WHERE seq = -5', 'entry 5 is not'],
  ])('is found and named: %s', async (_, sql, named) => {
    await expect(tampered(sql)).rejects.toMatchObject({ code: 'LEDGER_BROKEN', message: expect.stringContaining(named) })
  })

  it('G126 one flipped letter in a page, which SQLite calls ok, breaks the chain', async () => {
    const store = await open()
    await fill(store, 10)
    await store.close()
    const bytes = readFileSync(path)
    const place = bytes.indexOf('pay_6customer')
    expect(place).toBeGreaterThan(0)
    bytes[place + 4] = '7'.charCodeAt(0)
    writeFileSync(path, bytes)
    await expect(check(await open())).rejects.toMatchObject({ code: 'LEDGER_BROKEN', message: expect.stringContaining('entry 13 ') })
  })
})

describe('the anchor', () => {
  it('finds its entry in a ledger that is whole, and in one that has grown', async () => {
    const store = await open()
    await anchored(await fill(store, 5))
    await compare(store)
    await fill(store, 5)
    await compare(store)
  })

  it('says nothing where there is no anchor', async () => {
    await compare(await open())
  })

  it.each([0.1, 0.5, 0.9])('G124 a flipped bit %d into the log silently drops what follows; SQLite says ok, the chain is whole, the anchor tells', async (part) => {
    const head = await crashed(path, 50)
    await anchored(head)
    const log = readFileSync(`${path}-wal`)
    log[Math.floor(log.length * part)]! ^= 1
    writeFileSync(`${path}-wal`, log)
    const store = await open()
    expect((await check(store)).entries).toBeLessThan(100)
    await expect(compare(store)).rejects.toMatchObject({ code: 'LEDGER_LOST', message: expect.stringContaining('entry 100 ') })
  })

  it('G125 a missing log is told by the anchor', async () => {
    await anchored(await crashed(path, 10))
    rmSync(`${path}-wal`)
    await expect(compare(await open())).rejects.toMatchObject({ code: 'LEDGER_LOST', message: expect.stringContaining('gone') })
  })

  it('G125 the log of another ledger is told by the anchor', async () => {
    const other = join(folder, 'other.db')
    await crashed(other, 12)
    await anchored(await crashed(path, 10))
    const store = await open()
    await store.transaction('differ', (tx) => append(tx, charge('ours', 7), AT))
    await anchored((await check(store)).head)
    await store.close()
    writeFileSync(`${path}-wal`, readFileSync(`${other}-wal`))
    await expect(compare(await open())).rejects.toMatchObject({ code: 'LEDGER_LOST', message: expect.stringContaining('entry 22 ') })
  })

  it('G125 an old copy put back in place is told by the anchor', async () => {
    const first = await open()
    await fill(first, 5)
    await first.close()
    const old = readFileSync(path)
    const second = await open()
    await anchored(await fill(second, 1))
    await second.close()
    writeFileSync(path, old)
    const restored = await open()
    expect((await check(restored)).entries).toBe(10)
    await expect(compare(restored)).rejects.toMatchObject({ code: 'LEDGER_LOST' })
  })

  it.each(['', '{', 'null', '{"seq":"1","hash":"x"}', '{"seq":1}'])('is refused when it reads %j', async (text) => {
    const store = await open()
    writeFileSync(path + ANCHOR_SUFFIX, text)
    await expect(compare(store)).rejects.toMatchObject({ code: 'LEDGER_ANCHOR' })
  })

  it('is not written by a note, but a second after the first one, with the newest, and again only when something is new', async () => {
    const clock = new VirtualClock()
    const anchor = new Anchor(path + ANCHOR_SUFFIX, clock)
    anchor.note({ seq: 1, hash: 'one' })
    await clock.run(clock.sleep(999))
    anchor.note({ seq: 3, hash: 'three' })
    anchor.note({ seq: 2, hash: 'two, told late' })
    expect(existsSync(path + ANCHOR_SUFFIX)).toBe(false)
    await clock.run(clock.sleep(1))
    await anchor.close()
    expect(JSON.parse(readFileSync(path + ANCHOR_SUFFIX, 'utf8'))).toEqual({ seq: 3, hash: 'three' })
    rmSync(path + ANCHOR_SUFFIX)
    await anchor.close()
    expect(readdirSync(folder)).toEqual([])
  })

  it('written while noted shows the head of the moment of writing', async () => {
    const clock = new VirtualClock()
    const anchor = new Anchor(path + ANCHOR_SUFFIX, clock)
    anchor.note({ seq: 1, hash: 'one' })
    await clock.run(clock.sleep(1000))
    anchor.note({ seq: 2, hash: 'two' })
    await anchor.close()
    expect(JSON.parse(readFileSync(path + ANCHOR_SUFFIX, 'utf8'))).toEqual({ seq: 2, hash: 'two' })
    expect(readdirSync(folder)).toEqual([`app.db${ANCHOR_SUFFIX}`])
  })

  it('says at close that it could not be written', async () => {
    const anchor = new Anchor(join(folder, 'no/such/anchor'), new SystemClock())
    anchor.note({ seq: 1, hash: 'one' })
    await expect(anchor.close()).rejects.toMatchObject({ code: 'LEDGER_ANCHOR' })
  })
})
