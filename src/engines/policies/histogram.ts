/**
 * Durations in buckets that grow by a tenth: a percentile is right to ten per cent, whatever the range, in constant memory and at constant cost.
 * Old samples lose weight: when `halveAt` are held every count is halved, so that about the last `halveAt` samples decide.
 */

const GROWTH = 1.1
const LOG_GROWTH = Math.log(GROWTH)
/** The upper end of the first bucket, ms. */
const FIRST_MS = 0.1
/** 0.1 ms to 24 h and more: 0.1 * 1.1 ** 217. */
const BUCKETS = 218

export class Histogram {
  readonly #counts = new Array<number>(BUCKETS).fill(0)
  readonly #halveAt: number
  count = 0

  constructor(halveAt: number) {
    this.#halveAt = halveAt
  }

  add(ms: number): void {
    this.#count(bucketOf(ms))
  }

  /** A sample that was cut off at `ms`: it would have been longer, so it stands one bucket above. */
  addCensored(ms: number): void {
    this.#count(Math.min(BUCKETS - 1, bucketOf(ms) + 1))
  }

  /** Adds what another one holds. */
  merge(other: Histogram): void {
    for (let i = 0; i < BUCKETS; i++) this.#counts[i]! += other.#counts[i]!
    this.count += other.count
    this.#age()
  }

  #count(bucket: number): void {
    this.#counts[bucket]!++
    this.count++
    this.#age()
  }

  #age(): void {
    if (this.count < this.#halveAt) return
    this.count = 0
    for (let i = 0; i < BUCKETS; i++) {
      this.#counts[i] = this.#counts[i]! >> 1
      this.count += this.#counts[i]!
    }
  }

  /** The least bound, in ms, that at least `share` of the samples do not exceed; 0 without samples. */
  quantile(share: number): number {
    let above = this.count * (1 - share)
    for (let bucket = BUCKETS - 1; bucket >= 0; bucket--) {
      above -= this.#counts[bucket]!
      if (above < 0) return FIRST_MS * GROWTH ** bucket
    }
    return 0
  }

  clear(): void {
    this.#counts.fill(0)
    this.count = 0
  }
}

function bucketOf(ms: number): number {
  return ms <= FIRST_MS ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / FIRST_MS) / LOG_GROWTH))
}
