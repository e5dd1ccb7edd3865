/**
 * The places before one service. How many there are is given, or found from how it answers.
 *
 * Where it is found, a call that was given up keeps its place as long again as it was waited for: the service works on it still, and does not know that
 * nobody waits. So what is in flight here is about what is in flight there, and one more caller is not one more than it can take. And once it has been full
 * for a while, whoever came last goes in first: the places are never empty, and those who are let in have their whole time before them.
 */
import type { Ambient, Pass, Result } from '../policies/ambient.ts'
import type { Priority } from '../policies/bulkhead.ts'
import { Bulkhead } from '../policies/bulkhead.ts'
import type { CapacityOptions } from './capacity.ts'
import { Capacity } from './capacity.ts'

/** From when on a room that is full is not full for a moment, ms. */
const STANDING_MS = 500

export interface RoomOptions {
  name: string
  /** Calls at once. */
  limit: number | CapacityOptions
  /** Calls that wait for a place. A burst may wait as long as it has; once the room has been full for a while, nobody for longer than this, ms. */
  queue: number
  waitMs: number
}

/** A place; whoever has it ends it once, or leaves it without having called. */
export interface Place {
  end(result: Result, elapsedMs: number, timedOut: boolean): void
  leave(): void
}

export class Room {
  readonly #ambient: Ambient
  readonly #bulkhead: Bulkhead
  readonly #capacity: Capacity | undefined
  readonly #waitMs: number
  /** Since when nobody has found a place at once; undefined while they do. */
  #fullSince: number | undefined
  /** Places of calls that were given up, in the order of their end; never more than there are places. */
  readonly #lingering: { untilAt: number; place: Pass }[] = []

  constructor(ambient: Ambient, { name, limit, queue, waitMs }: RoomOptions) {
    this.#ambient = ambient
    this.#capacity = typeof limit === 'number' ? undefined : new Capacity(ambient.clock, limit)
    this.#bulkhead = new Bulkhead(ambient, { name, limit: this.#capacity?.limitAt ?? (limit as number), queue, ...(this.#capacity ? { newestFirst: () => this.#standing(ambient.clock.monotonic()) } : {}) })
    this.#waitMs = waitMs
  }

  get inFlight(): number {
    return this.#bulkhead.inFlight
  }

  get limit(): number {
    return this.#bulkhead.limit
  }

  get waiting(): number {
    return this.#bulkhead.queued
  }

  /** When it is worth asking again, ms. */
  get retryAfterMs(): number {
    return this.#bulkhead.retryAfterMs
  }

  /** Undefined when no place became free within `waitMs`, or while the client was there. */
  async enter(priority: Priority, waitMs: number, gone?: AbortSignal): Promise<Place | undefined> {
    const now = this.#ambient.clock.monotonic()
    this.#clear(now)
    this.#capacity?.arrived()
    let place = this.#bulkhead.tryEnter(priority, now)
    if (place) this.#fullSince = undefined
    else {
      // Low callers leave places to the others: that they find none says nothing of the room.
      if (priority !== 'low') {
        this.#capacity?.turnedAway()
        this.#fullSince ??= now
      }
      const longestMs = this.#standing(now) ? this.#waitMs : Number.POSITIVE_INFINITY
      const waited = await this.#bulkhead.wait(now + Math.min(longestMs, Math.max(0, waitMs)), priority, gone, now)
      if (typeof waited === 'string') return undefined
      place = waited
    }
    this.#capacity?.entered()
    return this.#placed(place, this.#bulkhead.inFlight)
  }

  /** Whether it has been full for longer than a burst. */
  #standing(now: number): boolean {
    return this.#fullSince !== undefined && now - this.#fullSince >= STANDING_MS
  }

  #placed(place: Pass, beside: number): Place {
    return {
      end: (result, elapsedMs, timedOut) => {
        this.#capacity?.ended({ failed: result === 'failure', timedOut, elapsedMs, beside })
        if (this.#capacity && timedOut) this.#lingering.push({ untilAt: this.#ambient.clock.monotonic() + elapsedMs, place })
        else place.end(result, elapsedMs)
      },
      leave: () => place.end('ignored', 0),
    }
  }

  /** Gives back the places that have lingered long enough. */
  #clear(now: number): void {
    const over = this.#lingering.filter(({ untilAt }) => untilAt <= now)
    if (over.length === 0) return
    this.#lingering.splice(0, this.#lingering.length, ...this.#lingering.filter(({ untilAt }) => untilAt > now))
    for (const { place } of over) place.end('failure', 0)
  }
}
