/**
 * One breaker for each endpoint, merchant or other scope, so that one cannot open another's. Bounded: scopes may come from outside.
 * When there are too many, one that is closed and has nothing in its window goes first; it would come back as it went.
 */
import type { Ambient } from './ambient.ts'
import { checkRange } from './ambient.ts'
import type { BreakerOptions, BreakerSettings } from './breaker.ts'
import { Breaker, breakerSettings } from './breaker.ts'

export interface BreakersOptions extends BreakerOptions {
  /** So many scopes are known at a time, 1 to 1,000,000; each costs up to 1 KB. Default 1000. */
  most?: number
}

/** So many are looked at for one that may go, before any may. */
const LOOKED_AT = 16

export class Breakers {
  readonly #ambient: Ambient
  readonly #settings: BreakerSettings
  readonly #most: number
  readonly #breakers = new Map<string, Breaker>()

  constructor(ambient: Ambient, { most = 1000, ...options }: BreakersOptions = {}) {
    checkRange('most', most, 1, 1e6)
    this.#ambient = ambient
    this.#settings = breakerSettings(options)
    this.#most = most
  }

  /** The breaker of a scope, made when it is first asked for. Its events carry `scope`. */
  of(scope: string): Breaker {
    const known = this.#breakers.get(scope)
    if (known) return known
    if (this.#breakers.size >= this.#most) this.#evict()
    const { on } = this.#ambient
    const ambient = on ? { ...this.#ambient, on: (event: Parameters<typeof on>[0]) => on({ ...event, scope }) } : this.#ambient
    const breaker = new Breaker(ambient, {}, this.#settings)
    this.#breakers.set(scope, breaker)
    return breaker
  }

  get size(): number {
    return this.#breakers.size
  }

  /** Those that are known, for a store or a screen. */
  [Symbol.iterator](): IterableIterator<[string, Breaker]> {
    return this.#breakers.entries()
  }

  /** The oldest that would come back as it went; else the oldest of all. Those that were looked at go to the end, so that the next search sees others. */
  #evict(): void {
    let looked = 0
    for (const [scope, breaker] of this.#breakers) {
      if (looked++ >= LOOKED_AT) break
      this.#breakers.delete(scope)
      if (breaker.state === 'closed' && breaker.metrics().calls === 0) return
      this.#breakers.set(scope, breaker)
    }
    const [oldest] = this.#breakers.keys()
    if (oldest !== undefined) this.#breakers.delete(oldest)
  }
}
