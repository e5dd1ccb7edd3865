/**
 * What happened, taken in: one event, and one delivery for each endpoint that is told of its type, in one transaction, which may be the caller's own.
 * So whoever writes an order and its event writes both or neither.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Random } from '../../random.ts'
import { visible } from '../../visible.ts'
import type { Store, Tx } from '../store/store.ts'
import { DEFAULT_TENANT } from './endpoints.ts'
import { Gathering } from './gathering.ts'
import { isType, OWN_FAMILY, patternsOf } from './patterns.ts'

export interface NewEvent {
  type: string
  /** JSON, becomes the `data` of a body with `type` and `timestamp`; or give `body`. */
  data?: unknown
  /** Sent as it is. */
  body?: string
  tenant?: string
  /** Events with the same one arrive in their order where an endpoint asks for it. */
  key?: string
  /** The producer's own: the same one again makes no second event. */
  idempotencyKey?: string
}

export interface Taken {
  id: string
  seq: number
  /** Endpoints that will be told. */
  deliveries: number
  /** The key was known: this is the event that was made then. */
  replayed: boolean
}

/** Bytes of a body; receivers' servers refuse larger ones. */
export const BODY_MOST = 262_144
/** What Standard Webhooks calls large. */
export const BODY_LARGE = 20_480
const KEY_LONGEST = 255

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
/** Base 32 digits of a time in ms: enough until the year 3084. */
const TIME_DIGITS = 9

export class Events {
  readonly #clock: Clock
  readonly #random: Random
  readonly #store: Store
  readonly #gathering: Gathering

  /** `along` is called in the turn in which events go to the store. */
  constructor(outside: { clock: Clock; random: Random; store: Store }, gatherMs: number, along: () => void) {
    this.#clock = outside.clock
    this.#random = outside.random.fork('events')
    this.#store = outside.store
    this.#gathering = new Gathering(outside.clock, gatherMs, along)
  }

  /** In a transaction of its own, which may share its commit with others'; durable once it resolves. Throws as `enqueue` does. */
  async take(event: NewEvent): Promise<Taken> {
    await this.#gathering.join()
    return this.#store.transaction('enqueue', (tx) => this.enqueue(tx, event))
  }

  /** Inside the caller's transaction. Throws INVALID_EVENT, EVENT_TOO_LARGE, IDEMPOTENCY_KEY_REUSED. */
  async enqueue(tx: Tx, event: NewEvent): Promise<Taken> {
    const { type, tenant = DEFAULT_TENANT, key, idempotencyKey } = event
    const now = this.#clock.now()
    const digest = idempotencyKey === undefined ? null : digestOf(event)
    refuse(event)
    if (idempotencyKey !== undefined) {
      const [before] = await tx.query<{ id: string; seq: number; digest: string | null }>('SELECT id, seq, digest FROM event WHERE tenant = :tenant AND producer_key = :idempotencyKey', { tenant, idempotencyKey })
      if (before && before.digest !== digest) throw new ResilError('IDEMPOTENCY_KEY_REUSED', 'the idempotency key was used before with another event', 'use a new key for a new event')
      if (before) {
        const [{ n }] = (await tx.query<{ n: number }>('SELECT COUNT(*) AS n FROM delivery WHERE event = :seq', { seq: before.seq })) as [{ n: number }]
        return { id: before.id, seq: before.seq, deliveries: n, replayed: true }
      }
    }
    const body = event.body ?? JSON.stringify({ type, timestamp: new Date(now).toISOString(), data: event.data })
    refuseBody(body)
    const id = this.#id(now)
    const [row] = await tx.query<{ seq: number }>(
      `INSERT INTO event (id, tenant, type, ordering_key, body, producer_key, digest, created_at)
       VALUES (:id, :tenant, :type, :key, :body, :producerKey, :digest, :now) RETURNING seq`,
      { id, tenant, type, key: key ?? null, body, producerKey: idempotencyKey ?? null, digest, now },
    )
    const { seq } = row!
    return { id, seq, deliveries: await fanOut(tx, tenant, type, seq, key ?? null, now), replayed: false }
  }

