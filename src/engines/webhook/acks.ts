/**
 * "I will do it, and tell you": a receiver that answered 202 with `webhook-ack: deferred` says here that it has done it. Until then the delivery waits, and is sent
 * again when its time is over.
 *
 * | the acknowledgement                                      | answer |
 * |----------------------------------------------------------|--------|
 * | of a delivery that waits, or was given up meanwhile      | delivered |
 * | of one that was delivered or acknowledged before         | the same, nothing changes |
 * | signed wrongly, too old, of an unknown endpoint or event | INVALID_ACK: which of these is not told |
 *
 * It may come before the end of its own attempt is written: then that end finds nothing that is pending, and changes nothing.
 */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Log } from '../../events.ts'
import type { Store, Tx } from '../store/store.ts'
import { promote } from './chains.ts'
import type { AnyHeaders } from './signature.ts'
import { verifyAck, verifyRead } from './signature.ts'
import type { Vault } from './vault.ts'

export interface Acknowledged {
  id: string
  endpoint: string
  state: 'delivered' | 'cancelled'
  /** It had been before. */
  repeated: boolean
}

export class Acks {
  readonly #setup: { clock: Clock; store: Store; log: Log; vault: Vault }

  constructor(setup: { clock: Clock; store: Store; log: Log; vault: Vault }) {
    this.#setup = setup
  }

  /** `headers` carry `webhook-timestamp` and `webhook-ack-signature`; `id` is the event's. Throws INVALID_ACK, VAULT_WRONG_KEY. */
  async take(headers: AnyHeaders, { id, endpoint }: { id: string; endpoint: string }): Promise<Acknowledged> {
    const { clock, store, log, vault } = this.#setup
    const now = clock.now()
    const answer = await store.transaction('ack', async (tx): Promise<Acknowledged> => {
      const [found] = await tx.query<{ lane: number }>("SELECT lane FROM endpoint WHERE id = :endpoint AND state <> 'removed'", { endpoint })
      if (!found) throw refused()
      const { lane } = found
      const keys = await keysOf(tx, vault, endpoint, lane, now)
      if (keys.length === 0 || !verifyAck(keys, headers, id, now).ok) throw refused()
      const [row] = await tx.query<{ id: number; state: string; chain: string | null; job: string | null }>(
        'SELECT d.id, d.state, d.chain, d.job FROM event e CROSS JOIN delivery d ON d.event = e.seq WHERE e.id = :id AND d.lane = :lane',
        { id, lane },
      )
      if (!row) throw refused()
      if (row.state === 'delivered' || row.state === 'cancelled') return { id, endpoint, state: row.state, repeated: row.state === 'delivered' }
      // Whoever sends it may be writing the end of an attempt: one of the two finds that it has moved.
      await tx.query("UPDATE delivery SET state = 'delivered', reason = NULL, flags = 0, ended_at = :now WHERE id = :delivery AND state = :state", { delivery: row.id, state: row.state, now })
      await tx.query('UPDATE lane SET delivered = delivered + 1, dead = dead - :dead WHERE lane = :lane', { lane, dead: row.state === 'dead' ? 1 : 0 })
      if (row.job !== null) await tx.query('UPDATE replay SET delivered = delivered + 1, failed = failed - :dead WHERE id = :job', { job: row.job, dead: row.state === 'dead' ? 1 : 0 })
      if (row.chain !== null) await promote(tx, lane, row.chain)
      return { id, endpoint, state: 'delivered', repeated: false }
    })
    if (!answer.repeated && answer.state === 'delivered') log.emit('delivery.acknowledged', { endpoint, event: id })
    return answer
  }
}

/**
 * Whether whoever asks is that endpoint: `headers` carry `webhook-timestamp` and `webhook-read-signature`. Throws INVALID_READ, which does not tell an endpoint
 * that there is not from a wrong signature, and VAULT_WRONG_KEY.
 */
export async function refuseStranger({ clock, store, vault }: { clock: Clock; store: Store; vault: Vault }, headers: AnyHeaders, endpoint: string): Promise<void> {
  const now = clock.now()
  const keys = await store.transaction('read', async (tx) => {
    const [found] = await tx.query<{ lane: number }>("SELECT lane FROM endpoint WHERE id = :endpoint AND state <> 'removed'", { endpoint })
    return found ? keysOf(tx, vault, endpoint, found.lane, now) : []
  })
  if (keys.length > 0 && verifyRead(keys, headers, endpoint, now).ok) return
  throw new ResilError('INVALID_READ', 'the question is not believed', 'sign "read.ENDPOINT.TIMESTAMP" with the endpoint’s secret, within 300 s of the time')
}

/** The secrets of an endpoint that are valid now, newest first. Inside the caller's transaction. Throws VAULT_WRONG_KEY. */
export async function keysOf(tx: Tx, vault: Vault, endpoint: string, lane: number, now: number): Promise<string[]> {
  const rows = await tx.query<{ sealed: string }>('SELECT sealed FROM secret WHERE lane = :lane AND (expires_at IS NULL OR expires_at > :now) ORDER BY id DESC', { lane, now })
  return rows.map(({ sealed }) => vault.open(endpoint, sealed))
}

function refused(): ResilError {
  return new ResilError('INVALID_ACK', 'the acknowledgement is not believed', 'sign "ack.ID.TIMESTAMP" with the endpoint’s secret, within 300 s of the time')
}
