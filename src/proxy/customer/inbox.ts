/**
 * What a customer was sent, and what came of it: the ground truth of webhooks.
 *
 *   arrive (the request is whole) ── process (the effect, at most once an id where it dedupes) ── settle (the answer: the row is written)
 */
import type { Log } from '../../events.ts'
import { parseJson } from '../../network.ts'
import type { Random } from '../../random.ts'
import { isText, objectOf } from '../mock.ts'
import type { Signed, Trust } from './trust.ts'

/** One request. */
export interface Row {
  /** Null without one; such a request cannot be told from another. */
  readonly id: string | null
  /** Text of webhook-timestamp. */
  readonly timestamp: string | null
  readonly sequence: number | null
  readonly type: string | null
  readonly key: string | null
  /** When the request was whole, ms since 1970, by the customer's own clock. */
  readonly at: number
  /** 1 for the first request with this id. */
  readonly attempt: number
  readonly signed: Signed
  /** HTTP; 0 when no status went back. */
  status: number
  /** Its id had been processed before. */
  duplicate: boolean
  /** It had its effect, perhaps after the answer. */
  processed: boolean
  /** The customer's mood when it answered. */
  mood: string
}

/** A request that has come and is not yet answered. */
export interface Arrival extends Row {
  /** Text of webhook-endpoint. */
  readonly endpoint: string | null
  /** 1 for the first id that came, and so on; 0 without an id. */
  readonly ordinal: number
  readonly secret?: Buffer
}

export interface InboxLedger {
  /** In the order of their answers. */
  readonly requests: readonly Row[]
  readonly effects: number
  /** Connections that were cut before anything was read. */
  readonly unread: number
}

export interface InboxSetup {
  /** The customer's name, in every event. */
  name: string
  /** Bound to src `mock`. */
  log: Log
  trust: Trust
  /** The customer's own wall time, ms since 1970. */
  now: () => number
  /** An id has its effect once; otherwise every request that is processed has one. */
  dedupe: boolean
  /** Requests to take on. */
  limit: number
}

interface Known {
  ordinal: number
  attempts: number
  held: boolean
}

export class Inbox {
  readonly #setup: InboxSetup
  readonly #known = new Map<string, Known>()
  readonly #requests: Row[] = []
  #arrived = 0
  #effects = 0
  unread = 0

  constructor(setup: InboxSetup) {
    this.#setup = setup
  }

  get ledger(): InboxLedger {
    return { requests: this.#requests, effects: this.#effects, unread: this.unread }
  }

  /** Headers in lower case. Undefined when the inbox is full. */
  arrive(headers: Readonly<Record<string, string>>, body: string): Arrival | undefined {
    if (this.#arrived >= this.#setup.limit) return undefined
    this.#arrived++
    const header = (name: string) => headers[name] || null
    const at = this.#setup.now()
    const id = header('webhook-id')
    const timestamp = header('webhook-timestamp')
    const sequence = header('webhook-sequence')
    const fields = objectOf(parseJson(body))
    const known = id === null ? undefined : this.#know(id)
    const key = header('webhook-key') ?? fields?.['key'] ?? objectOf(fields?.['data'])?.['key']
    return {
      id,
      timestamp,
      sequence: sequence !== null && /^\d{1,15}$/.test(sequence) ? Number(sequence) : null,
      type: isText(fields?.['type']) ? fields['type'] : null,
      key: isText(key) ? key : null,
      at,
      attempt: known ? ++known.attempts : 1,
      ...this.#setup.trust.judge({ id, timestamp, signature: header('webhook-signature'), body }, at),
      status: 0,
      duplicate: false,
      processed: false,
      mood: '',
      endpoint: header('webhook-endpoint'),
      ordinal: known?.ordinal ?? 0,
    }
  }

  #know(id: string): Known {
    let known = this.#known.get(id)
    if (!known) this.#known.set(id, (known = { ordinal: this.#known.size + 1, attempts: 0, held: false }))
    return known
  }

  /** Whether the id has had its effect already. */
  holds(id: string | null): boolean {
    return id !== null && this.#known.get(id)?.held === true
  }

  /** The effect; none for an id that is held already, where it dedupes. */
  process(arrival: Row): void {
    arrival.duplicate = this.holds(arrival.id)
    arrival.processed = !arrival.duplicate || !this.#setup.dedupe
    if (!arrival.processed) return
    this.#effects++
    if (arrival.id !== null) this.#know(arrival.id).held = true
  }

  /** The answer goes out now; 0 when none does; `retryAfterMs` when it asks to be left alone for whole seconds. The row that was written down: what happens to it later is changed there. */
  settle({ endpoint: _1, ordinal: _2, secret: _3, ...row }: Arrival, status: number, mood: string, retryAfterMs?: number): Row {
    row.status = status
    row.mood = mood
    row.duplicate ||= !row.processed && this.holds(row.id)
    this.#requests.push(row)
    const { id, sequence, type, key, signed, duplicate, processed } = row
    this.#setup.log.emit('customer.received', { customer: this.#setup.name, id, sequence, what: type, ...(key === null ? {} : { key }), signed, duplicate, processed, status, mood, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) })
    return row
  }

  /** Ids that had their effect and were not forgotten, sorted. */
  processed(): string[] {
    return [...this.#known].filter(([, { held }]) => held).map(([id]) => id).sort()
  }

  /** Loses `n` of them (all, when there are fewer), as a restored backup does; the answer is which, sorted. */
  forget(n: number, random: Random): string[] {
    const left = this.processed()
    const lost: string[] = []
    while (lost.length < n && left.length > 0) {
      const at = random.int(0, left.length - 1)
      lost.push(left[at]!)
      left[at] = left.at(-1)!
      left.pop()
    }
    for (const id of lost) this.#know(id).held = false
    return lost.sort()
  }
}
