/**
 * What an endpoint was sent and has taken, in one line that it can compare with its own table: how many events, and a hash of their sorted ids; signed.
 * The window is one of sequence numbers, which both sides know exactly; times only choose it.
 */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Store, Tx } from '../store/store.ts'
import { keysOf } from './acks.ts'
import { known } from './endpoints.ts'
import type { Digest } from './signature.ts'
import { digestId, digestOf, digestSignature } from './signature.ts'
import type { Vault } from './vault.ts'

export interface SignedDigest extends Digest {
  /** Seconds since 1970, signed with the rest. */
  timestamp: number
  signature: string
}

/** By sequence numbers, or by the time of the events, ms since 1970; all included. Both ends are open when absent. */
export interface Window {
  from?: number
  to?: number
  since?: number
  until?: number
}

/** Deliveries in one window: they are read at once. */
export const WINDOW_MOST = 100_000

export interface Sent {
  id: string
  state: string
}

export class Digests {
  readonly #setup: { clock: Clock; store: Store; vault: Vault }

  constructor(setup: { clock: Clock; store: Store; vault: Vault }) {
    this.#setup = setup
  }

  /** Throws NO_SUCH_ENDPOINT, WINDOW_TOO_WIDE, NO_SECRET. */
  make(endpoint: string, window: Window): Promise<SignedDigest> {
    const { clock, store, vault } = this.#setup
    const now = clock.now()
    return store.transaction('digest', async (tx) => {
      const { lane } = await known(tx, endpoint)
      const { from, to } = await numbersOf(tx, lane, window)
      const sent = await sentIn(tx, lane, from, to)
      const [secret] = await keysOf(tx, vault, endpoint, lane, now)
      if (secret === undefined) throw new ResilError('NO_SECRET', 'no secret of this endpoint is valid now', 'resil webhook endpoint rotate gives it a new one')
      const digest = digestOf(endpoint, from, to, sent.filter(({ state }) => state === 'delivered').map(({ id }) => id))
      const timestamp = Math.floor(now / 1000)
      return { ...digest, timestamp, signature: digestSignature(secret, digestId(digest), timestamp) }
    })
  }
}

/** Every delivery of the lane under these numbers, in their order. Throws WINDOW_TOO_WIDE. */
export async function sentIn(tx: Tx, lane: number, from: number, to: number): Promise<Sent[]> {
  if (to - from >= WINDOW_MOST) throw new ResilError('WINDOW_TOO_WIDE', `the window holds ${to - from + 1} deliveries, the most is ${WINDOW_MOST}`, 'ask for a shorter one')
  return tx.query<Sent>('SELECT e.id, d.state FROM delivery d CROSS JOIN event e ON e.seq = d.event WHERE d.lane = :lane AND d.n >= :from AND d.n <= :to ORDER BY d.n', { lane, from, to })
}

/**
 * The numbers of a window, `to` below `from` when nothing is in it. Times are looked for by halves, along the numbers: exact as long as the clock that stamped the
 * events was not set back within the window.
 */
export async function numbersOf(tx: Tx, lane: number, { from, to, since, until }: Window): Promise<{ from: number; to: number }> {
  const [ends] = await tx.query<{ first: number | null; last: number | null }>('SELECT (SELECT n FROM delivery WHERE lane = :lane ORDER BY n LIMIT 1) AS first, (SELECT n FROM delivery WHERE lane = :lane ORDER BY n DESC LIMIT 1) AS last', { lane })
  const first = ends!.first ?? 1
  const last = ends!.last ?? 0
  const starts = since === undefined ? first : await firstFrom(tx, lane, first, last, since)
  const stops = until === undefined ? last : (await firstFrom(tx, lane, first, last, until + 1)) - 1
  return { from: Math.max(from ?? first, starts), to: Math.min(to ?? last, stops) }
}

/** The least number whose event is of `at` or later; `last` + 1 when there is none. */
async function firstFrom(tx: Tx, lane: number, first: number, last: number, at: number): Promise<number> {
  let [low, high] = [first, last + 1]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const [row] = await tx.query<{ n: number; created_at: number }>('SELECT d.n, e.created_at FROM delivery d CROSS JOIN event e ON e.seq = d.event WHERE d.lane = :lane AND d.n >= :middle ORDER BY d.n LIMIT 1', { lane, middle })
    if (row === undefined || row.created_at >= at) high = middle
    else low = row.n + 1
  }
  return low
}
