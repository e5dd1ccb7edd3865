/**
 * The durable store on one SQLite file (or in memory). One writer at a time, one host, a local file system.
 *
 *   transaction() x N ──> queue ──(end of the turn)──> BEGIN IMMEDIATE ─ work ─ work ─ work ─ COMMIT ──> N answers
 *                                                       busy? again in 1 to 4 ms, for at most BUSY_LIMIT_MS
 *
 * Works of one turn share one commit, so one fsync: each runs alone, strictly one after another, in a SAVEPOINT of its own.
 * A group begins in a fresh turn and its works await nothing but queries that have already run, so nothing else runs until the group has ended:
 * that makes `insideTransaction` exact. A work that is still pending when the microtasks have run dry waits for the world, and is rolled back.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { accessSync, closeSync, constants, lstatSync, openSync, realpathSync, statSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, resolve } from 'node:path'
import type { Clock } from '../../clock.ts'
import { ResilError, assert } from '../../errors.ts'
import type { Random } from '../../random.ts'
import type { Migration, SqlParams, Store, Tx } from './store.ts'

/** 'RESL' in ASCII, in the header of every file of ours: what tells it from the databases of others. */
export const APPLICATION_ID = 0x5245534c

/** A small file beside the database that remembers what it must contain (see payment/ledger.ts). */
export const ANCHOR_SUFFIX = '-anchor'

/** How long a work, or the opening, waits for another process's lock before STORE_BUSY. */
const BUSY_LIMIT_MS = 5000
/** Longest pause between two tries for the lock, the shortest is 1: short enough to be fair between processes, random so that they do not march in step. */
const BUSY_PAUSE_MS = 4
/** Works that may wait; the next one gets STORE_OVERLOADED. At 20 us a work, the last in line waits some 200 ms. */
const WORKS_WAITING = 10_000
/** Works in one commit. Beyond a few hundred the rate grows little (50 to 500: a factor of 4), while the loop stands still for all of them. */
const WORKS_PER_GROUP = 500
/** Prepared statements kept; the least recently used goes first. An engine has some dozens. */
const STATEMENTS_KEPT = 256
/** What a file holds at most while `create` runs. */
const FIRST_PAGE_BYTES = 4096

export interface SqliteOptions {
  /** The machine's clock or a simulated world's; not that of one simulated node, whose pause must not hold up the others. */
  clock: Clock
  random: Random
  /** Reads only, changes nothing, and may stand beside a writing process. */
  readOnly?: boolean
}

export interface SqliteFacts {
  sqlite: string
  driver: string
  journal: string
  /** 2 is FULL: a commit is on the disk before its promise resolves. */
  synchronous: number
  /** Commits so far; less than `works` when works shared one. */
  groups: number
  works: number
  /** Times the lock was held by another process. */
  busy: number
  /** What the operator should know: one sentence each. */
  warnings: string[]
}

export interface SqliteStore extends Store {
  /** Absolute, without symbolic links; or ':memory:'. */
  readonly path: string
  facts(): SqliteFacts
}

type Database = BetterSqlite3.Database
type Statement = BetterSqlite3.Statement<[Record<string, unknown>], object>

interface Driver {
  Database: typeof BetterSqlite3
  version: string
}

/**
 * Throws DRIVER_UNUSABLE for a better-sqlite3 that would kill the process: from 13 on it needs Node-API 10, and on less it ends in a segmentation fault.
 * `version` is the package's, `napi` is `process.versions.napi`.
 */
export function refuseUnusableDriver(version: string, napi: string | undefined): void {
  if (Number.parseInt(version, 10) < 13 || Number(napi) >= 10) return
  throw new ResilError('DRIVER_UNUSABLE', `better-sqlite3 ${version} crashes on this Node.js (Node-API ${napi ?? 'unknown'}, 10 is needed)`, 'use Node.js 22.14 or newer, or npm install better-sqlite3@12')
}

let loaded: Driver | undefined

/** Synchronous, so that a store in memory opens without the world's time passing. */
function loadDriver(): Driver {
  if (loaded) return loaded
  const require = createRequire(import.meta.url)
  try {
    const { version } = require('better-sqlite3/package.json') as { version: string }
    refuseUnusableDriver(version, process.versions.napi)
    const Database = require('better-sqlite3') as typeof BetterSqlite3
    new Database(':memory:').close()
    loaded = { Database, version }
    return loaded
  } catch (error) {
    if (error instanceof ResilError) throw error
    throw new ResilError('DRIVER_UNUSABLE', `better-sqlite3 does not load: ${messageOf(error)}`, 'npm rebuild better-sqlite3 (it needs a C++ compiler where no prebuilt binary fits)', { cause: error })
  }
}

