/**
 * Every remote call of the engine, behind what protects it and the service:
 *
 *   deadline ▷ bulkhead ▷ breaker ▷ call
 *
 * A pass is taken before anything durable is written: what a full bulkhead or an open breaker refuses leaves no trace and was never sent. Who may retry
 * does so with a budget from here. Look-ups and voids pass no breaker: they are how the truth is found when the bank is bad, and their back-off bounds them.
 */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Log } from '../../events.ts'
import type { HttpRequest, HttpResponse, Network, Outcome } from '../../network.ts'
import { parseJson } from '../../network.ts'
import type { Random } from '../../random.ts'
import { AdaptiveTimeout } from '../policies/adaptive-timeout.ts'
import type { Ambient, Pass as PolicyPass, PolicyEvent, Result } from '../policies/ambient.ts'
import type { BreakerSnapshot, BreakerState } from '../policies/breaker.ts'
import { Breaker } from '../policies/breaker.ts'
import { ATTEMPT_HEADER } from '../policies/deadline.ts'
import { profile } from '../policies/profile.ts'
import type { BudgetedCall } from '../policies/retry-budget.ts'
import { RetryBudget } from '../policies/retry-budget.ts'
import type { Store, Tx } from '../store/store.ts'
import type { Gauge } from './metrics.ts'
import { serviceOf } from './metrics.ts'
import type { Forced } from './operator.ts'
import type { Place } from './room.ts'
import { Room } from './room.ts'
import type { PaymentSettings } from './settings.ts'
import { SlowWatch } from './slow-watch.ts'

export type HopKind = 'fraud' | 'bank' | 'capture' | 'refund' | 'lookup' | 'void' | 'notify'

/** One call, and whom it is for. */
export interface HopCall {
  payment: string
  hop: HopKind
  /** `fraud`, `notification`, or a bank. */
  service: string
  /** From 1. */
  attempt: number
  /** Whose payment it is. */
  scope: string
  priority: 'live' | 'recovery' | 'queued'
}

/** Leave to call once. Whoever holds it calls, or leaves; leaving again does nothing. */
export interface Pass {
  call(request: HttpRequest, timeoutMs: number, bankKey?: string): Promise<Outcome<HttpResponse>>
  leave(): void
}

/** Why it was not called, in words, and in how many ms it is worth asking again. */
export interface Refusal {
  refused: string
  retryMs: number
}

export interface HopsSetup {
  clock: Clock
  random: Random
  network: Network
  store: Store
  log: Log
  settings: PaymentSettings
}

/** Breakers of one node: services times callers, where each caller has one. The one that was asked last stays. */
const BREAKERS_KEPT = 1000
/** Higher goes first when places are short; of each five, low ones leave one to the others. */
const PRIORITY = { live: 'high', recovery: 'low', queued: 'low' } as const
/** How much of what a call may take it may spend in a queue inside the service, before fewer are let in. */
const TOLERATED_SHARE = 0.1
/** Events of policies that are an event of the engine; those of each refused call are said as `hop.refused`. */
const SAID = /^(breaker\.(opened|half_opened|closed|forced_open|disabled|observed_only|trip_observed)|bulkhead\.limit_changed|retry_budget\.emptied)$/

interface BreakerRow {
  name: string
  snapshot: string | null
  forced: Forced | null
  updated_at: number
}

interface Guarded {
  breaker: Breaker
  /** How often it has moved, and up to which move that is durable. */
  moves: number
  saved: number
  /** What an operator wanted when it was last heeded. */
  forced: Forced | null
}

export class Hops {
  readonly #setup: HopsSetup
  readonly #ambient: Ambient
  readonly #breakers = new Map<string, Guarded>()
  readonly #rooms = new Map<string, Room>()
  readonly #budgets = new Map<string, RetryBudget>()
  readonly #watches = new Map<string, SlowWatch>()
  readonly #fraud: AdaptiveTimeout
  /** Moves that were written in a transaction that may not have committed yet. */
  #written: { guarded: Guarded; moves: number }[] = []

  constructor(setup: HopsSetup) {
    this.#setup = setup
    const { clock, random, settings } = setup
    this.#ambient = { clock, random: random.fork('policies'), on: (event) => this.#heard(event) }
    this.#fraud = new AdaptiveTimeout(this.#ambient, { name: 'fraud', floorMs: settings.fraudFloorMs, ceilingMs: settings.fraudTimeoutMs, frozen: () => (this.#breakers.get('fraud')?.breaker.state ?? 'closed') !== 'closed' })
  }

