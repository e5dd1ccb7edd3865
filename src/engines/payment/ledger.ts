/**
 * The payment ledger: double entry, append-only, and chained by hashes, because SQLite notices neither a changed amount nor a log that was cut short.
 *
 *   hash(n) = sha256(hash(n - 1) || [seq, payment, account, amount, currency, at])
 *
 * A changed, missing or foreign entry breaks the chain (`verify`). A chain that was merely cut at its end is whole: only the anchor, a small file that
 * remembers an entry which was once durable, shows that it was longer. Not guaranteed: whoever can write both files can rewrite both.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import type { Cancel, Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Tx } from '../store/store.ts'

/** SQLite. The triggers hold whatever tool writes; the first also refuses gaps, and with them INSERT OR REPLACE of an older entry. */
export const ledgerMigration = `
CREATE TABLE ledger (
  seq INTEGER PRIMARY KEY,
  payment TEXT NOT NULL,
  account TEXT NOT NULL,
  amount INTEGER NOT NULL,
  currency TEXT NOT NULL,
  at INTEGER NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE TRIGGER ledger_has_no_gap BEFORE INSERT ON ledger
WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM ledger)
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_refuses_update BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_refuses_delete BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
`

/** Entries read at a time by `verify`: bounds its memory, not its time. */
const ENTRIES_PER_BATCH = 1000
/** How often the anchor is written at most: what a lost log may take unnoticed is what was appended since. */
const ANCHOR_EVERY_MS = 1000

export interface Entry {
  payment: string
  account: string
  /** Signed minor units: what the account gains. */
  amount: number
  /** ISO 4217, e.g. USD. */
  currency: string
}

/** The last entry of a chain: its number, from 1 (0: none yet), and its hash. */
export interface Head {
  seq: number
  hash: string
}

interface Row extends Entry, Head {
  at: number
}

const START: Head = { seq: 0, hash: '' }

function next(previous: Head, entry: Entry, at: number): Head {
  const seq = previous.seq + 1
  const row = JSON.stringify([seq, entry.payment, entry.account, entry.amount, entry.currency, at])
  return { seq, hash: createHash('sha256').update(previous.hash).update(row).digest('hex') }
}

/**
 * Appends entries that belong together, and answers the new head; give it to the anchor once the transaction has committed, not before.
 * Throws LEDGER_UNBALANCED unless the amounts of each currency sum to zero, LEDGER_ENTRY for amounts that are no integers or text that cannot be kept exactly.
 * `at` is wall time in ms; it may go back, `seq` never does.
 */
export async function append(tx: Tx, entries: readonly Entry[], at: number): Promise<Head> {
  for (const entry of entries) refuseInexact(entry, at)
  refuseUnbalanced(sumsOf(entries))
  const [last] = await tx.query<Head>('SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1')
  let head = last ?? START
  for (const entry of entries) {
    head = next(head, entry, at)
    await tx.query(
      `INSERT INTO ledger (seq, payment, account, amount, currency, at, hash)
       VALUES (:seq, :payment, :account, :amount, :currency, :at, :hash)`,
      { seq: head.seq, payment: entry.payment, account: entry.account, amount: entry.amount, currency: entry.currency, at, hash: head.hash },
    )
  }
  return head
}

/**
 * Walks the whole chain, within one transaction: some microseconds an entry.
 * Throws LEDGER_BROKEN, naming the first entry that is missing or not what was appended, or the currency whose entries do not sum to zero.
 */
export async function verify(tx: Tx): Promise<{ entries: number; head: Head }> {
  let head = START
  const sums = new Map<string, bigint>()
  for (;;) {
    const rows = await tx.query<Row>('SELECT seq, payment, account, amount, currency, at, hash FROM ledger WHERE seq > :after ORDER BY seq LIMIT :batch', { after: head.seq, batch: ENTRIES_PER_BATCH })
    for (const row of rows) {
      const expected = next(head, row, row.at)
      if (row.seq !== expected.seq) throw broken(`entry ${expected.seq} is missing`)
      if (row.hash !== expected.hash) throw broken(`entry ${row.seq} is not what was appended`)
      head = expected
    }
    sumsOf(rows, sums)
    if (rows.length < ENTRIES_PER_BATCH) break
  }
  for (const [currency, sum] of sums) if (sum !== 0n) throw broken(`its entries in ${currency} sum to ${sum}, not to zero, by entry ${head.seq}`)
  return { entries: head.seq, head }
}

function broken(why: string): ResilError {
  return new ResilError('LEDGER_BROKEN', `the ledger is broken: ${why}`, 'stop the engine, keep a copy of the files, and compare with the bank and a backup')
}

