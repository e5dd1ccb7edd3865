/** A look into the store of a service that may be running on it. */
import { SystemClock } from '../clock.ts'
import { requirePayments } from '../engines/payment/dossier.ts'
import { openSqlite } from '../engines/store/sqlite.ts'
import type { Store } from '../engines/store/store.ts'
import { Random } from '../random.ts'

/** What `look` answers about the payments in a file that is only read. Throws STORE_* for what cannot be read as one. */
export async function readPayments<T>(db: string, look: (store: Store) => Promise<T>): Promise<T> {
  const store = await openSqlite(db, { clock: new SystemClock(), random: Random.system(), readOnly: true })
  try {
    await requirePayments(store)
    return await look(store)
  } finally {
    await store.close()
  }
}
