/**
 * Durable state, behind one word: transaction.
 *
 * Portable SQL, written once in the step that uses it: `:name` parameters, integers for ms and minor units, JSON as TEXT,
 * ON CONFLICT ... RETURNING, one table mutated per statement, no now(), no random(), no SKIP LOCKED, no advisory lock.
 *
 * What a transaction promises:
 *  - it is serialisable, and durable once its promise resolves (a power cut included);
 *  - it waits for nothing but its own queries: a work that waits for anything else is rolled back and throws TX_WAITED,
 *    and a remote call inside one is refused before a byte is sent (TX_REMOTE_CALL, see `outsideTransactions`);
 *  - a work that throws is rolled back alone and its error is the answer;
 *  - a commit that errs is an unknown outcome: COMMIT_UNKNOWN, for every work of the group.
 */
import type { CallOptions, HttpRequest, Network } from '../../network.ts'
import { ResilError } from '../../errors.ts'

export type SqlValue = string | number | null
export type SqlParams = Record<string, SqlValue>
export type Row = Record<string, SqlValue>

export interface Tx {
  /** Runs one statement; its rows (RETURNING included), all of them. */
  query<R extends object = Row>(sql: string, params?: SqlParams): Promise<R[]>
}

export interface Migration {
  /** 1, 2, 3 ...: the version that the store has after it. */
  version: number
  sql: string
}

export interface Store {
  /** `name` is a word for logs and crash points, e.g. `claim`; the same step always has the same name. */
  transaction<T>(name: string, work: (tx: Tx) => Promise<T>): Promise<T>
  /** Brings the store to the newest version, or throws STORE_NEWER without a write. */
  migrate(migrations: readonly Migration[]): Promise<void>
  /** Finishes what is queued, then closes. Idempotent. */
  close(): Promise<void>
  /** True while a work runs: nothing remote may be called. */
  readonly insideTransaction: boolean
}

/** A network that refuses to be called from inside a transaction: the other order would hold a lock across the world, and forget the intent in a crash. */
export function outsideTransactions(network: Network, store: Store): Network {
  return {
    call(service: string, request: HttpRequest, options: CallOptions) {
      if (store.insideTransaction) {
        return Promise.reject(new ResilError('TX_REMOTE_CALL', `${request.method} ${request.path} to ${service} was called inside a transaction`, 'commit the intent first, call, then commit the outcome'))
      }
      return network.call(service, request, options)
    },
  }
}

/** Codes of the store that are the machine's trouble, not a bug: what was to be done stays as it is and is taken up again. */
const STORE_TROUBLE: ReadonlySet<string> = new Set(['COMMIT_UNKNOWN', 'STORE_BUSY', 'STORE_FULL', 'STORE_IO', 'STORE_OVERLOADED', 'STORE_READ_ONLY'])

export function isStoreTrouble(error: unknown): error is ResilError {
  return error instanceof ResilError && STORE_TROUBLE.has(error.code)
}