  /** What fraud is given: enough for all but one answer in a thousand, within its floor and its ceiling. */
  get fraudTimeoutMs(): number {
    return this.#setup.settings.guarded ? this.#fraud.ms : this.#setup.settings.fraudTimeoutMs
  }

  /** One operation on a bank that may be retried: ask it before each repeat, and end it. */
  budgeted(service: string): BudgetedCall {
    if (!this.#setup.settings.guarded) return { retry: () => true, end: () => {} }
    let budget = this.#budgets.get(service)
    if (!budget) this.#budgets.set(service, (budget = new RetryBudget(this.#ambient, { name: service })))
    return budget.enter()
  }

  /** Waits for a place for `waitMs` at most, and not for a client who has `gone`. */
  async enter(call: HopCall, waitMs: number, gone?: AbortSignal): Promise<Pass | Refusal> {
    if (!this.#setup.settings.guarded) return this.#pass(call, undefined, undefined)
    const room = this.#room(call)
    const place = await room.enter(PRIORITY[call.priority], waitMs, gone)
    if (!place && gone?.aborted) return { refused: 'the client left', retryMs: 0 }
    if (!place) return this.#refuse(call, 'bulkhead', 'too many are under way', room.retryAfterMs)
    const guarded = this.#breaker(call)
    const leave = guarded?.breaker.enter()
    if (guarded && !leave) {
      place.leave()
      const { breaker } = guarded
      return this.#refuse(call, 'breaker', `${call.service} is ${breaker.state === 'closed' ? 'coming back' : 'down'}`, breaker.retryAfterMs)
    }
    return this.#pass(call, place, leave)
  }

  /** The same in one: a call that was refused failed, and was never sent. */
  async call(call: HopCall, request: HttpRequest, timeoutMs: number, bankKey?: string): Promise<Outcome<HttpResponse>> {
    const started = this.#setup.clock.monotonic()
    const pass = await this.enter(call, timeoutMs / 2)
    if ('refused' in pass) return { kind: 'failed', error: new ResilError('REFUSED_HERE', pass.refused) }
    return pass.call(request, Math.max(1, timeoutMs - (this.#setup.clock.monotonic() - started)), bankKey)
  }

  /** In the sweep's transaction: writes what changed, and reads what operators and the nodes beside wrote. Give the answer to `heed`. */
  async tend(tx: Tx): Promise<BreakerRow[]> {
    await this.#save(tx)
    return tx.query<BreakerRow>('SELECT name, snapshot, forced, updated_at FROM breakers ORDER BY forced IS NULL, updated_at DESC LIMIT :most', { most: BREAKERS_KEPT })
  }

  /** Once what `tend` did is durable. */
  heed(rows: readonly BreakerRow[]): void {
    this.#saved()
    for (const { name, snapshot, forced } of rows) {
      const guarded = this.#breakers.get(name) ?? this.#named(name)
      if (guarded.forced !== forced) {
        guarded.forced = forced
        if (forced === 'open') guarded.breaker.forceOpen()
        else if (forced === 'disabled') guarded.breaker.disable()
        else if (forced === 'metrics_only') guarded.breaker.metricsOnly()
        else guarded.breaker.reset()
      } else if (forced === null && snapshot !== null) guarded.breaker.restore(parseJson(snapshot))
    }
  }

  /** The last word of this life. */
  async save(): Promise<void> {
    if (![...this.#breakers.values()].some(({ moves, saved }) => moves > saved)) return
    await this.#setup.store.transaction('breakers', (tx) => this.#save(tx))
    this.#saved()
  }

  gauges(): Gauge[] {
    const each = <T>(of: Map<string, T>, value: (one: T) => number) => [...of].map(([service, one]) => ({ labels: { service }, value: value(one) }))
    const breakers = new Map<string, Breaker[]>()
    for (const [name, { breaker }] of this.#breakers) {
      const own = breakers.get(serviceOf(name))
      if (own) own.push(breaker)
      else breakers.set(serviceOf(name), [breaker])
    }
    const windows = new Map([...breakers].map(([service, own]) => [service, own.map((breaker) => breaker.metrics())]))
    const sum = (field: 'calls' | 'failures' | 'slow') => each(windows, (own) => own.reduce((all, window) => all + window[field], 0))
    const STATES: readonly BreakerState[] = ['closed', 'half-open', 'open', 'forced-open', 'disabled', 'metrics-only']
    return [
      { name: 'breaker_state', help: 'breakers in each state: one a service, or one a service and caller', series: [...breakers].flatMap(([service, own]) => STATES.map((state) => ({ labels: { service, state }, value: own.filter((breaker) => breaker.state === state).length }))) },
      { name: 'breaker_window_calls', help: 'calls by which breakers judge now', series: sum('calls') },
      { name: 'breaker_window_failures', help: 'those of them that failed', series: sum('failures') },
      { name: 'breaker_window_slow', help: 'those of them that were slow', series: sum('slow') },
      { name: 'bulkhead_in_flight', help: 'calls that are under way', series: each(this.#rooms, (room) => room.inFlight) },
      { name: 'bulkhead_limit', help: 'calls that may be under way', series: each(this.#rooms, (room) => room.limit) },
      { name: 'bulkhead_waiting', help: 'calls that wait for a place', series: each(this.#rooms, (room) => room.waiting) },
      { name: 'retry_budget_in_flight', help: 'calls that are repeats', series: each(this.#budgets, (budget) => budget.retrying) },
      { name: 'retry_budget_left', help: 'calls that may become repeats now', series: each(this.#budgets, (budget) => budget.left) },
      { name: 'retries_denied_total', type: 'counter', help: 'repeats that the budget denied', series: each(this.#budgets, (budget) => budget.denied) },
    ]
  }

  async #save(tx: Tx): Promise<void> {
    const now = this.#setup.clock.now()
    this.#written = []
    for (const [name, guarded] of [...this.#breakers]) {
      if (guarded.moves === guarded.saved) continue
      this.#written.push({ guarded, moves: guarded.moves })
      if (guarded.forced !== null) continue
      const snapshot: BreakerSnapshot = guarded.breaker.snapshot()
      // What another node wrote later is the truth: it is read next, and taken over.
      await tx.query(
        `INSERT INTO breakers (name, snapshot, updated_at)
         VALUES (:name, :snapshot, :now)
         ON CONFLICT (name) DO UPDATE SET snapshot = :snapshot, updated_at = :now
         WHERE breakers.snapshot IS NULL OR json_extract(breakers.snapshot, '$.changedAt') <= :changedAt`,
        { name, snapshot: JSON.stringify(snapshot), changedAt: snapshot.changedAt, now },
      )
    }
  }

  #saved(): void {
    for (const { guarded, moves } of this.#written) guarded.saved = moves
    this.#written = []
  }

  #pass(call: HopCall, place: Place | undefined, leave: PolicyPass | undefined): Pass {
    let over = false
    const once = (end: () => void) => {
      if (over) return
      over = true
      end()
    }
    const ended = (result: Result, elapsedMs: number, timedOut: boolean) =>
      once(() => {
        place?.end(result, elapsedMs, timedOut)
        leave?.end(result, elapsedMs)
      })
    return {
      call: (request, timeoutMs, bankKey) => this.#send(call, request, timeoutMs, bankKey, ended),
      leave: () =>
        once(() => {
          place?.leave()
          leave?.end('ignored', 0)
        }),
    }
  }

  async #send(call: HopCall, request: HttpRequest, timeoutMs: number, bankKey: string | undefined, ended: (result: Result, elapsedMs: number, timedOut: boolean) => void): Promise<Outcome<HttpResponse>> {
    const { clock, network, log } = this.#setup
    const { payment, hop, service, attempt } = call
    log.emit('hop.started', { payment, hop, service, attempt, timeoutMs: Math.floor(timeoutMs), bankKey: bankKey ?? null })
    const start = clock.monotonic()
    const outcome = await network.call(service, attempt > 1 ? { ...request, headers: { ...request.headers, [ATTEMPT_HEADER]: String(attempt) } } : request, { timeoutMs })
    const ms = clock.monotonic() - start
    const result = resultOf(outcome)
    const detail = outcome.kind === 'ok' ? '' : outcome.error.code
    ended(result, ms, detail === 'TIMEOUT')
    log.emit('hop.ended', { payment, hop, service, attempt, outcome: outcome.kind, status: outcome.kind === 'ok' ? outcome.value.status : 0, detail, ms: Math.round(ms * 10) / 10 })
    if (hop === 'fraud' && result === 'ok') this.#fraud.succeeded(ms)
    else if (hop === 'fraud' && detail === 'TIMEOUT') this.#fraud.timedOut(timeoutMs)
    if (hop === 'bank') this.#watch(service).record(ms, start + ms)
    return outcome
  }

  #refuse({ payment, hop, service, attempt }: HopCall, by: 'bulkhead' | 'breaker', refused: string, retryMs: number): Refusal {
    this.#setup.log.emit('hop.refused', { payment, hop, service, attempt, by, retryMs: Math.ceil(retryMs) })
    return { refused, retryMs: Math.ceil(retryMs) }
  }

  #breaker({ hop, service, scope }: HopCall): Guarded | undefined {
    if (hop === 'lookup' || hop === 'void') return undefined
    const one = this.#setup.settings.breakerScope === 'merchant' && hop !== 'notify' && hop !== 'fraud'
    return this.#named(one ? `${service}/${scope}` : service)
  }

  #named(name: string): Guarded {
    const known = this.#breakers.get(name)
    if (known) {
      this.#breakers.delete(name)
      this.#breakers.set(name, known) // the last now
      return known
    }
    const { settings } = this.#setup
    const { windowMs, windowCalls, slowMs, ...rest } = settings.breaker
    if (this.#breakers.size >= BREAKERS_KEPT) this.#breakers.delete(this.#breakers.keys().next().value!)
    const breaker = new Breaker(this.#ambient, { ...rest, name, window: windowCalls === undefined ? { ms: windowMs } : { calls: windowCalls }, probeMs: settings.deadlineMs, ...(settings.acquirers.some((bank) => name.startsWith(bank)) ? { slowCallMs: slowMs } : {}) })
    const made: Guarded = { breaker, moves: 0, saved: 0, forced: null }
    this.#breakers.set(name, made)
    return made
  }

  #room({ hop, service }: HopCall): Room {
    const name = hop === 'lookup' || hop === 'void' ? `${service}/recovery` : service
    const known = this.#rooms.get(name)
    if (known) return known
    const { bulkhead, lookupParallel, notifyParallel, deadlineMs, reserveMs, commitMs, fraudTimeoutMs } = this.#setup.settings
    const { floor, ceiling, profile: rows, queue, waitMs = Number.POSITIVE_INFINITY } = bulkhead
    const longestMs = hop === 'fraud' ? fraudTimeoutMs : deadlineMs - reserveMs - commitMs
    const limit = name !== service ? lookupParallel : hop === 'notify' ? notifyParallel : { floor, ceiling: profile(rows, ceiling), toleratedMs: TOLERATED_SHARE * longestMs }
    // Who looks up or notifies has time; a payer's is missing at the bank.
    const made = new Room(this.#ambient, { name, limit, queue, waitMs: typeof limit === 'number' ? Number.POSITIVE_INFINITY : waitMs })
    this.#rooms.set(name, made)
    return made
  }

  #watch(service: string): SlowWatch {
    let watch = this.#watches.get(service)
    if (!watch) {
      const { deadlineMs, reserveMs, commitMs } = this.#setup.settings
      watch = new SlowWatch(deadlineMs - reserveMs - commitMs, (warning) => this.#setup.log.emit('dependency.warned', { service, ...warning }))
      this.#watches.set(service, watch)
    }
    return watch
  }

  #heard({ type, policy, ...fields }: PolicyEvent): void {
    if (type.startsWith('breaker.') && type !== 'breaker.rejected') {
      const guarded = this.#breakers.get(policy)
      if (guarded) guarded.moves++
    }
    if (SAID.test(type)) this.#setup.log.emit(type, { service: policy, ...fields })
  }
}

/** What an outcome says of the service. What a client did wrong, and what it may not have, says nothing. */
function resultOf(outcome: Outcome<HttpResponse>): Result {
  if (outcome.kind !== 'ok') return outcome.error.code === 'ABORTED' ? 'ignored' : 'failure'
  const { status, body } = outcome.value
  if (status >= 500 || status === 408) return 'failure'
  if (status >= 400) return 'ignored'
  return status < 300 && body !== '' && !/^\s*[{[]/.test(body) ? 'failure' : 'ok' // a page in the place of an answer
}