/**
 * Opens or creates the database at `path`; ':memory:' is one that ends with the store. A refusal leaves the file as it was, byte for byte:
 *   STORE_CANNOT_OPEN  no directory, not a file, a symbolic link, a URI   STORE_NOT_OURS   text, or another program's database
 *   STORE_CORRUPT      damaged or cut short                               STORE_LOST       empty or gone, though an anchor says it had rows
 *   STORE_READ_ONLY    no right to write                                  STORE_BUSY       locked for more than five seconds
 *   STORE_NOT_DURABLE  the file system cannot hold a write-ahead log      DRIVER_UNUSABLE  better-sqlite3 does not fit this Node.js
 * A file of a newer version is refused by `migrate`, with STORE_NEWER.
 */
export async function openSqlite(path: string, options: SqliteOptions): Promise<SqliteStore> {
  const driver = loadDriver()
  const readOnly = options.readOnly ?? false
  const place = path === ':memory:' ? { path, warnings: [] } : inspect(path, readOnly)
  if (path !== ':memory:' && !place.found) reserve(place.path)
  const random = options.random.fork('sqlite')
  const deadline = options.clock.monotonic() + BUSY_LIMIT_MS
  for (;;) {
    try {
      const db = openNow(driver, place, readOnly)
      return new Sqlite(db, place, driver, options.clock, random, readOnly)
    } catch (error) {
      if (!isBusy(error) || options.clock.monotonic() >= deadline) throw translate(error, place.path)
    }
    await options.clock.sleep(random.int(1, BUSY_PAUSE_MS))
  }
}

interface Place {
  path: string
  warnings: string[]
  /** Of the file as it was found; undefined when there was none. */
  found?: Stats
}

/** Everything that can be refused without opening the file. (To open and close it here would also drop the locks that another connection of this process holds on it.) */
function inspect(given: string, readOnly: boolean): Place {
  const cannot = (why: string, hint: string) => new ResilError('STORE_CANNOT_OPEN', `${given}: ${why}`, hint)
  if (given.startsWith('file:')) throw cannot('URIs are not understood', 'give a plain path')
  if (given.trim() !== given || given === '' || given.includes('\0')) throw cannot('not the name of a file', 'give a path without blanks at its ends')
  const full = resolve(given)
  const directory = statSync(dirname(full), { throwIfNoEntry: false })
  if (!directory?.isDirectory()) throw cannot(`there is no directory ${dirname(full)}`, `mkdir -p ${dirname(full)}`)
  const path = join(realpathSync(dirname(full)), basename(full))
  const found = lstatSync(path, { throwIfNoEntry: false })
  // Whoever may move the link could swap the ledger under the engine, and two names for one file invite two configurations of it.
  if (found?.isSymbolicLink()) throw cannot('is a symbolic link', 'give the path of the file that it points to')
  if (found && !found.isFile()) throw cannot(found.isDirectory() ? 'is a directory' : 'is not a regular file', 'give the path of a file')
  if (!found?.size && statSync(path + ANCHOR_SUFFIX, { throwIfNoEntry: false })?.size) {
    throw new ResilError('STORE_LOST', `${given} is ${found ? 'empty' : 'gone'}, but ${basename(path)}${ANCHOR_SUFFIX} says that it held a ledger`, 'restore the database from a backup, or move the anchor away to begin anew')
  }
  if (!found && readOnly) throw cannot('does not exist', 'check the path')
  if (!readOnly) {
    try {
      accessSync(dirname(path), constants.W_OK)
      if (found) accessSync(path, constants.W_OK)
    } catch (error) {
      throw new ResilError('STORE_READ_ONLY', `${given} or its directory cannot be written`, 'change its permissions, or choose another place with --store', { cause: error })
    }
  }
  // A warning, not a refusal: volumes of containers are commonly 0777. A sticky directory (/tmp) lets nobody replace the file of another.
  const open = (directory.mode & 0o1002) === 0o002
  return { path, found, warnings: open ? [`anyone on this machine may replace ${path}: its directory is writable for all`] : [] }
}

