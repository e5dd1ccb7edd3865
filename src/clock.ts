/**
 * Time, as an argument. This is the only file of the program that reads a clock or sets a timer.
 *
 *   SystemClock   the machine's time
 *   VirtualClock  time that jumps to the next timer as soon as nothing else can run
 *   NodeClock     one node's view of another clock: skewed, drifting, pausable, and silent after its death
 */
import { ResilError } from './errors.ts'

export type Cancel = () => void

export interface Clock {
  /** Wall time, ms since 1970: for timestamps that others read. */
  now(): number
  /** Monotonic time in ms (fractions allowed) from an arbitrary origin: for deadlines and latencies. */
  monotonic(): number
  /** Calls `run` once, `ms` from now; 0 means at the end of the current turn, when no other work is ready. The answer cancels it. */
  after(ms: number, run: () => void): Cancel
  /** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

function sleepOn(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const wake = () => {
      cancel()
      signal?.removeEventListener('abort', wake)
      resolve()
    }
    const cancel = clock.after(ms, wake)
    signal?.addEventListener('abort', wake, { once: true })
  })
}

/** Longest delay that setTimeout takes; longer sleeps are cut into legs. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

export class SystemClock implements Clock {
  now(): number {
    return Date.now()
  }

  monotonic(): number {
    return performance.now()
  }

  after(ms: number, run: () => void): Cancel {
    if (ms <= 0) {
      const immediate = setImmediate(run)
      return () => clearImmediate(immediate)
    }
    if (ms > LONGEST_TIMER_MS) {
      let cancel = this.after(LONGEST_TIMER_MS, () => {
        cancel = this.after(ms - LONGEST_TIMER_MS, run)
      })
      return () => cancel()
    }
    const timer = setTimeout(run, Math.ceil(ms)) // it would cut the fraction off, and be early
    return () => clearTimeout(timer)
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal)
  }
}

interface Timer {
  at: number
  order: number
  run: () => void
  cancelled: boolean
}

/** 2030-01-01T00:00:00Z: where simulated wall time begins, so that a simulated timestamp is recognised at a glance. */
export const VIRTUAL_EPOCH_MS = 1_893_456_000_000

export interface VirtualLimits {
  /** Virtual ms after which the run is given up. */
  untilMs?: number
  /** Timers after which the run is given up: a loop that never ends is a finding, not a hang. */
  timers?: number
  /** Called before time jumps to `at` (monotonic ms); a screen paces or pauses a simulated run here. Must not touch the world. */
  pace?: (at: number) => Promise<void> | undefined
}

export class VirtualClock implements Clock {
  #time = 0
  #order = 0
  readonly #epoch: number
  readonly #heap: Timer[] = []

  constructor(epochMs = VIRTUAL_EPOCH_MS) {
    this.#epoch = epochMs
  }

  now(): number {
    return this.#epoch + Math.floor(this.#time)
  }

  monotonic(): number {
    return this.#time
  }

  after(ms: number, run: () => void): Cancel {
    const timer: Timer = { at: this.#time + Math.max(0, ms), order: this.#order++, run, cancelled: false }
    push(this.#heap, timer)
    return () => {
      timer.cancelled = true
    }
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal)
  }

  /**
   * Drives the simulated world until `work` settles, and answers what it answered.
   * Throws SIM_STUCK when nothing is left that could wake it, SIM_ENDLESS past a limit.
   */
  async run<T>(work: Promise<T>, limits: VirtualLimits = {}): Promise<T> {
    const untilMs = limits.untilMs ?? Number.POSITIVE_INFINITY
    let timersLeft = limits.timers ?? Number.POSITIVE_INFINITY
    let settled = false
    const done = () => {
      settled = true
    }
    work.then(done, done)
    for (;;) {
      await turn()
      if (settled) return work
      let timer = pop(this.#heap)
      while (timer?.cancelled) timer = pop(this.#heap) // most timers are timeouts that were not needed: they cost no turn
      if (!timer) throw new ResilError('SIM_STUCK', `the simulated world waits for nothing at ${this.#time} ms`, 'a promise was lost: run with --json and read the last events')
      if (timer.at > untilMs || timersLeft-- <= 0) throw new ResilError('SIM_ENDLESS', `the simulated world did not come to rest by ${timer.at} ms`, 'a loop without a bound: run with --json and read the last events')
      if (timer.at > this.#time) {
        const pause = limits.pace?.(timer.at)
        if (pause) await pause
        this.#time = timer.at
      }
      timer.run()
    }
  }
}

/** One turn of the event loop: every promise that can settle has settled when it resolves. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function before(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

function push(heap: Timer[], timer: Timer): void {
  let i = heap.length
  heap.push(timer)
  while (i > 0) {
    const parent = (i - 1) >> 1
    if (!before(timer, heap[parent]!)) break
    heap[i] = heap[parent]!
    i = parent
  }
  heap[i] = timer
}

function pop(heap: Timer[]): Timer | undefined {
  const top = heap[0]
  const last = heap.pop()
  if (!top || !last || heap.length === 0) return top
  let i = 0
  for (;;) {
    let child = 2 * i + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
    if (!before(heap[child]!, last)) break
    heap[i] = heap[child]!
    i = child
  }
  heap[i] = last
  return top
}

export interface NodeClockOptions {
  /** Added to wall time, ms. */
  skewMs?: number
  /** Rate of the node's own time: 1.01 runs one per cent fast. */
  drift?: number
}

/** One node's clock. After `kill` no timer of it fires any more: a dead process does nothing. */
export class NodeClock implements Clock {
  readonly #base: Clock
  #skewMs: number
  readonly #drift: number
  readonly #origin: number
  #dead = false
  #waiting: (() => void)[] | undefined

  constructor(base: Clock, options: NodeClockOptions = {}) {
    this.#base = base
    this.#skewMs = options.skewMs ?? 0
    this.#drift = options.drift ?? 1
    this.#origin = base.monotonic()
  }

  now(): number {
    return Math.floor(this.#base.now() + this.#skewMs + (this.#base.monotonic() - this.#origin) * (this.#drift - 1))
  }

  monotonic(): number {
    return this.#origin + (this.#base.monotonic() - this.#origin) * this.#drift
  }

  after(ms: number, run: () => void): Cancel {
    let cancelled = false
    const fire = () => {
      if (cancelled || this.#dead) return
      if (this.#waiting) this.#waiting.push(fire)
      else run()
    }
    const cancel = this.#base.after(ms / this.#drift, fire)
    return () => {
      cancelled = true
      cancel()
    }
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal)
  }

  /** Somebody sets the wall clock, by `ms` forward or back; monotonic time and timers do not notice. */
  step(ms: number): void {
    this.#skewMs += ms
  }

  /** Timers that come due wait for `resume`, like those of a stopped process. */
  pause(): void {
    this.#waiting ??= []
  }

  resume(): void {
    const due = this.#waiting ?? []
    this.#waiting = undefined
    for (const fire of due) fire()
  }

  kill(): void {
    this.#dead = true
    this.#waiting = undefined
  }
}

/** What `work` answered, or `undefined` once `ms` have passed; the work itself goes on. */
export async function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T | undefined> {
  let cancel: Cancel = () => {}
  const late = new Promise<undefined>((resolve) => {
    cancel = clock.after(ms, () => resolve(undefined))
  })
  try {
    return await Promise.race([work, late])
  } finally {
    cancel()
  }
}
