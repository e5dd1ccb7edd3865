/**
 * A breaker stops calling what has all but ceased to answer, and finds out by few calls when it answers again.
 *
 *                 rate reached, over the minimum of calls
 *     ┌──────── closed ────────────────────────────▶ open ◀───────────┐
 *     │            ▲                                   │ its time is  │ probes failed,
 *     │            │ enough probes went well;          │ up, and      │ or were not
 *     │            │ callers come back over rampMs     ▼ one calls    │ heard of
 *     │            └────────────────────────────── half-open ─────────┘
 *     └─▶ by hand: forced-open (nobody passes), disabled (all pass, nothing is counted), metrics-only (all pass, it says when it would have opened)
 *
 * It keeps no timer: what time has brought about is found by the next caller. Each move begins a new generation; a pass of an older one ends without a trace.
 */
import { ResilError } from '../../errors.ts'
import type { Ambient, Pass, Result } from './ambient.ts'
import { checkRange } from './ambient.ts'
import { CountWindow, MOST_COUNTED, TimeWindow } from './window.ts'
import type { SavedWindow, Window } from './window.ts'

export interface BreakerOptions {
  /** For events. Default 'breaker'. */
  name?: string
  /** What is looked at: the last `calls` (1 to 512), or the last `ms`. Default the last 30 s. */
  window?: { calls: number } | { ms: number }
  /** It never opens on less than this many calls in the window. Default 20, or all of a smaller window. */
  minimumCalls?: number
  /** It opens when this share of the calls failed, (0, 1]. Default 0.9: while half of the calls succeed a bulkhead serves users better than a breaker. */
  failureRate?: number
  /** A call that took this long, ms, is slow, whatever it answered. Default: none is. */
  slowCallMs?: number
  /** It opens when this share of the calls was slow, (0, 1]. Default 0.9. */
  slowRate?: number
  /** How long it stays open at first, ms. Default 5000. */
  openMs?: number
  /** Each further opening without a full recovery in between takes this times as long, >= 1. Default 1: always openMs. */
  openGrowth?: number
  /** The most that growth leads to, ms. Default 60,000. */
  openCapMs?: number
  /** Up to this share is added to each opening by chance, so that many processes do not probe together, [0, 1]. Default 0.1. */
  openJitter?: number
  /** How many calls a half-open breaker lets through, and judges by the same rates, 1 to 100. Default 5. */
  probes?: number
  /** A probe that has not ended after this counts as failed, and its place is free, ms. Default 10,000. */
  probeMs?: number
  /** After closing, callers come back over this time, from a tenth to all, ms; 0 lets all in at once. Default 2000. */
  rampMs?: number
}

export type BreakerSettings = Required<BreakerOptions>

type State =
  /** Until `fullAt` a growing share passes; 0 once the ramp has ended. `credit` is what the share has added up to. */
  | { kind: 'closed'; fullAt: number; credit: number }
  | { kind: 'open'; untilAt: number }
  /** A place holds the point at which its probe expires; 0 is free. */
  | { kind: 'half-open'; places: number[]; ended: number; failed: number; slow: number }
  | { kind: 'forced-open' | 'disabled' | 'metrics-only' }

export type BreakerState = State['kind']

/** Plain JSON, for a store. Points are wall time, so that another process, or the next life of this one, can read them. */
export interface BreakerSnapshot {
  state: BreakerState
  /** When it moved there, ms since 1970. */
  changedAt: number
  /** When an open one lets a probe through, ms since 1970; 0 otherwise. */
  untilAt: number
  /** Openings since the last full recovery. */
  openings: number
  /** When the snapshot was taken, ms since 1970. */
  at: number
  window: SavedWindow
}

const STATES: readonly BreakerState[] = ['closed', 'open', 'half-open', 'forced-open', 'disabled', 'metrics-only']

/** The share of callers that the ramp begins with. */
const FIRST_SHARE = 0.1
/** Not a place of a half-open breaker. */
const NO_PLACE = -1

export class Breaker {
  readonly #ambient: Ambient
  readonly #settings: BreakerSettings
  readonly #window: Window
  #state: State = { kind: 'closed', fullAt: 0, credit: 0 }
  #generation = 0
  #openings = 0
  #changedAt = 0

  /** `settings` are what `breakerSettings` has made of options: a registry's breakers share them. */
  constructor(ambient: Ambient, options: BreakerOptions = {}, settings: BreakerSettings = breakerSettings(options)) {
    this.#ambient = ambient
    this.#settings = settings
    this.#window = 'calls' in settings.window ? new CountWindow(settings.window.calls) : new TimeWindow(settings.window.ms)
  }