/** Creates the file for its owner's eyes only; SQLite gives the log beside it the same rights. */
function reserve(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    // Another process was faster: then the file is there, which is all that matters.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw new ResilError('STORE_CANNOT_OPEN', `${path} cannot be created: ${messageOf(error)}`, 'choose another place with --store', { cause: error })
  }
}

/** One try at opening; throws SQLITE_BUSY while another process holds the lock. */
function openNow({ Database }: Driver, place: Place, readOnly: boolean): Database {
  const { path, found } = place
  // What is there is first looked at through a connection that cannot write: even closing a writing one would move pages from the log into a file we then refuse.
  if (found && (found.size > 0 || readOnly)) {
    try {
      using(new Database(path, { readonly: true, timeout: 0 }), (db) => refuseUnsound(db, path))
    } catch (error) {
      // A creation of ours that was killed: its one page is rolled back below. A larger file with such a journal is not ours, we keep a write-ahead log.
      if (codeOf(error) !== 'SQLITE_READONLY_ROLLBACK' || found.size > FIRST_PAGE_BYTES) throw error
    }
  }
  const db = new Database(path, { readonly: readOnly, timeout: 0 })
  try {
    // Explicit: in WAL mode the driver's default falls from FULL to NORMAL at the first statement, and a power cut then loses commits.
    // `fullfsync` matters on macOS only, where fsync stops at the drive's cache.
    for (const setting of ['synchronous = FULL', 'fullfsync = ON', 'checkpoint_fullfsync = ON', 'foreign_keys = ON', 'trusted_schema = OFF', 'cell_size_check = ON']) db.pragma(setting)
    if (readOnly) db.pragma('query_only = ON')
    else if (path !== ':memory:') {
      if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID) create(db, path)
      const journal = db.pragma('journal_mode = WAL', { simple: true })
      if (journal !== 'wal') throw new ResilError('STORE_NOT_DURABLE', `${path}: this file system cannot hold a write-ahead log`, 'choose a local disk')
      // SQLite says 'wal' even when an error of the disk kept the switch from the file; the first read shows what holds.
      db.pragma('user_version')
      if (db.pragma('journal_mode', { simple: true }) !== 'wal') throw new ResilError('STORE_IO', `${path}: the disk answered with an error when the write-ahead log was begun`, 'check the disk, start again')
    }
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** Marks an empty file as ours, before anything else stands in it. Two processes may do so at once. */
function create(db: Database, path: string): void {
  if (db.pragma('page_count', { simple: true }) !== 0) throw notOurs(path)
  db.transaction(() => db.pragma(`application_id = ${APPLICATION_ID}`)).exclusive()
}

function refuseUnsound(db: Database, path: string): void {
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID) throw notOurs(path)
  const [first] = db.pragma('quick_check(1)') as { quick_check: string }[]
  if (first?.quick_check !== 'ok') throw corrupt(path, first?.quick_check ?? 'unreadable')
}

function using<T>(db: Database, look: (db: Database) => T): T {
  try {
    return look(db)
  } finally {
    db.close()
  }
}

interface Job {
  name: string
  work: (tx: Tx) => Promise<unknown>
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
  /** Monotonic ms. */
  since: number
}

type Ending = { ok: true; value: unknown } | { ok: false; error: unknown }

class Sqlite implements SqliteStore {
  readonly path: string
  readonly #db: Database
  readonly #place: Place
  readonly #driver: Driver
  readonly #clock: Clock
  readonly #random: Random
  readonly #readOnly: boolean
  /** The file that this connection writes to, whatever the path points to later. */
  readonly #file: Stats | undefined
  readonly #statements = new Map<string, Statement>()
  /** What frames every group, compiled once: compiling them costs as much as running them. */
  readonly #frame: Record<'begin' | 'commit' | 'open' | 'keep', BetterSqlite3.Statement<[]>>
  readonly #queue: Job[] = []
  #scheduled = false
  #inside = false
  #provenDurable = false
  /** Why nothing runs any more. */
  #broken: ResilError | undefined
  /** The error at which SQLite rolled back the whole transaction that runs. */
  #lost: unknown
  #closing: Promise<void> | undefined
  #drained: (() => void) | undefined
  #groups = 0
  #works = 0
  #busy = 0

