/** What the laboratory reads in a reference engine's own store; a stranger's store is never touched. */
import type { Log } from '../events.ts'
import type { Service } from '../network.ts'
import { parseJson } from '../network.ts'
import { ResilError } from '../errors.ts'
import { verify } from '../engines/payment/ledger.ts'
import type { Store } from '../engines/store/store.ts'

/**
 * Stands before the bank and, when it is asked to charge, looks whether the request was durable first. `store` answers undefined when the
 * subject's store cannot be seen; then nothing is said, and the invariant stays undecided.
 */
export function auditIntent(bank: Service, store: () => Store | undefined, log: Log): Service {
  return async (request) => {
    const seen = request.method === 'POST' && request.path === '/v1/charges' ? store() : undefined
    const key = request.headers['idempotency-key']
    if (seen && key !== undefined) {
      const [intent] = await seen.transaction('audit', (tx) => tx.query('SELECT n FROM attempts WHERE bank_key = :key LIMIT 1', { key }))
      const reference = (parseJson(request.body) as { reference?: unknown } | null | undefined)?.reference
      log.emit('intent.observed', { key, reference: typeof reference === 'string' ? reference : null, present: intent !== undefined })
    }
    return bank(request)
  }
}

/** What somebody who wants to change the past would try, in SQL. */
const TAMPERINGS: Readonly<Record<string, string>> = {
  update: 'UPDATE ledger SET amount = amount + 1 WHERE seq = (SELECT max(seq) FROM ledger)',
  delete: 'DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)',
  replace: 'INSERT OR REPLACE INTO ledger SELECT seq, payment, account, amount + 1, currency, at, hash FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)',
}

/** When all has come to rest: what the ledger has booked for each payment, whether its chain is whole, and whether an entry can be changed. Leaves it as it was. */
export async function auditBooks(store: Store, log: Log): Promise<void> {
  if (!(await hasTable(store, 'ledger'))) return
  const booked = await store.transaction('audit', (tx) =>
    tx.query<{ payment: string; currency: string; merchant: number; sum: number }>(
      `SELECT payment, currency, SUM(CASE account WHEN 'merchant' THEN amount ELSE 0 END) AS merchant, SUM(amount) AS sum
       FROM ledger GROUP BY payment, currency ORDER BY min(seq)`,
    ),
  )
  for (const fields of booked) log.emit('books.observed', { ...fields })
  const chain = await store.transaction('audit', verify).then(
    ({ entries }) => ({ whole: true, why: `${entries} entries` }),
    (error: unknown) => {
      if (!(error instanceof ResilError)) throw error
      return { whole: false, why: error.message }
    },
  )
  log.emit('chain.observed', chain)
  if (booked.length === 0) return
  for (const [how, sql] of Object.entries(TAMPERINGS)) {
    const undo = new Error('it was let through')
    const refused = await store
      .transaction('audit', async (tx) => {
        await tx.query(sql)
        throw undo
      })
      .catch((error: unknown) => error !== undo)
    log.emit('tampering.observed', { how, refused })
  }
}

/** Whether the store has such a table: an engine from a module may keep its state as it likes. `name` is ours, never a user's. */
export function hasTable(store: Store, name: string): Promise<boolean> {
  return store.transaction('probe', (tx) => tx.query(`SELECT 1 FROM ${name} LIMIT 1`)).then(
    () => true,
    (error: unknown) => {
      if (String(error).includes('no such table')) return false
      throw error
    },
  )
}

/** A table that only this engine has. */
const MARKS = { payment: 'payments', cron: 'definition', webhook: 'delivery' } as const

/** All engines number their versions from 1, in files that are all ours: what tells them apart is what stands in them. Throws STORE_NOT_OURS. */
export async function refuseOthers(store: Store & { readonly path: string }, own: keyof typeof MARKS): Promise<void> {
  for (const [engine, table] of Object.entries(MARKS)) {
    if (engine !== own && (await hasTable(store, table))) throw new ResilError('STORE_NOT_OURS', `${store.path} is the database of another engine`, 'give each engine its own file with --db')
  }
}
