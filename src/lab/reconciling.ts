/** A bank's listing beside the payments of a file, whether or not a service runs on it. */
import { reconcile } from '../engines/payment/reconcile.ts'
import type { Reconciled } from '../engines/payment/reconcile.ts'
import { HttpNetwork } from '../http-client.ts'
import { changePayments } from './standing-store.ts'

export interface Reconciling {
  db: string
  /** Base URL of the bank. */
  bank: string
  /** What the payments call it. */
  acquirer: string
  /** ms since 1970. */
  since: number
  until: number
  signal: AbortSignal
}

/** Throws STORE_*, LEDGER_*, INVALID_URL, BANK_UNREACHABLE, RUN_CUT_SHORT. */
export function reconcileWithBank({ db, bank, acquirer, ...window }: Reconciling): Promise<Reconciled> {
  return changePayments(db, async (store, clock) => {
    const network = new HttpNetwork({ clock, services: { [acquirer]: bank } })
    try {
      return await reconcile({ clock, network, store, acquirer, ...window })
    } finally {
      await network.close()
    }
  })
}