  constructor(db: Database, place: Place, driver: Driver, clock: Clock, random: Random, readOnly: boolean) {
    this.path = place.path
    this.#db = db
    this.#place = place
    this.#driver = driver
    this.#clock = clock
    this.#random = random
    this.#readOnly = readOnly
    this.#file = db.memory ? undefined : statSync(place.path)
    this.#frame = { begin: db.prepare('BEGIN IMMEDIATE'), commit: db.prepare('COMMIT'), open: db.prepare('SAVEPOINT work'), keep: db.prepare('RELEASE work') }
  }

  get insideTransaction(): boolean {
    return this.#inside
  }

  transaction<T>(name: string, work: (tx: Tx) => Promise<T>): Promise<T> {
    if (this.#closing) return Promise.reject(new ResilError('STORE_CLOSED', `${name} came after the store was closed`, 'stop the engine before its store'))
    if (this.#broken) return Promise.reject(this.#broken)
    if (this.#queue.length >= WORKS_WAITING) {
      return Promise.reject(new ResilError('STORE_OVERLOADED', `${WORKS_WAITING} transactions wait already; ${name} was not begun`, 'slow down: refuse new work until the store has caught up'))
    }
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ name, work, resolve: resolve as (value: unknown) => void, reject, since: this.#clock.monotonic() })
      this.#wake(0)
    })
  }

  migrate(migrations: readonly Migration[]): Promise<void> {
    migrations.forEach(({ version }, i) => assert(version === i + 1, `migrations are numbered 1, 2, 3 ...: found ${version} in place ${i + 1}`))
    return this.transaction('migrate', async () => {
      const current = this.#db.pragma('user_version', { simple: true }) as number
      if (current > migrations.length) {
        throw new ResilError('STORE_NEWER', `${this.path} is of version ${current}; this program knows ${migrations.length}`, 'use the program that wrote it, or a newer one')
      }
      for (const { version, sql } of migrations.slice(current)) {
        this.#db.exec(sql)
        this.#db.pragma(`user_version = ${version}`)
      }
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#drain().then(() => {
      this.#statements.clear()
      this.#db.close()
    })
    return this.#closing
  }

  facts(): SqliteFacts {
    return {
      sqlite: this.#db.prepare('SELECT sqlite_version()').pluck().get() as string,
      driver: this.#driver.version,
      journal: this.#db.pragma('journal_mode', { simple: true }) as string,
      synchronous: this.#db.pragma('synchronous', { simple: true }) as number,
      groups: this.#groups,
      works: this.#works,
      busy: this.#busy,
      warnings: this.#place.warnings,
    }
  }

  #drain(): Promise<void> {
    if (!this.#scheduled && !this.#inside) return Promise.resolve()
    return new Promise((resolve) => {
      this.#drained = resolve
    })
  }