  get name(): string {
    return this.#settings.name
  }

  /** As of its last caller: an open breaker whose time is up is open until somebody calls. */
  get state(): BreakerState {
    return this.#state.kind
  }

  /** Leave for one call, or undefined: then `retryAfterMs` says when it is worth asking again. `now` spares a reading of the clock (monotonic ms). */
  enter(now?: number): Pass | undefined {
    const state = this.#state
    if (state.kind === 'closed' && state.fullAt === 0) return new BreakerPass(this, this.#generation, NO_PLACE, 0)
    return this.#enterWith(now ?? this.#ambient.clock.monotonic())
  }

  #enterWith(now: number): Pass | undefined {
    const state = this.#state
    switch (state.kind) {
      case 'disabled':
      case 'metrics-only':
        return new BreakerPass(this, this.#generation, NO_PLACE, 0)
      case 'forced-open':
        return this.#reject(now)
      case 'closed':
        return this.#ramps(state, now) ? this.#reject(now) : new BreakerPass(this, this.#generation, NO_PLACE, 0)
      case 'open':
        if (now < state.untilAt) return this.#reject(now)
        this.#become({ kind: 'half-open', places: new Array<number>(this.#settings.probes).fill(0), ended: 0, failed: 0, slow: 0 })
        return this.#probe(now)
      case 'half-open':
        return this.#probe(now)
    }
  }

  /** Whether the ramp holds this caller back. No chance in it: shares add up, and each whole one is a caller. */
  #ramps(state: State & { kind: 'closed' }, now: number): boolean {
    if (state.fullAt === 0) return false
    if (now >= state.fullAt) {
      state.fullAt = 0
      this.#openings = 0
      return false
    }
    state.credit += Math.max(FIRST_SHARE, 1 - (state.fullAt - now) / this.#settings.rampMs)
    if (state.credit < 1) return true
    state.credit -= 1
    return false
  }

  #probe(now: number): Pass | undefined {
    let state = this.#state
    if (state.kind !== 'half-open') return undefined
    for (const [place, expiresAt] of state.places.entries()) {
      if (expiresAt === 0 || expiresAt > now) continue
      state.places[place] = 0
      this.#judge(true, false, now)
      if (this.#state !== state) return this.#reject(now)
    }
    const free = state.places.indexOf(0)
    const busy = state.places.reduce((count, expiresAt) => count + (expiresAt === 0 ? 0 : 1), 0)
    if (free === -1 || busy + state.ended >= this.#settings.probes) return this.#reject(now)
    const expiresAt = now + this.#settings.probeMs
    state.places[free] = expiresAt
    return new BreakerPass(this, this.#generation, free, expiresAt)
  }

  #reject(now: number): undefined {
    this.#ambient.on?.({ type: 'breaker.rejected', policy: this.name, state: this.#state.kind, retryAfterMs: this.retryAfter(now) })
    return undefined
  }

  /** In how many ms a caller may be let in; 0 when one would be now. Nobody knows when a hand opens what it forced: then it says openMs. */
  get retryAfterMs(): number {
    return this.retryAfter(this.#ambient.clock.monotonic())
  }

  /** The same, with a reading of the clock that has been made. */
  retryAfter(now: number): number {
    const state = this.#state
    switch (state.kind) {
      case 'open':
        return Math.max(0, Math.ceil(state.untilAt - now))
      case 'forced-open':
        return this.#settings.openMs
      case 'half-open': {
        const busy = state.places.filter((expiresAt) => expiresAt !== 0)
        return busy.length + state.ended < this.#settings.probes ? 0 : Math.max(0, Math.ceil(Math.min(...busy) - now))
      }
      case 'closed':
        return state.fullAt === 0 ? 0 : Math.max(0, Math.ceil(state.fullAt - now))
      default:
        return 0
    }
  }

  /** What a pass calls when it ends. A pass of an older generation, or whose place has expired, counts nothing. */
  settle(generation: number, place: number, expiresAt: number, result: Result, elapsedMs: number, now: number | undefined): void {
    if (generation !== this.#generation || this.#state.kind === 'disabled') return
    const state = this.#state
    if (state.kind === 'half-open') {
      if (state.places[place] !== expiresAt) return
      state.places[place] = 0
    }
    if (result === 'ignored') return
    const at = now ?? this.#ambient.clock.monotonic()
    const slow = elapsedMs >= this.#settings.slowCallMs
    if (state.kind === 'half-open') {
      this.#judge(result === 'failure', slow, at)
      return
    }
    this.#window.add(result === 'failure', slow, at)
    this.#tripAt(at)
  }

  #tripAt(now: number): void {
    const { calls, failures, slow } = this.#window
    const { minimumCalls, failureRate, slowRate } = this.#settings
    if (calls < minimumCalls || (failures / calls < failureRate && slow / calls < slowRate)) return
    const why = failures / calls >= failureRate ? 'failures' : 'slow'
    if (this.#state.kind === 'metrics-only') {
      this.#ambient.on?.({ type: 'breaker.trip_observed', policy: this.name, why, calls, failures, slow })
      this.#window.clear()
    } else {
      this.#open(why, now)
    }
  }

  /** One probe has ended. It opens, or closes, as soon as those that are missing could not change it. */
  #judge(failed: boolean, slow: boolean, now: number): void {
    const state = this.#state
    if (state.kind !== 'half-open') return
    const { probes, failureRate, slowRate, rampMs } = this.#settings
    state.ended++
    if (failed) state.failed++
    if (slow) state.slow++
    const missing = probes - state.ended
    if (state.failed / probes >= failureRate || state.slow / probes >= slowRate) this.#open('probes', now)
    else if ((state.failed + missing) / probes < failureRate && (state.slow + missing) / probes < slowRate) this.#become({ kind: 'closed', fullAt: rampMs === 0 ? 0 : now + rampMs, credit: 1 })
  }

  #open(why: 'failures' | 'slow' | 'probes', now: number): void {
    const { openMs, openGrowth, openCapMs, openJitter } = this.#settings
    this.#openings++
    const grownMs = Math.min(openCapMs, openMs * openGrowth ** (this.#openings - 1))
    const forMs = grownMs * (1 + (openJitter === 0 ? 0 : openJitter * this.#ambient.random.next()))
    this.#become({ kind: 'open', untilAt: now + forMs }, why)
  }

  /** The one place where the state changes. Whatever was begun before belongs to an older generation. */
  #become(next: State, why?: string): void {
    const { calls, failures, slow } = this.#window
    this.#state = next
    this.#generation++
    this.#changedAt = Math.max(this.#changedAt + 1, this.#ambient.clock.now())
    this.#window.clear()
    if (next.kind === 'closed' && next.fullAt === 0) this.#openings = 0
    this.#ambient.on?.({ type: `breaker.${EVENTS[next.kind]}`, policy: this.name, ...(why === undefined ? {} : { why, calls, failures, slow }), retryAfterMs: this.retryAfterMs })
  }

  /** By hand: nobody passes until `reset`, `disable` or `metricsOnly`. */
  forceOpen(): void {
    this.#become({ kind: 'forced-open' }, 'hand')
  }

  /** By hand: everybody passes, and nothing is counted. */
  disable(): void {
    this.#become({ kind: 'disabled' }, 'hand')
  }

  /** By hand: everybody passes, calls are counted, and `breaker.trip_observed` says when it would have opened. How to try settings on live traffic. */
  metricsOnly(): void {
    this.#become({ kind: 'metrics-only' }, 'hand')
  }

  /** By hand: closed, with nothing remembered and no ramp. */
  reset(): void {
    this.#become({ kind: 'closed', fullAt: 0, credit: 0 }, 'hand')
  }

  /** What the window holds now. */
  metrics(): { calls: number; failures: number; slow: number } {
    this.#window.forget(this.#ambient.clock.monotonic())
    const { calls, failures, slow } = this.#window
    return { calls, failures, slow }
  }

  /** A half-open breaker is saved as one whose open time is up: its probes belong to this process. */
  snapshot(): BreakerSnapshot {
    const { clock } = this.#ambient
    const [wall, now] = [clock.now(), clock.monotonic()]
    const state = this.#state
    const untilAt = state.kind === 'open' ? wall + Math.ceil(state.untilAt - now) : state.kind === 'half-open' ? wall : 0
    return { state: state.kind === 'half-open' ? 'open' : state.kind, changedAt: this.#changedAt, untilAt, openings: this.#openings, at: wall, window: this.#window.save(now) }
  }

  /**
   * Takes over what another life, or a sibling process, has saved; answers whether it did. The later change wins: a snapshot that is not newer than this
   * breaker's own last move is left, and so is one that is not a snapshot. A new breaker has not moved yet and takes any.
   * Wall clocks of the processes must agree to some seconds; a wrong one cannot hold it open for longer than openCapMs and its jitter.
   */
  restore(snapshot: unknown): boolean {
    if (!isSnapshot(snapshot) || (this.#changedAt > 0 && snapshot.changedAt <= this.#changedAt)) return false
    const { clock } = this.#ambient
    const [wall, now] = [clock.now(), clock.monotonic()]
    this.#openings = snapshot.openings
    this.#become(this.#restored(snapshot, wall, now), 'restored')
    this.#changedAt = snapshot.changedAt
    this.#window.load(snapshot.window, wall - snapshot.at, now)
    return true
  }

  #restored({ state, untilAt }: BreakerSnapshot, wall: number, now: number): State {
    const { openMs, openCapMs, openJitter } = this.#settings
    if (state === 'closed') return { kind: 'closed', fullAt: 0, credit: 0 }
    if (state !== 'open' && state !== 'half-open') return { kind: state }
    const longestMs = Math.max(openMs, openCapMs) * (1 + openJitter)
    return { kind: 'open', untilAt: now + Math.min(longestMs, Math.max(0, untilAt - wall)) }
  }
}

const EVENTS: Record<BreakerState, string> = { closed: 'closed', open: 'opened', 'half-open': 'half_opened', 'forced-open': 'forced_open', disabled: 'disabled', 'metrics-only': 'observed_only' }

class BreakerPass implements Pass {
  #breaker: Breaker | undefined
  readonly #generation: number
  readonly #place: number
  readonly #expiresAt: number

  constructor(breaker: Breaker, generation: number, place: number, expiresAt: number) {
    this.#breaker = breaker
    this.#generation = generation
    this.#place = place
    this.#expiresAt = expiresAt
  }

  end(result: Result, elapsedMs: number, now?: number): void {
    const breaker = this.#breaker
    this.#breaker = undefined
    breaker?.settle(this.#generation, this.#place, this.#expiresAt, result, elapsedMs, now)
  }
}

/** Options with their defaults, checked. Throws INVALID_POLICY. */
export function breakerSettings(options: BreakerOptions): BreakerSettings {
  const window = options.window ?? { ms: 30_000 }
  const settings: BreakerSettings = {
    name: options.name ?? 'breaker',
    window,
    minimumCalls: options.minimumCalls ?? ('calls' in window ? Math.min(20, window.calls) : 20),
    failureRate: options.failureRate ?? 0.9,
    slowCallMs: options.slowCallMs ?? Number.POSITIVE_INFINITY,
    slowRate: options.slowRate ?? 0.9,
    openMs: options.openMs ?? 5000,
    openGrowth: options.openGrowth ?? 1,
    openCapMs: options.openCapMs ?? 60_000,
    openJitter: options.openJitter ?? 0.1,
    probes: options.probes ?? 5,
    probeMs: options.probeMs ?? 10_000,
    rampMs: options.rampMs ?? 2000,
  }
  if ('calls' in window) {
    checkRange('window.calls', window.calls, 1, MOST_COUNTED)
    if (settings.minimumCalls > window.calls) throw new ResilError('INVALID_POLICY', `minimumCalls is ${settings.minimumCalls}, and the window holds ${window.calls} calls`, 'a window must hold at least minimumCalls')
  } else {
    checkRange('window.ms', window.ms, 10, 86_400_000)
  }
  checkRange('minimumCalls', settings.minimumCalls, 1, 1e6)
  checkRange('failureRate', settings.failureRate, 1e-6, 1)
  checkRange('slowCallMs', settings.slowCallMs, 0, Number.POSITIVE_INFINITY)
  checkRange('slowRate', settings.slowRate, 1e-6, 1)
  checkRange('openMs', settings.openMs, 1, 86_400_000)
  checkRange('openGrowth', settings.openGrowth, 1, 100)
  checkRange('openCapMs', settings.openCapMs, 1, 86_400_000)
  checkRange('openJitter', settings.openJitter, 0, 1)
  checkRange('probes', settings.probes, 1, 100)
  checkRange('probeMs', settings.probeMs, 1, 86_400_000)
  checkRange('rampMs', settings.rampMs, 0, 86_400_000)
  return settings
}

function isSnapshot(value: unknown): value is BreakerSnapshot {
  const snapshot = value as Partial<BreakerSnapshot> | null
  return (
    typeof snapshot === 'object' && snapshot !== null && STATES.includes(snapshot.state!) && typeof snapshot.window === 'object' && snapshot.window !== null &&
    [snapshot.changedAt, snapshot.untilAt, snapshot.openings, snapshot.at].every((number) => Number.isFinite(number))
  )
}
