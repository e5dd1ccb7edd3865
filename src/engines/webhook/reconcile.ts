/** What a receiver has beside what it was sent: names exactly the events that it lacks, and has them sent again. */
import type { Store } from '../store/store.ts'
import type { Window } from './digest.ts'
import { numbersOf, sentIn } from './digest.ts'
import { known } from './endpoints.ts'
import type { Replays } from './replay.ts'

export interface Reconciliation {
  endpoint: string
  /** Sequence numbers, both included. */
  from: number
  to: number
  /** Of the ids that were given, those that arrived in the window by our book too. */
  matched: number
  /** It took them, by our book, and does not have them. */
  missing: string[]
  /** It has them, and the window does not. */
  extra: string[]
  /** It has them, and our book does not know that it took them: they wait still, or are dead. */
  unconfirmed: string[]
  /** The replay that sends the missing ones again. */
  job: string | null
}

export class Reconciler {
  readonly #store: Store
  readonly #replays: Replays

  constructor({ store, replays }: { store: Store; replays: Replays }) {
    this.#store = store
    this.#replays = replays
  }

  /** `ids` are the receiver's, of the window. Throws NO_SUCH_ENDPOINT, WINDOW_TOO_WIDE, and BAD_FILTER when more are to be sent again than one replay takes. */
  async compare(endpoint: string, { ids, redeliver = false, who, ...window }: Window & { ids: readonly string[]; redeliver?: boolean; who: string }): Promise<Reconciliation> {
    const theirs = new Set(ids)
    const { from, to, sent } = await this.#store.transaction('reconcile', async (tx) => {
      const { lane } = await known(tx, endpoint)
      const { from, to } = await numbersOf(tx, lane, window)
      return { from, to, sent: await sentIn(tx, lane, from, to) }
    })
    const ours = new Map(sent.map(({ id, state }) => [id, state]))
    const missing = sent.filter(({ id, state }) => state === 'delivered' && !theirs.has(id)).map(({ id }) => id)
    const extra: string[] = []
    const unconfirmed: string[] = []
    let matched = 0
    for (const id of theirs) {
      const state = ours.get(id)
      if (state === undefined) extra.push(id)
      else if (state === 'delivered') matched++
      else unconfirmed.push(id)
    }
    const job = redeliver && missing.length > 0 ? (await this.#replays.ask({ filter: { dlq: false, endpoint, ids: missing }, who })).id : null
    return { endpoint, from, to, matched, missing, extra, unconfirmed, job }
  }
}
