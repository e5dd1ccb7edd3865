/**
 * Deferred acknowledgements: the customer answered 202 with `webhook-ack: deferred`, does the work later, and then says so.
 *
 *   202 ── ackMs ── the effect ── POST /v1/acks {id, endpoint} ── not 2xx: again after 1, 2, 4, 8 s, ACK_ATTEMPTS in all
 *
 * `webhook-ack-signature` is the HMAC-SHA256 of `ack.ID.SECONDS` in base64, under the secret of the webhook, or one that took its place;
 * `webhook-timestamp` has the seconds.
 */
import type { Cancel, Clock } from '../../clock.ts'
import type { Log } from '../../events.ts'
import type { Send } from '../mock.ts'
import type { Arrival, Row } from './inbox.ts'
import type { Trust } from './trust.ts'
import { ackSignature } from './trust.ts'

/** Where acknowledgements are posted. */
export const ACK_PATH = '/v1/acks'

const ACK_ATTEMPTS = 5
const BACKOFF_MS = 1000
/** Works that were put off and are not yet acknowledged, at once. */
const PENDING_LIMIT = 10_000

export interface AcksSetup {
  clock: Clock
  log: Log
  trust: Trust
  /** The customer's own wall time. */
  now: () => number
  process: (row: Row) => void
  holds: (id: string | null) => boolean
}

export class Acks {
  readonly #setup: AcksSetup
  readonly #pending = new Set<Cancel>()
  /** Ids whose work was put off: a second copy of one is not a second work. */
  readonly #deferred = new Set<string>()
  #stop = new AbortController()
  #send: Send | undefined
  #underWay = 0

  constructor(setup: AcksSetup) {
    this.#setup = setup
  }

  /** From now on acknowledgements are sent. The answer ends that, and those under way; the effects still come. */
  bind(send: Send): () => void {
    this.#send = send
    this.#stop = new AbortController()
    return () => {
      this.#send = undefined
      this.#stop.abort()
    }
  }

  /** No effect comes any more. */
  close(): void {
    for (const cancel of this.#pending) cancel()
    this.#pending.clear()
    this.#deferred.clear()
    this.#stop.abort()
  }

  isRoom(): boolean {
    return this.#pending.size + this.#underWay < PENDING_LIMIT
  }

  /** The row's effect comes `ackMs` from now, or never. */
  later(row: Row, { endpoint, secret }: Pick<Arrival, 'endpoint' | 'secret'>, ackMs: number | 'never'): void {
    const { id } = row
    if (ackMs === 'never' || (id !== null && this.#deferred.has(id))) return
    if (id !== null) this.#deferred.add(id)
    const cancel = this.#setup.clock.after(ackMs, () => {
      this.#pending.delete(cancel)
      if (id !== null) this.#deferred.delete(id)
      this.#setup.process(row)
      this.#setup.log.emit('customer.processed', { id, sequence: row.sequence, what: row.type, duplicate: row.duplicate, processed: row.processed })
      if (id !== null) void this.#tell(id, endpoint, secret)
    })
    this.#pending.add(cancel)
  }

  async #tell(id: string, endpoint: string | null, signedUnder: Buffer | undefined): Promise<void> {
    const { clock, log, trust, now } = this.#setup
    const { signal } = this.#stop
    this.#underWay++
    try {
      for (let attempt = 1; attempt <= ACK_ATTEMPTS; attempt++) {
        if (attempt > 1) await clock.sleep(BACKOFF_MS * 2 ** (attempt - 2), signal)
        if (signal.aborted || !this.#send) return
        const seconds = Math.floor(now() / 1000)
        const secret = trust.current(signedUnder)
        const headers = { 'content-type': 'application/json', 'webhook-timestamp': String(seconds), ...(secret ? { 'webhook-ack-signature': ackSignature(secret, id, seconds) } : {}) }
        const outcome = await this.#send({ method: 'POST', path: ACK_PATH, headers, body: JSON.stringify({ id, ...(endpoint === null ? {} : { endpoint }) }) })
        const status = outcome.kind === 'ok' ? outcome.value.status : 0
        log.emit('customer.acked', { id, attempt, status })
        if (status >= 200 && status < 300) return
      }
    } finally {
      this.#underWay--
    }
  }
}
