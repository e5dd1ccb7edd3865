/**
 * `import { verify } from 'resil/receiver'`: the other side, for whoever is told by webhooks. Importing this opens nothing and starts nothing.
 *
 *   verify ──> withIdempotency ──> your handler ──> 200 and webhook-receipt, or 202 and an acknowledgement later
 *                                                   Gaps and compareDigest find what never came
 *
 * docs/receiving-webhooks.md walks through it. What is signed is the id, the timestamp and the body; endpoint, sequence and attempt are headers beside
 * them, which only TLS protects: good for finding gaps, not for deciding whom to pay.
 */
import { SystemClock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { AnyHeaders, Digest, Refused } from './signature.ts'
import { ackSignature, digestId, digestOf, digestValid, header, readSignature, receiptOf, verifier } from './signature.ts'

/** Where the time comes from; a test brings its own. */
export interface Now {
  /** Wall time, ms since 1970. */
  now(): number
}

const system = new SystemClock()

/** A request that was verified. */
export interface Message {
  ok: true
  /** Of the event: the same on every attempt, and therefore the key of idempotency. */
  id: string
  /** Of this attempt, s since 1970. */
  timestamp: number
  /** The place of the secret that fits among those that were given. */
  by: number
  /** What `webhook-endpoint`, `webhook-sequence` and `webhook-attempt` say; null when they are missing, as from another sender, or no numbers. Not signed. */
  endpoint: string | null
  sequence: number | null
  attempt: number | null
}

/**
 * Whether the request comes from who holds one of `secrets` (`whsec_`, or `whpk_` for ed25519), newest first. `rawBody` are the bytes as they came: JSON
 * that was parsed and written again is another text. The two clocks may be 300 s apart unless `toleranceSeconds` says otherwise.
 * Throws INVALID_SECRET and NO_SECRET, which are mistakes of yours; whatever the request holds is an answer, not an error.
 */
export function verify(secrets: string | readonly string[], headers: AnyHeaders, rawBody: string | Uint8Array, { clock = system, toleranceSeconds }: { clock?: Now; toleranceSeconds?: number } = {}): Message | Refused {
  const verified = verifier(listOf(secrets), toleranceSeconds).verify(headers, rawBody, clock.now())
  if (!verified.ok) return verified
  return { ...verified, endpoint: header(headers, 'webhook-endpoint') || null, sequence: countOf(header(headers, 'webhook-sequence')), attempt: countOf(header(headers, 'webhook-attempt')) }
}

/** A whole number from 1, or null. */
function countOf(text: string | undefined): number | null {
  return text !== undefined && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : null
}

const listOf = (secrets: string | readonly string[]) => (typeof secrets === 'string' ? [secrets] : secrets)

/**
 * The value of the header `webhook-receipt` for the answer to `message`: proof that code which holds the secret has read it, and not a login page or a proxy
 * that says 200 to everything. Throws NO_SHARED_SECRET where there are only public keys.
 */
export function receipt(secrets: string | readonly string[], { id, timestamp, by }: Pick<Message, 'id' | 'timestamp' | 'by'>): string {
  return receiptOf(sharedOf(secrets, by), id, timestamp)
}

/** The secret at that place, or the first one that both sides hold where that is a public key. */
function sharedOf(secrets: string | readonly string[], place: number): string {
  const list = listOf(secrets)
  const isShared = (key = '') => key.startsWith('whsec_')
  return (isShared(list[place]) ? list[place] : list.find(isShared)) ?? list[place] ?? ''
}

/** What is posted to `/v1/acks` of the sender once a message that was answered with 202 and `webhook-ack: deferred` has been worked on. */
export interface Acknowledgement {
  headers: Record<string, string>
  body: string
}

/** Signed with the first of `secrets`, now: valid for 300 s, so it is made when it is sent. Sending it twice does no harm. Throws NO_SHARED_SECRET. */
export function acknowledge(secrets: string | readonly string[], { id, endpoint }: Pick<Message, 'id' | 'endpoint'>, { clock = system }: { clock?: Now } = {}): Acknowledgement {
  const timestamp = Math.floor(clock.now() / 1000)
  const signature = ackSignature(sharedOf(secrets, 0), id, timestamp)
  return { headers: { 'content-type': 'application/json', 'webhook-timestamp': String(timestamp), 'webhook-ack-signature': signature }, body: JSON.stringify({ id, endpoint }) }
}

/**
 * Headers with which `endpoint` may read what is its own from the sender, without a token: `GET /v1/endpoints/ID/events` and `/digest`. Signed with the first
 * of `secrets`, now: valid for 300 s, so they are made when they are sent. Throws NO_SHARED_SECRET.
 */
export function readHeaders(secrets: string | readonly string[], endpoint: string, { clock = system }: { clock?: Now } = {}): Record<string, string> {
  const timestamp = Math.floor(clock.now() / 1000)
  return { 'webhook-timestamp': String(timestamp), 'webhook-read-signature': readSignature(sharedOf(secrets, 0), endpoint, timestamp) }
}

/** Remembers which messages were worked on. Others than those below are written against Redis, PostgreSQL or what you have. */
export interface IdempotencyStore {
  /** Claims `id`, atomically: `new` to exactly one caller, until it finishes or releases. `done`: it was finished before. `busy`: somebody is at it. */
  begin(id: string): Promise<'new' | 'done' | 'busy'>
  finish(id: string): Promise<void>
  /** It came to nothing: the next one may begin anew. */
  release(id: string): Promise<void>
}

/** `done`: the handler has just run. `repeated`: it had before; answer as then. `busy`: it runs elsewhere; answer 409, and the sender comes again. */
export type Handled = 'done' | 'repeated' | 'busy'

/**
 * The handler, run once for each id: the claim is written before it runs. Rejects with what the handler throws, after releasing the claim.
 * Not guaranteed: a handler whose process dies, or whose `finish` fails, has done its work without leaving a trace and will run again. Where the
 * work goes into a database, `onceIn` writes both in one transaction.
 */
export function withIdempotency<M extends { id: string }>(store: IdempotencyStore, handler: (message: M) => unknown): (message: M) => Promise<Handled> {
  return async (message) => {
    const begun = await store.begin(message.id)
    if (begun === 'done') return 'repeated'
    if (begun === 'busy') return 'busy'
    try {
      await handler(message)
    } catch (error) {
      // If this fails too, the claim ends by itself where it has an end; the handler's error is what matters.
      await store.release(message.id).catch(() => {})
      throw error
    }
    await store.finish(message.id)
    return 'done'
  }
}

/** Ids that `memoryStore` remembers, the oldest go first. */
export const REMEMBERED_IDS = 100_000
/** Ids that `memoryStore` lets be worked on at once; more are told that they are busy. */
export const BUSY_IDS_MOST = 10_000

/** For one process that may forget at its end: a restart works again on what is sent again. */
export function memoryStore({ remember = REMEMBERED_IDS }: { remember?: number } = {}): IdempotencyStore {
  const busy = new Set<string>()
  const done = new Set<string>()
  return {
    async begin(id) {
      if (done.has(id)) return 'done'
      if (busy.has(id) || busy.size >= BUSY_IDS_MOST) return 'busy'
      busy.add(id)
      return 'new'
    },
    async finish(id) {
      busy.delete(id)
      done.add(id)
      if (done.size > remember) done.delete(done.values().next().value!)
    },
    async release(id) {
      busy.delete(id)
    },
  }
}

/** Your own handle on SQLite: better-sqlite3's Database, or node:sqlite's DatabaseSync. */
export interface SqliteDatabase {
  exec(sql: string): unknown
  prepare(sql: string): { run(...values: any[]): unknown; get(...values: any[]): unknown }
}

/** After this a claim whose process died may be taken by another, ms. Longer than any handler takes. */
export const CLAIM_MS = 60_000

const TABLE = `CREATE TABLE IF NOT EXISTS webhook_received (
  id TEXT PRIMARY KEY,
  state TEXT NOT NULL,   -- busy | done
  claim INTEGER NOT NULL,-- grows with every claim, so that an old one releases nothing
  at INTEGER NOT NULL    -- ms: when it was done, or until when the claim holds
) WITHOUT ROWID`

/** For any number of processes on one file; makes its table, `webhook_received`. `forget` deletes what was done before that time (ms): keep 31 days, in which dead events are replayed. */
export function sqliteStore(db: SqliteDatabase, { clock = system, claimMs = CLAIM_MS }: { clock?: Now; claimMs?: number } = {}): IdempotencyStore & { forget(before: number): void } {
  db.exec(TABLE)
  const begin = db.prepare(`
    INSERT INTO webhook_received (id, state, claim, at) VALUES (?, 'busy', 1, ?)
    ON CONFLICT (id) DO UPDATE SET claim = claim + 1, at = excluded.at
    WHERE state = 'busy' AND at <= ?
    RETURNING claim`)
  const look = db.prepare('SELECT state FROM webhook_received WHERE id = ?')
  const finish = db.prepare("UPDATE webhook_received SET state = 'done', at = ? WHERE id = ?")
  const release = db.prepare("DELETE FROM webhook_received WHERE id = ? AND state = 'busy' AND claim = ?")
  const forget = db.prepare("DELETE FROM webhook_received WHERE state = 'done' AND at < ?")
  /** What runs in this process, and under which claim: never overtaken, however long it takes. */
  const ours = new Map<string, number>()
  return {
    async begin(id) {
      if (ours.has(id)) return 'busy'
      const now = clock.now()
      const row = begin.get(id, now + claimMs, now) as { claim: number } | undefined
      if (row) {
        ours.set(id, row.claim)
        return 'new'
      }
      return (look.get(id) as { state: string } | undefined)?.state === 'done' ? 'done' : 'busy'
    },
    async finish(id) {
      finish.run(clock.now(), id)
      ours.delete(id)
    },
    async release(id) {
      release.run(id, ours.get(id) ?? 0)
      ours.delete(id)
    },
    forget: (before) => void forget.run(before),
  }
}

/**
 * The message and its effect in one transaction of your database: both or neither, whatever dies. `work` is synchronous and writes through `db`.
 * `repeated` when it was done before. Throws what `work` throws, and nothing is written. Makes its table, `webhook_received`, as `sqliteStore` does.
 */
export function onceIn(db: SqliteDatabase, id: string, work: () => void, { clock = system }: { clock?: Now } = {}): 'done' | 'repeated' {
  db.exec(TABLE)
  db.exec('BEGIN IMMEDIATE')
  try {
    const row = db.prepare("INSERT INTO webhook_received (id, state, claim, at) VALUES (?, 'done', 1, ?) ON CONFLICT (id) DO NOTHING RETURNING claim").get(id, clock.now())
    if (row) {
      const answer = work() as unknown
      if (typeof (answer as PromiseLike<unknown> | undefined)?.then === 'function') throw new ResilError('WORK_NOT_SYNCHRONOUS', 'the work of onceIn gave a promise, which would outlive the transaction', 'do what takes time before, or use withIdempotency')
    }
    db.exec('COMMIT')
    return row ? 'done' : 'repeated'
  } catch (error) {
    db.exec('ROLLBACK')
    throw error
  }
}

/** Sequence numbers that have not come, both ends included, and since when a later one has, ms. */
export interface Gap {
  from: number
  to: number
  since: number
}

/** What `Gaps` knows of one endpoint: the highest number that came, and what is missing below it, ascending. */
export interface Seen {
  top: number
  gaps: readonly Gap[]
}

/** Gaps of one endpoint that are kept apart. Beyond that the two oldest become one, with what came between them: too much is asked for again, never too little. */
export const GAPS_MOST = 1000
/** Endpoints that are watched; the one that was silent for longest is forgotten. */
export const ENDPOINTS_MOST = 10_000

/**
 * Finds what never came: the events of one endpoint are numbered from 1 without a hole. They come at once and again, so a gap is nothing yet; one that
 * has been open for longer than a retry takes is worth a question to the sender.
 */
export class Gaps {
  readonly #clock: Now
  readonly #endpoints = new Map<string, { top: number; gaps: Gap[] }>()

  /** `from` is what `snapshot` gave in an earlier life; `{ ep_1: { top: 500, gaps: [] } }` begins after number 500. */
  constructor({ clock = system, from = {} }: { clock?: Now; from?: Readonly<Record<string, Seen>> } = {}) {
    this.#clock = clock
    for (const [endpoint, { top, gaps }] of Object.entries(from)) this.#endpoints.set(endpoint, { top, gaps: gaps.map((gap) => ({ ...gap })) })
  }

  /** `next`: the one that was due. `ahead`: others are missing before it. `late`: it was missing. `repeated`: it came before. Throws INVALID_SEQUENCE. */
  see(endpoint: string, sequence: number): 'next' | 'ahead' | 'late' | 'repeated' {
    if (!Number.isSafeInteger(sequence) || sequence < 1) throw new ResilError('INVALID_SEQUENCE', `${sequence} is no sequence number`, 'give message.sequence unless it is null')
    const seen = this.#of(endpoint)
    if (sequence > seen.top) {
      const due = seen.top + 1
      seen.top = sequence
      if (sequence === due) return 'next'
      seen.gaps.push({ from: due, to: sequence - 1, since: this.#clock.now() })
      if (seen.gaps.length > GAPS_MOST) seen.gaps.splice(0, 2, { ...seen.gaps[0]!, to: seen.gaps[1]!.to })
      return 'ahead'
    }
    const at = seen.gaps.findIndex(({ to }) => sequence <= to)
    const gap = seen.gaps[at]
    if (!gap || sequence < gap.from) return 'repeated'
    const halves = [{ ...gap, to: sequence - 1 }, { ...gap, from: sequence + 1 }].filter(({ from, to }) => from <= to)
    seen.gaps.splice(at, 1, ...halves)
    if (seen.gaps.length > GAPS_MOST) seen.gaps.splice(0, 2, { ...seen.gaps[0]!, to: seen.gaps[1]!.to })
    return 'late'
  }

  /** Gaps that have been open for `openMs` or longer, ascending. */
  missing(endpoint: string, { openMs = 0 }: { openMs?: number } = {}): Gap[] {
    const before = this.#clock.now() - openMs
    return (this.#endpoints.get(endpoint)?.gaps ?? []).filter(({ since }) => since <= before).map((gap) => ({ ...gap }))
  }

  /** Up to here everything has come: the cursor from which the sender's list of events is read. */
  completeTo(endpoint: string): number {
    const seen = this.#endpoints.get(endpoint)
    return seen ? (seen.gaps[0]?.from ?? seen.top + 1) - 1 : 0
  }

  /** Plain JSON, for the next life. */
  snapshot(): Record<string, Seen> {
    return Object.fromEntries([...this.#endpoints].map(([endpoint, { top, gaps }]) => [endpoint, { top, gaps: gaps.map((gap) => ({ ...gap })) }]))
  }

  /** The one that spoke last stands last. */
  #of(endpoint: string): { top: number; gaps: Gap[] } {
    const seen = this.#endpoints.get(endpoint) ?? { top: 0, gaps: [] }
    this.#endpoints.delete(endpoint)
    this.#endpoints.set(endpoint, seen)
    if (this.#endpoints.size > ENDPOINTS_MOST) this.#endpoints.delete(this.#endpoints.keys().next().value!)
    return seen
  }
}

/** A digest as the sender gives it: what it sent under the numbers `from` to `to`, signed. */
export interface SignedDigest extends Digest {
  /** s since 1970. */
  timestamp: number
  signature: string
}

/** `equal`: `ids`, those you have of these numbers, are exactly what was sent. `different`: read the sender's list. `forged`: nobody who holds a secret has signed it. Throws INVALID_SECRET, NO_SECRET. */
export function compareDigest(secrets: string | readonly string[], digest: SignedDigest, ids: Iterable<string>): 'equal' | 'different' | 'forged' {
  if (typeof digest.signature !== 'string' || !digestValid(listOf(secrets), digestId(digest), digest.timestamp, digest.signature)) return 'forged'
  const ours = digestOf(digest.endpoint, digest.from, digest.to, ids)
  return ours.count === digest.count && ours.sha256 === digest.sha256 ? 'equal' : 'different'
}

export { ResilError } from '../../errors.ts'
export type { AnyHeaders, Digest, Reason, Refused } from './signature.ts'