  #wake(ms: number): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#clock.after(ms, () => void this.#turn())
  }

  /** Runs one group, and calls for the next turn if more is waiting. Never rejects: whatever happens is an answer to the works. */
  async #turn(): Promise<void> {
    // Into a microtask: only from there does the next tick come after all microtasks have run.
    await undefined
    this.#scheduled = false
    let pauseMs = 0
    try {
      this.#refuseReplaced()
      this.#begin()
      await this.#group(this.#queue.splice(0, WORKS_PER_GROUP))
    } catch (error) {
      if (isBusy(error)) {
        this.#busy++
        pauseMs = this.#random.int(1, BUSY_PAUSE_MS)
        const overdue = this.#clock.monotonic() - BUSY_LIMIT_MS
        const waiting = this.#queue.findIndex((job) => job.since > overdue)
        this.#refuse(waiting < 0 ? this.#queue.length : waiting, translate(error, this.path))
      } else this.#refuse(this.#queue.length, translate(error, this.path))
    }
    if (this.#queue.length > 0) this.#wake(pauseMs)
    else if (!this.#scheduled) this.#drained?.()
  }

  /** The first `count` works in the queue did not run. */
  #refuse(count: number, error: unknown): void {
    for (const job of this.#queue.splice(0, count)) job.reject(error)
  }

  /** A deleted or replaced file goes on taking writes, into the void. One stat a group, some microseconds, closes that hole but for the commit itself. */
  #refuseReplaced(): void {
    if (this.#broken) throw this.#broken
    if (!this.#file) return
    const now = statSync(this.path, { throwIfNoEntry: false })
    if (now?.ino === this.#file.ino && now.dev === this.#file.dev) return
    this.#broken = new ResilError('STORE_REPLACED', `${this.path} was ${now ? 'replaced' : 'deleted'} while it was open`, 'stop everything that uses it, restore the right file, start again')
    throw this.#broken
  }

  #begin(): void {
    if (!this.#readOnly) {
      this.#frame.begin.run()
      return
    }
    this.#db.exec('BEGIN')
    try {
      this.#db.pragma('user_version')
    } catch (error) {
      this.#rollback()
      throw error
    }
  }

  /** The transaction has begun and the jobs have left the queue: every one of them is answered here, after the transaction has ended. */
  async #group(jobs: Job[]): Promise<void> {
    this.#inside = true
    this.#lost = undefined
    const endings: Ending[] = []
    let failure: unknown
    try {
      for (const job of jobs) {
        const ending = await this.#work(job, jobs.length > 1)
        endings.push(ending)
        if (!this.#db.inTransaction) break
      }
      failure = this.#lost ?? (this.#db.inTransaction ? this.#commit() : undefined)
    } catch (error) {
      failure = translate(error, this.path)
    }
    this.#rollback()
    this.#inside = false
    this.#groups++
    this.#works += jobs.length
    jobs.forEach((job, i) => {
      const ending = endings[i]
      if (ending && !ending.ok) job.reject(ending.error)
      else if (failure) job.reject(failure)
      else if (ending) job.resolve(ending.value)
    })
  }

  /** The outcome of one work; its changes stay only if it is ok. */
  async #work(job: Job, shared: boolean): Promise<Ending> {
    let over = false
    const tx: Tx = {
      query: <R extends object>(sql: string, params: SqlParams = {}): Promise<R[]> => {
        try {
          if (over) throw new ResilError('TX_OVER', `${job.name} has ended; its transaction takes no more queries`, 'await every query inside the work')
          return Promise.resolve(this.#query(sql, params) as R[])
        } catch (error) {
          const translated = translate(error, this.path)
          // SQLite answers a full disk by rolling back everything, the works before this one included.
          if (!over && !this.#db.inTransaction) this.#lost ??= translated
          return Promise.reject(translated)
        }
      },
    }
    if (shared) this.#frame.open.run()
    const ended = await Promise.race([
      (async () => job.work(tx))().then(
        (value): Ending => ({ ok: true, value }),
        (error: unknown): Ending => ({ ok: false, error }),
      ),
      new Promise<undefined>((resolve) => process.nextTick(resolve)),
    ])
    over = true
    const ending: Ending = ended ?? { ok: false, error: new ResilError('TX_WAITED', `${job.name} waited for something else than its own queries, and was rolled back`, 'call and wait outside, between two transactions') }
    if (!this.#db.inTransaction) {
      this.#lost ??= new ResilError('COMMIT_UNKNOWN', `${job.name} ended the transaction by itself`, 'a work neither commits nor rolls back')
      return ending
    }
    if (shared && ending.ok) this.#frame.keep.run()
    else if (shared) this.#db.exec('ROLLBACK TO work; RELEASE work')
    else if (!ending.ok) this.#rollback()
    return ending
  }

  /** undefined, or why the outcome is unknown: what a failed commit has left in the log may yet be found there after a crash. */
  #commit(): ResilError | undefined {
    try {
      this.#frame.commit.run()
    } catch (error) {
      return new ResilError('COMMIT_UNKNOWN', `the commit ended in an error, it may have happened: ${messageOf(error)}`, 'read the rows back before doing anything again', { cause: error })
    }
    if (this.#provenDurable || this.#readOnly || !this.#file) return undefined
    const { journal, synchronous } = this.facts()
    if (journal !== 'wal' || synchronous !== 2) {
      this.#broken = new ResilError('STORE_NOT_DURABLE', `${this.path} commits with journal ${journal} and synchronous ${synchronous}, not wal and 2`, 'a power cut would lose commits: report this with your platform')
      return this.#broken
    }
    this.#provenDurable = true
    return undefined
  }

  #rollback(): void {
    if (this.#db.inTransaction) this.#db.exec('ROLLBACK')
  }

  #query(sql: string, params: SqlParams): object[] {
    // A work that swallowed the error of a full disk would write on without a transaction.
    if (!this.#db.inTransaction) throw new ResilError('TX_OVER', 'the transaction was rolled back by an earlier error', 'let the error of a query end the work')
    const statement = this.#prepare(sql)
    const bound = bind(params)
    if (statement.reader) return statement.all(bound)
    statement.run(bound)
    return []
  }

  #prepare(sql: string): Statement {
    const known = this.#statements.get(sql)
    // While there is room for as many again, which was used last does not matter.
    if (known && this.#statements.size <= STATEMENTS_KEPT / 2) return known
    const statement = known ?? this.#db.prepare<Record<string, unknown>, object>(steady(sql))
    if (known) this.#statements.delete(sql)
    else if (this.#statements.size >= STATEMENTS_KEPT) this.#statements.delete(this.#statements.keys().next().value!)
    this.#statements.set(sql, statement)
    return statement
  }
}

const STRINGS_AND_PARAMETERS = /'[^']*'|:[a-z]\w*/gi

/**
 * The same statement, compiled once and for all. When a value is bound that the planner has looked at (that of a LIMIT, of a LIKE, what a partial index's column is compared
 * with), SQLite compiles the statement anew at each run, for 10 to 60 us. Behind a plus it is none of the planner's business: a plan never depends on a value.
 */
function steady(sql: string): string {
  return sql.replaceAll(STRINGS_AND_PARAMETERS, (found) => (found.startsWith(':') ? `+${found}` : found))
}

/** The driver stores integers beyond 32 bits as REAL, and NaN and undefined as NULL: neither shall happen to an amount. */
function bind(params: SqlParams): Record<string, unknown> {
  const bound: Record<string, unknown> = {}
  for (const name in params) {
    const value = params[name]
    if (typeof value !== 'number') {
      if (value !== null && typeof value !== 'string') throw new ResilError('STORE_VALUE', `:${name} is neither text nor number nor null`, 'turn it into one of them; objects go in as JSON')
      bound[name] = value
    } else if (Number.isSafeInteger(value)) bound[name] = BigInt(value)
    else if (Number.isFinite(value) && !Number.isInteger(value)) bound[name] = value
    else throw new ResilError('STORE_VALUE', `:${name} is ${value}, which cannot be kept exactly`, 'integers go up to 2^53 - 1')
  }
  return bound
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function codeOf(error: unknown): string {
  return error instanceof Error && error.name === 'SqliteError' && 'code' in error ? String(error.code) : ''
}

function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error))
}