  /** Time first, so that indexes grow at their end; then 80 bits of chance. */
  #id(now: number): string {
    let time = ''
    for (let left = now, i = 0; i < TIME_DIGITS; i++, left = Math.floor(left / 32)) time = ALPHABET[left % 32]! + time
    return `evt_${time}${this.#random.id('').slice(1)}`
  }
}

interface Numbered {
  lane: number
  seq: number
  ordering: string
}

/** Numbers the event in the lane of each endpoint that is told of it. Answers how many there are. */
async function fanOut(tx: Tx, tenant: string, type: string, event: number, key: string | null, now: number): Promise<number> {
  const patterns = patternsOf(type)
  const names = patterns.map((_, i) => `:p${i}`).join(', ')
  const lanes = await tx.query<Numbered>(
    `UPDATE lane SET seq = seq + 1
     WHERE lane IN (SELECT lane FROM subscription WHERE tenant = :tenant AND pattern IN (${names}))
     RETURNING lane, seq, ordering`,
    { tenant, ...Object.fromEntries(patterns.map((pattern, i) => [`p${i}`, pattern])) },
  )
  for (const { lane, seq, ordering } of lanes) {
    const chain = ordering === 'fifo' ? '' : ordering === 'key' ? key : null
    if (chain === null) {
      await tx.query("INSERT INTO delivery (event, lane, n, state, class, due, tries, strikes, flags, created_at) VALUES (:event, :lane, :seq, 'pending', 0, 0, 0, 0, 0, :now)", { event, lane, seq, now })
    } else {
      // Behind what is under way in the same chain: only its first link can be sent.
      await tx.query(
        `INSERT INTO delivery (event, lane, n, state, class, due, tries, strikes, chain, flags, created_at)
         VALUES (:event, :lane, :seq, CASE WHEN EXISTS (SELECT 1 FROM delivery WHERE lane = :lane AND chain = :chain AND state IN ('pending', 'chained')) THEN 'chained' ELSE 'pending' END, 0, 0, 0, 0, :chain, 0, :now)`,
        { event, lane, seq, chain, now },
      )
    }
  }
  return lanes.length
}

function refuse({ type, data, body, tenant = DEFAULT_TENANT, key, idempotencyKey }: NewEvent): void {
  if (!isType(type)) throw invalid(`"${visible(String(type).slice(0, 128))}" is no type of event: words of letters, digits and _, with dots between them`)
  if ((data === undefined) === (body === undefined)) throw invalid('an event has either data or a body')
  if (tenant === '' || tenant.length > KEY_LONGEST) throw invalid('a tenant has 1 to 255 characters')
  for (const [what, value] of [['a key', key], ['an idempotency key', idempotencyKey]] as const) {
    if (value !== undefined && (value === '' || value.length > KEY_LONGEST || !value.isWellFormed())) throw invalid(`${what} has 1 to ${KEY_LONGEST} characters`)
  }
}

function refuseBody(body: string): void {
  // A lone surrogate would be sent as something else than what was signed.
  if (!body.isWellFormed()) throw invalid('the body is not well-formed Unicode')
  if (body.length > BODY_MOST || (body.length * 3 > BODY_MOST && Buffer.byteLength(body) > BODY_MOST)) throw new ResilError('EVENT_TOO_LARGE', `a body has at most ${BODY_MOST} bytes`, 'send an id, and let the receiver fetch the rest')
}

/** Whether two requests ask for the same event. Its time is not part of it. */
function digestOf({ type, data, body, key }: NewEvent): string {
  return createHash('sha256').update(JSON.stringify([type, body ?? null, data ?? null, key ?? null])).digest('base64')
}

/** For the producer's own types: those of the engine's family are not his to send. Throws INVALID_EVENT. */
export function refuseOwnFamily(type: string): void {
  if (type === OWN_FAMILY || type.startsWith(`${OWN_FAMILY}.`)) throw invalid(`types that begin with ${OWN_FAMILY}. are the engine's own`)
}

function invalid(why: string): ResilError {
  return new ResilError('INVALID_EVENT', why, 'see docs/webhooks.md')
}