function refuseInexact(entry: Entry, at: number): void {
  if (!Number.isSafeInteger(entry.amount) || !Number.isSafeInteger(at)) {
    throw new ResilError('LEDGER_ENTRY', `an amount of ${entry.amount} at ${at} is not a pair of integers below 2^53`, 'give minor units and ms since 1970')
  }
  // Half a surrogate pair is read back as another character, and would look like tampering.
  for (const text of [entry.payment, entry.account, entry.currency]) {
    if (/\p{Surrogate}/u.test(text)) throw new ResilError('LEDGER_ENTRY', `${JSON.stringify(text)} is not well-formed text`, 'refuse such text where it comes in')
  }
}

function sumsOf(entries: readonly Entry[], sums = new Map<string, bigint>()): Map<string, bigint> {
  for (const { currency, amount } of entries) sums.set(currency, (sums.get(currency) ?? 0n) + BigInt(amount))
  return sums
}

function refuseUnbalanced(sums: Map<string, bigint>): void {
  for (const [currency, sum] of sums) {
    if (sum !== 0n) throw new ResilError('LEDGER_UNBALANCED', `entries in ${currency} sum to ${sum}, not to zero`, 'give every amount an account that it comes from')
  }
  if (sums.size === 0) throw new ResilError('LEDGER_UNBALANCED', 'there is nothing to append', 'append two entries or more')
}

/**
 * Remembers, outside the database, an entry that was durable. Written at most once per ANCHOR_EVERY_MS and at `close`, never by `note`:
 * it lags behind, and is never ahead.
 */
export class Anchor {
  readonly #path: string
  readonly #clock: Clock
  #noted: Head | undefined
  #written: Head | undefined
  #cancel: Cancel | undefined
  #writing: Promise<void> = Promise.resolve()
  /** Why the last write failed; told at `close`, and healed by the next one that succeeds. */
  #failure: unknown

  /** `path` is the database's plus ANCHOR_SUFFIX. */
  constructor(path: string, clock: Clock) {
    this.#path = path
    this.#clock = clock
  }

  /**
   * Throws LEDGER_LOST unless the ledger contains the remembered entry: then its log is missing or of another database, or the file is an old copy.
   * Throws LEDGER_ANCHOR when the anchor cannot be read. Without an anchor there is nothing to compare, and nothing is thrown.
   */
  async check(tx: Tx): Promise<void> {
    const anchored = this.#read()
    if (!anchored) return
    const [entry] = await tx.query<{ hash: string }>('SELECT hash FROM ledger WHERE seq = :seq', { seq: anchored.seq })
    if (entry?.hash === anchored.hash) return
    throw new ResilError('LEDGER_LOST', `entry ${anchored.seq} was durable once and is ${entry ? 'another one now' : 'gone'}`, `the database is an old copy, or its -wal file is missing: restore the right files; ${this.#path} is what remembers`)
  }

  /** For heads whose transaction has committed: an entry that is noted and then rolled back would look lost. */
  note(head: Head): void {
    if (head.seq <= (this.#noted?.seq ?? 0)) return
    this.#noted = head
    this.#cancel ??= this.#clock.after(ANCHOR_EVERY_MS, () => {
      this.#cancel = undefined
      this.#write()
    })
  }

  /** Writes what was noted last. Throws LEDGER_ANCHOR when that is impossible. */
  async close(): Promise<void> {
    this.#cancel?.()
    this.#cancel = undefined
    this.#write()
    await this.#writing
    if (this.#failure) throw new ResilError('LEDGER_ANCHOR', `${this.#path} cannot be written: ${String(this.#failure)}`, 'check the disk and its permissions', { cause: this.#failure })
  }

  #write(): void {
    this.#writing = this.#writing.then(async () => {
      const head = this.#noted
      if (!head || head.seq === this.#written?.seq) return
      try {
        await replace(this.#path, `${JSON.stringify(head)}\n`)
        this.#written = head
        this.#failure = undefined
      } catch (error) {
        this.#failure = error
      }
    })
  }

  #read(): Head | undefined {
    let text: string
    try {
      text = readFileSync(this.#path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw unreadable(this.#path, error)
    }
    try {
      const { seq, hash } = JSON.parse(text) as Partial<Head>
      if (Number.isSafeInteger(seq) && typeof hash === 'string') return { seq: seq!, hash }
    } catch (error) {
      throw unreadable(this.#path, error)
    }
    throw unreadable(this.#path)
  }
}

function unreadable(path: string, cause?: unknown): ResilError {
  return new ResilError('LEDGER_ANCHOR', `${path} cannot be read as an anchor`, 'it is written whole or not at all, so someone changed it: verify the ledger by hand, then move it away', { cause })
}

/** The old text or the new, even after a power cut. Each process has a temporary file of its own. */
async function replace(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}`
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
}
