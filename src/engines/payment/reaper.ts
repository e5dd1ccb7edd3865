/**
 * The three clocks: an answer is replayed for a day, a key is remembered for 45 days, an order that was paid is known for ever. What is older goes, so
 * many rows at a time; what has not come to rest never goes, whatever its age. The ledger and the orders stay.
 */
import type { Clock } from '../../clock.ts'
import type { Log } from '../../events.ts'
import type { Store, Tx } from '../store/store.ts'
import { isStoreTrouble } from '../store/store.ts'
import type { PaymentSettings } from './settings.ts'

/** Payments in one transaction, and a pause between two that leaves the store to those who pay. */
const TOGETHER = 200
const PAUSE_MS = 20

export interface ReaperSetup {
  clock: Clock
  store: Store
  log: Log
  settings: PaymentSettings
}

export class Reaper {
  readonly #setup: ReaperSetup

  constructor(setup: ReaperSetup) {
    this.#setup = setup
  }

  /** Reaps until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, settings } = this.#setup
    await clock.sleep(settings.reapMs, signal)
    while (!signal.aborted) {
      try {
        for (const reap of [this.#answers, this.#keys, this.#bankEvents]) {
          while (!signal.aborted && (await reap())) await clock.sleep(PAUSE_MS, signal)
        }
      } catch (error) {
        if (!isStoreTrouble(error)) throw error
        log.emit('payment.alarmed', { payment: null, why: `the reaper: ${error.message}` })
      }
      await clock.sleep(settings.reapMs, signal)
    }
  }

  /** Stored answers whose time is over. Answers whether there may be more, as the next two. */
  readonly #answers = (): Promise<boolean> => {
    const before = this.#setup.clock.now() - this.#setup.settings.answerLifetimeMs
    return this.#turn('reap-answers', async (tx) => {
      const gone = await tx.query(
        'UPDATE payments SET answer_body = NULL WHERE id IN (SELECT id FROM payments WHERE answer_body IS NOT NULL AND finished_at <= :before ORDER BY finished_at LIMIT :most) RETURNING id',
        { before, most: TOGETHER },
      )
      return gone.length === TOGETHER
    })
  }

  /** Keys whose time is over, with all that belongs to them. A paid order stays paid. */
  readonly #keys = (): Promise<boolean> => {
    const before = this.#setup.clock.now() - this.#setup.settings.keyLifetimeMs
    return this.#turn('reap-keys', async (tx) => {
      const old = await tx.query<{ id: string }>(
        `SELECT id FROM payments p WHERE created_at < :before AND state IN ('succeeded', 'declined', 'voided', 'released')
           AND updated_at < :before AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.payment = p.id AND o.state = 'ready')
           AND NOT EXISTS (SELECT 1 FROM refunds r WHERE r.payment = p.id AND r.state IN ('sent', 'unknown', 'review'))
         ORDER BY created_at LIMIT :most`,
        { before, most: TOGETHER },
      )
      if (old.length === 0) return false
      const ids = JSON.stringify(old.map(({ id }) => id))
      await tx.query(
        `INSERT INTO orders (scope, order_ref, payment, charge, amount, currency)
         SELECT scope, order_ref, id, charge, amount, currency FROM payments WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'succeeded'
         ON CONFLICT DO NOTHING`,
        { ids },
      )
      for (const table of ['attempts', 'outbox', 'evidence', 'refunds']) await tx.query(`DELETE FROM ${table} WHERE payment IN (SELECT value FROM json_each(:ids))`, { ids })
      await tx.query('DELETE FROM payments WHERE id IN (SELECT value FROM json_each(:ids))', { ids })
      return old.length === TOGETHER
    })
  }

  readonly #bankEvents = (): Promise<boolean> => {
    const before = this.#setup.clock.now() - this.#setup.settings.keyLifetimeMs
    return this.#turn('reap-events', async (tx) => {
      const gone = await tx.query('DELETE FROM bank_events WHERE id IN (SELECT id FROM bank_events WHERE at < :before ORDER BY at LIMIT :most) RETURNING id', { before, most: TOGETHER })
      return gone.length === TOGETHER
    })
  }

  #turn(name: string, work: (tx: Tx) => Promise<boolean>): Promise<boolean> {
    return this.#setup.store.transaction(name, work)
  }
}
