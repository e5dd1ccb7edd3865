/** What the laboratory reads in a reference engine's own store; a stranger's store is never touched. */
import type { Log } from '../events.ts'
import type { Service } from '../network.ts'
import { parseJson } from '../network.ts'
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