function notOurs(path: string): ResilError {
  return new ResilError('STORE_NOT_OURS', `${path} is not a database of this program`, 'choose another file; it was not changed')
}

function corrupt(path: string, what: string, cause?: unknown): ResilError {
  return new ResilError('STORE_CORRUPT', `${path} is damaged: ${what}`, 'keep a copy, restore a backup, and compare the ledgers', { cause })
}

/** What SQLite says, in our words. Errors of the statement itself (a broken constraint, a typo) stay what they are. */
export function translate(error: unknown, path: string): unknown {
  const code = codeOf(error)
  const said = (word: string, message: string, hint: string) => new ResilError(word, `${path}: ${message} (${messageOf(error)})`, hint, { cause: error })
  if (isBusy(error)) return said('STORE_BUSY', `another process has held the lock for ${BUSY_LIMIT_MS / 1000} s`, 'find who holds it (fuser), or give each process its own file')
  if (code === 'SQLITE_FULL') return said('STORE_FULL', 'the disk is full', 'free some space; the store goes on by itself')
  if (code === 'SQLITE_NOTADB' || code === 'SQLITE_READONLY_ROLLBACK') return notOurs(path)
  if (code === 'SQLITE_READONLY_DBMOVED') return said('STORE_REPLACED', 'the file was replaced', 'restore the right file, start again')
  if (code.startsWith('SQLITE_READONLY')) return said('STORE_READ_ONLY', 'the file cannot be written', 'change its permissions, or choose another place with --store')
  if (code.startsWith('SQLITE_CANTOPEN')) return said('STORE_CANNOT_OPEN', 'the file cannot be opened', 'check the path and its permissions')
  if (code.startsWith('SQLITE_CORRUPT')) return corrupt(path, messageOf(error), error)
  if (code.startsWith('SQLITE_IOERR')) return said('STORE_IO', 'the disk answered with an error', 'check the disk; the store goes on by itself when it recovers')
  return error
}
