/**
 * Weather: how a mock fares in a storm, so that policies before it can be compared under the same one.
 *
 *   work ──▶ a slot is free? ── yes ──▶ its fate: done after ms, or failed at once or after ms ──▶ answer
 *                 └── no ──▶ queue (bounded; done later, whether or not the client still waits) ── full: 503, not done
 *
 * Works with an effect are in it; look-ups, replays and refusals are not, nor what a lie answers at once. Fates are drawn from the weather's own seed by
 * the number of the work, in the order of arrival, counted from 1 when the weather begins and without those that were refused: the n-th work has the same
 * fate whatever policy sent it.
 */
import type { Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Log } from '../events.ts'
import { problem } from '../network.ts'
import type { HttpResponse } from '../network.ts'
import { Random } from '../random.ts'
import type { Weather } from '../scenario.ts'
import type { Work } from './mock.ts'

/** Five times p99 cuts off one draw in a hundred thousand of a storm's latencies, so that "as long as it can take" is a number. */
const TAIL_P99S = 5

/** What becomes of a work, and how long its slot is taken. */
export interface Fate {
  done: boolean
  ms: number
}

/** The fate of the `ordinal`-th work, from 1; nothing but its arguments decides it. */
export function fateOf({ seed, failing, failsAtOnce, failsAfterMs, latency: { p50, p99 } }: Weather, ordinal: number): Fate {
  const random = Random.seeded(`weather/${seed}/${ordinal}`)
  if (random.next() < failing) return { done: false, ms: random.next() < failsAtOnce ? 0 : failsAfterMs }
  return { done: true, ms: p50 === 0 ? 0 : Math.min(random.logNormal(p50, p99), TAIL_P99S * p99) }
}

export class Slots {
  readonly #mock: string
  readonly #clock: Clock
  readonly #log: Log
  #weather: Weather | null = null
  #ordinal = 0
  #busy = 0
  /** In the order of arrival. */
  #waiting: (() => void)[] = []

  constructor(mock: string, clock: Clock, log: Log) {
    this.#mock = mock
    this.#clock = clock
    this.#log = log
  }

  /** From now on; null is the usual weather. Works that wait go on as the new one has it. Throws INVALID_WEATHER. */
  change(weather: Weather | null): void {
    if (weather) refuseSenseless(weather)
    this.#weather = weather
    this.#ordinal = 0
    this.#admit()
  }

  /** `usualMs` is what it takes in the usual weather. */
  async carryOut(work: Work, usualMs: () => number): Promise<HttpResponse> {
    const weather = this.#weather
    if (!weather || !work.fail || work.waitMs === 0) {
      const ms = work.waitMs ?? usualMs()
      if (ms > 0) await this.#clock.sleep(ms)
      return work.finish()
    }
    if (this.#busy >= weather.slots && this.#waiting.length >= weather.queue) {
      work.fail()
      this.#log.emit(`${this.#mock}.worked`, { ordinal: 0, ms: 0, queuedMs: 0, outcome: 'refused' })
      return problem(503, 'busy', 'too much is waiting here already; nothing was done', { code: 'busy' }, { 'retry-after': '1' })
    }
    const ordinal = ++this.#ordinal
    const arrivedAt = this.#clock.monotonic()
    if (this.#busy < weather.slots) this.#busy++
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    const queuedMs = this.#clock.monotonic() - arrivedAt
    // A lie that takes its time has decided the work already.
    const { done, ms } = work.waitMs === undefined ? fateOf(weather, ordinal) : { done: true, ms: work.waitMs }
    if (ms > 0) await this.#clock.sleep(ms)
    this.#log.emit(`${this.#mock}.worked`, { ordinal, ms, queuedMs, outcome: done ? 'done' : 'failed' })
    try {
      return done ? work.finish() : work.fail()
    } finally {
      this.#busy--
      this.#admit()
    }
  }

  #admit(): void {
    while (this.#waiting.length > 0 && this.#busy < (this.#weather?.slots ?? Number.POSITIVE_INFINITY)) {
      this.#busy++
      this.#waiting.shift()!()
    }
  }
}

function refuseSenseless({ slots, queue, latency: { p50, p99 }, failing, failsAtOnce, failsAfterMs }: Weather): void {
  const share = (n: number) => n >= 0 && n <= 1
  const whole = (n: number, least: number) => Number.isSafeInteger(n) && n >= least
  const takes = p50 >= 0 && p99 >= p50 && Number.isFinite(p99) && (p50 > 0 || p99 === 0)
  if (whole(slots, 1) && whole(queue, 0) && takes && share(failing) && share(failsAtOnce) && failsAfterMs >= 0 && Number.isFinite(failsAfterMs)) return
  throw new ResilError('INVALID_WEATHER', 'the numbers of this weather make no sense', 'slots from 1, queue from 0, 0 < p50 <= p99 ms, shares from 0 to 1, failsAfterMs from 0')
}

/** One storm, and who asked for what when. */
export interface Storm {
  /** When each payment begins, ms, in any order. */
  arrivals: readonly number[]
  slots: number
  fateOf: (ordinal: number) => Fate
  /** How long after its arrival a payment must be paid. */
  deadlineMs: number
  /** How often one payment may ask the bank; 1 when absent. */
  callsPerPayment?: number
}

/**
 * The most payments that any policy before the bank could have had paid in time: an upper bound, from the bank's side alone.
 *
 * The bank takes works in the order of their arrival, and the n-th cannot arrive before the first ceil(n / callsPerPayment) payments have. So no policy
 * starts the n-th work earlier than a queue does that is fed at just those times (a queue with several slots that serves in order starts everything later
 * when anything arrives later: Kiefer and Wolfowitz, 1955). A work that starts at `s` and is done after `ms` pays a payment in time only if that one arrived
 * at `s + ms - deadlineMs` or later. The answer is the largest number of pairs of a done work and a payment that satisfy this, each in one pair.
 *
 * What makes it a bound and not the exact number: it lets every work start at its earliest, also where the payment that it serves arrives after that. It holds
 * for every policy, also for one that knows the future; it supposes that the storm lasts as long as the works it counts, and that nothing but these
 * payments has effects at the bank.
 */
export function mostInTime({ arrivals, slots, fateOf: fate, deadlineMs, callsPerPayment = 1 }: Storm): number {
  const payments = arrivals.toSorted((a, b) => a - b)
  const over = (payments.at(-1) ?? 0) + deadlineMs
  const freeAt = new Array<number>(slots).fill(Number.NEGATIVE_INFINITY)
  /** For each work that is done: the earliest arrival of a payment that it serves in time. */
  const servesFrom: number[] = []
  for (let n = 1; n <= payments.length * callsPerPayment; n++) {
    let slot = 0
    for (let other = 1; other < slots; other++) if (freeAt[other]! < freeAt[slot]!) slot = other
    const start = Math.max(freeAt[slot]!, payments[Math.ceil(n / callsPerPayment) - 1]!)
    if (start > over) break
    const { done, ms } = fate(n)
    freeAt[slot] = start + ms
    if (done && ms <= deadlineMs) servesFrom.push(start + ms - deadlineMs)
  }
  servesFrom.sort((a, b) => a - b)
  let paid = 0
  for (const arrival of payments) if (paid < servesFrom.length && servesFrom[paid]! <= arrival) paid++
  return paid
}
