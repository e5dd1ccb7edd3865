/** Counts over time, for watchers: how often in the last seconds, and how it went over the whole run. Times are the events' own `t`, ms. */

/** What "lately" means, s. */
export const LATELY_S = 10
/** The second under way and the whole ones before it. */
const SECONDS = LATELY_S + 1
/** Buckets of a run; when they are full, two become one, so that a run of any length has its course. */
const BUCKETS = 256
const FIRST_BUCKET_MS = 250

export interface Tally {
  all: number
  /** Of each of the latest seconds; second n stands at n modulo the length. */
  seconds: number[]
  /** The latest second. */
  second: number
  /** Of the whole run, in buckets of `bucketMs`. */
  course: number[]
  bucketMs: number
}

export function tally(): Tally {
  return { all: 0, seconds: new Array<number>(SECONDS).fill(0), second: 0, course: [], bucketMs: FIRST_BUCKET_MS }
}

/** Takes one more into the tally, which it changes. What is older than the seconds that are kept counts in the course alone. */
export function count(of: Tally, t: number): void {
  of.all++
  const second = Math.floor(t / 1000)
  if (second > of.second) {
    for (let n = Math.max(of.second + 1, second - SECONDS + 1); n <= second; n++) of.seconds[n % SECONDS] = 0
    of.second = second
  }
  if (second > of.second - SECONDS) of.seconds[second % SECONDS]!++
  while (t >= of.bucketMs * BUCKETS) {
    const halves: number[] = []
    for (let n = 0; n < of.course.length; n += 2) halves.push(of.course[n]! + (of.course[n + 1] ?? 0))
    of.course = halves
    of.bucketMs *= 2
  }
  const bucket = Math.floor(t / of.bucketMs)
  while (of.course.length <= bucket) of.course.push(0)
  of.course[bucket]!++
}

/** How many a second, over the last whole seconds before `now`; of a run that is younger than that, over all of it. */
export function rate(of: Tally, now: number): number {
  return lately(of, now) / Math.min(LATELY_S, Math.max(1, now / 1000))
}

/** How many in the last seconds before `now`. */
export function lately(of: Tally, now: number): number {
  const second = Math.floor(now / 1000)
  // The second under way is not over: it would make every rate look as if it fell. A young run has nothing else.
  const last = second < LATELY_S ? second : second - 1
  let sum = 0
  for (let n = Math.max(0, last - LATELY_S + 1, of.second - SECONDS + 1); n <= Math.min(last, of.second); n++) sum += of.seconds[n % SECONDS]!
  return sum
}

/**
 * The course of the run in `cells` from `from` to `to` ms, each as a rate per second. The cell in which `now` is has the rate so far once half of it is over,
 * and none before: of a moment there is no rate.
 */
export function courseOf(of: Tally, { from, to, cells }: { from: number; to: number; cells: number }, now = Number.POSITIVE_INFINITY): number[] {
  const cellMs = (to - from) / cells
  return Array.from({ length: cells }, (_, cell) => {
    const begin = from + cell * cellMs
    const end = Math.min(begin + cellMs, now)
    if (end - begin < cellMs / 2) return 0
    let sum = 0
    for (let n = Math.max(0, Math.floor(begin / of.bucketMs)); n < of.course.length && n * of.bucketMs < end; n++) {
      const bucketEnd = Math.max(n * of.bucketMs + 1, Math.min((n + 1) * of.bucketMs, now))
      const covered = Math.min(end, bucketEnd) - Math.max(begin, n * of.bucketMs)
      sum += of.course[n]! * (covered / (bucketEnd - n * of.bucketMs))
    }
    return sum / ((end - begin) / 1000)
  })
}
