/** A look into the store of a service that may be running on it, and an operator's hand in it. */
import { existsSync } from 'node:fs'
import type { Clock } from '../clock.ts'
import { SystemClock } from '../clock.ts'
import { requirePayments } from '../engines/payment/dossier.ts'
import { Anchor, verify } from '../engines/payment/ledger.ts'
import { ANCHOR_SUFFIX, openSqlite } from '../engines/store/sqlite.ts'
import type { SqliteStore } from '../engines/store/sqlite.ts'
import type { Store } from '../engines/store/store.ts'
import { ResilError } from '../errors.ts'
import { Random } from '../random.ts'

/** What `look` answers about the payments in a file that is only read. Throws STORE_* for what cannot be read as one. */
export async function readPayments<T>(db: string, look: (store: Store) => Promise<T>): Promise<T> {
  return withReader(db, new SystemClock(), look)
}

/**
 * What `work` answers, which may write to the payments in a file, beside the service that runs on it or without one. Looks first, through a connection that
 * cannot write, whether the file is what its anchor remembers: what was lost must not look like a new beginning. Throws STORE_*, LEDGER_*.
 */
export async function changePayments<T>(db: string, work: (store: Store, clock: Clock, random: Random) => Promise<T>): Promise<T> {
  const clock = new SystemClock()
  const random = Random.system()
  await withReader(db, clock, (store) => store.transaction('anchor', (tx) => anchorOf(store, clock).check(tx)))
  const store = await openSqlite(db, { clock, random })
  try {
    await requirePayments(store)
    return await work(store, clock, random)
  } finally {
    await store.close()
  }
}

/** What an inspection of a ledger found; `broken` says what is wrong, in words, when something is. */
export interface LedgerChecked {
  entries: number
  /** The hash of the last entry; '' of an empty ledger, or of a broken one. */
  head: string
  /** `none`: there is no anchor beside the file, so a ledger that was cut short cannot be told from a short one. */
  anchor: 'holds' | 'none' | 'not compared'
  broken?: { code: string; why: string; hint: string }
}

/** Chain, balance and anchor, from the first entry to the last: some microseconds an entry. */
export async function checkLedger(db: string): Promise<LedgerChecked> {
  const clock = new SystemClock()
  return withReader(db, clock, async (store) => {
    let checked: LedgerChecked = { entries: 0, head: '', anchor: 'not compared' }
    try {
      await store.transaction('verify', async (tx) => {
        const { entries, head } = await verify(tx)
        checked = { ...checked, entries, head: head.hash }
        await anchorOf(store, clock).check(tx)
      })
      return { ...checked, anchor: existsSync(anchorPath(store)) ? 'holds' : 'none' }
    } catch (error) {
      if (!(error instanceof ResilError) || !error.code.startsWith('LEDGER_')) throw error
      return { ...checked, broken: { code: error.code, why: error.message, hint: error.hint } }
    }
  })
}

async function withReader<T>(db: string, clock: Clock, look: (store: SqliteStore) => Promise<T>): Promise<T> {
  const store = await openSqlite(db, { clock, random: Random.system(), readOnly: true })
  try {
    await requirePayments(store)
    return await look(store)
  } finally {
    await store.close()
  }
}

const anchorPath = (store: SqliteStore) => `${store.path}${ANCHOR_SUFFIX}`
const anchorOf = (store: SqliteStore, clock: Clock) => new Anchor(anchorPath(store), clock)
