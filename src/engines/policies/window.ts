/**
 * What a breaker remembers of past calls: how many there were, how many failed, how many were slow. Constant cost a call, constant memory.
 *
 *   CountWindow   the last n calls, two bits each
 *   TimeWindow    the last ms, in ten buckets of three counters; it forgets by the clock, so also while nobody calls
 *
 * Counters are kept in plain arrays of small integers: a typed array costs 150 bytes before its first element.
 */

/** As plain JSON. `calls` is one digit a call, oldest first: 1 failed, 2 slow, 3 both. `buckets` are [calls, failures, slow], oldest first. */
export type SavedWindow = { calls: string } | { bucketMs: number; buckets: [number, number, number][] }

export interface Window {
  readonly calls: number
  readonly failures: number
  readonly slow: number
  /** `now` is monotonic ms and does not run backwards. */
  add(failed: boolean, slow: boolean, now: number): void
  /** Forgets what is older than the window. */
  forget(now: number): void
  clear(): void
  save(now: number): SavedWindow
  /** Takes over what was saved `agoMs` ago, when it has the same shape. */
  load(saved: SavedWindow, agoMs: number, now: number): void
}

/** The most that a count window remembers: 256 bytes. For more calls a window of time is the right one. */
export const MOST_COUNTED = 512

const CALLS_A_WORD = 16

export class CountWindow implements Window {
  readonly #size: number
  /** Bits 2i and 2i + 1 of a word: failed, slow. */
  readonly #words: number[]
  #next = 0
  calls = 0
  failures = 0
  slow = 0

  constructor(size: number) {
    this.#size = size
    this.#words = new Array<number>(Math.ceil(size / CALLS_A_WORD)).fill(0)
  }

  add(failed: boolean, slow: boolean): void {
    const word = this.#next >> 4
    const shift = (this.#next & 15) << 1
    const bits = (failed ? 1 : 0) | (slow ? 2 : 0)
    if (this.calls === this.#size) {
      const old = this.#words[word]! >>> shift
      this.failures -= old & 1
      this.slow -= (old >> 1) & 1
    } else {
      this.calls++
    }
    this.failures += bits & 1
    this.slow += bits >> 1
    this.#words[word] = (this.#words[word]! & ~(3 << shift)) | (bits << shift)
    this.#next = this.#next + 1 === this.#size ? 0 : this.#next + 1
  }

  forget(): void {}

  clear(): void {
    this.#next = this.calls = this.failures = this.slow = 0
  }

  save(): SavedWindow {
    let calls = ''
    for (let age = this.calls; age > 0; age--) {
      const at = (this.#next - age + this.#size) % this.#size
      calls += (this.#words[at >> 4]! >>> ((at & 15) << 1)) & 3
    }
    return { calls }
  }

  load(saved: SavedWindow): void {
    if (!('calls' in saved)) return
    this.clear()
    for (const digit of saved.calls.slice(-this.#size)) this.add((Number(digit) & 1) !== 0, (Number(digit) & 2) !== 0)
  }
}

/** Between 9 and 10 tenths of the window are remembered. */
const BUCKETS = 10

export class TimeWindow implements Window {
  readonly #bucketMs: number
  /** Three counters a bucket: calls, failures, slow. Bucket b of time stands at b modulo BUCKETS. */
  readonly #counters = new Array<number>(3 * BUCKETS).fill(0)
  /** Which bucket of time is being filled. */
  #current = 0
  calls = 0
  failures = 0
  slow = 0

  constructor(ms: number) {
    this.#bucketMs = ms / BUCKETS
  }

  add(failed: boolean, slow: boolean, now: number): void {
    this.forget(now)
    const at = 3 * (this.#current % BUCKETS)
    this.calls++
    this.#counters[at]!++
    if (failed) {
      this.failures++
      this.#counters[at + 1]!++
    }
    if (slow) {
      this.slow++
      this.#counters[at + 2]!++
    }
  }

  forget(now: number): void {
    const current = Math.floor(now / this.#bucketMs)
    if (current <= this.#current) return
    if (current - this.#current >= BUCKETS) {
      this.clear()
    } else {
      for (let bucket = this.#current + 1; bucket <= current; bucket++) this.#drop(3 * (bucket % BUCKETS))
    }
    this.#current = current
  }

  #drop(at: number): void {
    this.calls -= this.#counters[at]!
    this.failures -= this.#counters[at + 1]!
    this.slow -= this.#counters[at + 2]!
    this.#counters[at] = this.#counters[at + 1] = this.#counters[at + 2] = 0
  }

  clear(): void {
    this.#counters.fill(0)
    this.calls = this.failures = this.slow = 0
  }

  save(now: number): SavedWindow {
    this.forget(now)
    const buckets: [number, number, number][] = []
    for (let bucket = this.#current + 1; bucket <= this.#current + BUCKETS; bucket++) {
      const at = 3 * (bucket % BUCKETS)
      buckets.push([this.#counters[at]!, this.#counters[at + 1]!, this.#counters[at + 2]!])
    }
    return { bucketMs: this.#bucketMs, buckets }
  }

  load(saved: SavedWindow, agoMs: number, now: number): void {
    if (!('buckets' in saved) || saved.bucketMs !== this.#bucketMs || saved.buckets.length !== BUCKETS) return
    this.clear()
    this.#current = Math.floor(now / this.#bucketMs)
    const gone = Math.ceil(Math.max(0, agoMs) / this.#bucketMs)
    for (let n = gone; n < BUCKETS; n++) {
      const at = 3 * ((this.#current + 1 + n - gone) % BUCKETS)
      saved.buckets[n]!.forEach((count, field) => (this.#counters[at + field] = count))
      this.calls += saved.buckets[n]![0]
      this.failures += saved.buckets[n]![1]
      this.slow += saved.buckets[n]![2]
    }
  }
}
