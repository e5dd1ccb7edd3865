/** The contract of a scenario, and the narrow world that it drives. */
import type { Clock } from './clock.ts'
import type { Event, Fields, Log } from './events.ts'
import type { HttpRequest, HttpResponse, Outcome } from './network.ts'
import type { Random } from './random.ts'

/** One fault rule on one link, as the scenario, the command line and the control API all give it. */
export interface ToxicSpec {
  /** The link it is on: the name of the service behind it. */
  link: string
  /** The toxic's name on the wire. */
  type: string
  /** Unique per link; `type_stream` when absent. */
  name?: string
  stream?: 'upstream' | 'downstream'
  /** Probability per connection, 0..1. */
  toxicity?: number
  /** The toxic's own attributes and the targeting ones (method, path, first, after, every, times, probability). */
  attributes?: Record<string, number | string>
}

/** How a service fares in a storm. */
export interface Weather {
  /** Works that it does at once; what comes beyond waits in its queue, and is done though its client has gone. */
  slots: number
  /** Works that may wait; what comes beyond is refused with 503 and not done. */
  queue: number
  /** Of the works that are done: log-normal with these percentiles, ms. */
  latency: { p50: number; p99: number }
  /** Share of works that fail and are not done, 0..1; of these, `failsAtOnce` (0..1) fail at once and the others after `failsAfterMs`. */
  failing: number
  failsAtOnce: number
  failsAfterMs: number
  /** Decides the fate of each work by its number: the same storm, whatever policy stands before it. */
  seed: number
}

/** The cells of the failure matrix. */
export type Component = 'client' | 'engine' | 'store' | 'fraud' | 'bank' | 'notification' | 'network' | 'clock' | 'job'
export type FailureMode = 'crash' | 'omission' | 'timing' | 'byzantine'

/** What every scenario says of itself, whatever world it drives. */
export interface ScenarioFacts {
  /** kebab-case; also its flag. Acceptance scenarios carry their id: `D1`, `U6`, `C-05`. */
  name: string
  /** A fragment, lower case: what happens and what must come of it. */
  summary: string
  engine: 'payment' | 'webhook' | 'cron'
  /** Invariants that judge it, by name. */
  invariants: readonly string[]
  /** Faults that are there from the start. One that never fires makes the run undecided. */
  toxics: readonly ToxicSpec[]
  /** The cells of the failure matrix that it proves. */
  failures: readonly { component: Component; mode: FailureMode }[]
  /** Overrides of the engine's settings, and of the number of nodes. */
  settings?: Record<string, unknown>
  nodes?: number
  /** How the bank is to be; see docs/bank.md. `dialect`: how it treats keys; `webhooks`: it tells the subject what happened; `second`: there is another, `bank-2`. */
  bank?: { dialect?: string; webhooks?: boolean; second?: boolean }
  /** True when it needs to kill or restart the subject, which a service known by URL does not allow. */
  needsProcess?: boolean
  /** True when it waits for hours or begins on a given day, which only virtual time can. */
  takesHours?: boolean
  /** Codes with which a node may refuse to go on: it is down then, and the run goes on. Any other is a bug. */
  refusals?: readonly string[]
}

/** One of payments. */
export interface Scenario<Adapter = unknown> extends ScenarioFacts {
  engine: 'payment'
  drive(world: World<Adapter>): Promise<void>
}

/** Where a node dies: at the n-th crossing of its boundary with this name, before it or after it. */
export interface CrashPoint {
  /** `tx:claim`, `call:bank`, `answer`. */
  site: string
  /** From 1, counted from when it is armed; for a dead node from the start of its next life. */
  nth: number
  when: 'before' | 'after'
}

/** Where a node stands still, like a stopped process, for `pauseMs`: at the n-th crossing of its boundary with this name, before it or after it. */
export interface PausePoint extends CrashPoint {
  pauseMs: number
}

/** How a transaction of a node's store goes wrong, at the n-th crossing of `tx:NAME`. */
export interface StoreFault {
  /** `tx:claim`. */
  site: string
  /** From 1, as of a crash point. */
  nth: number
  /** `full`: refused, nothing is written. `busy`: the same, after `ms` of waiting for another process's lock. `in_doubt`: it is committed, and an error is told all the same. `slow`: it begins `ms` late. `gone`: the file was deleted. `corrupt`: the file is damaged. */
  how: 'full' | 'busy' | 'in_doubt' | 'slow' | 'gone' | 'corrupt'
  ms?: number
}

/** What a scenario of any engine can do to its world. */
export interface Stage {
  /** Scripted time: what the scenario waits on. A key can hold it. */
  readonly clock: Clock
  readonly random: Random
  /** Bound to src `client`. */
  readonly log: Log
  readonly nodes: readonly string[]
  /** Puts a fault on a link; the answer takes it away again. It counts as scheduled: it must fire. */
  toxic(spec: ToxicSpec): () => void
  /** Makes a mock lie. It counts as scheduled. */
  lie(mock: string, kind: string, options?: { times?: number; after?: number; ms?: number }): void
  /** Gives a mock its weather from now on; null takes it away. One that is given counts as scheduled: a work must meet it. */
  weather(mock: string, weather: Weather | null): void
  /**
   * The most payments that any policy could have had paid within `deadlineMs` in that weather: an upper bound. `arrivals` says when each began, ms;
   * `callsPerPayment` how often one may ask the bank, 1 when absent.
   */
  mostInTime(weather: Weather, arrivals: readonly number[], deadlineMs: number, callsPerPayment?: number): number
  /** Refuses connections to a link's service until healed. */
  down(link: string): void
  up(link: string): void
  /** kill -9, at once, or at a crash point still to come. */
  kill(node?: string): Promise<void>
  killAt(point: CrashPoint, node?: string): void
  /** Makes one transaction of a node's store go wrong. It counts as scheduled. */
  spoil(fault: StoreFault, node?: string): void
  /** A new life of the node on the same store. `settings` are that life's own, on top of the scenario's. */
  restart(node?: string, settings?: Record<string, unknown>): Promise<void>
  /** SIGTERM: it drains, then ends. */
  terminate(node?: string): Promise<void>
  pause(node?: string): void
  resume(node?: string): void
  /** The next event that the whole run emits for which `wanted` says yes, or undefined after `timeoutMs`. */
  until(wanted: (event: Event) => boolean, timeoutMs: number): Promise<Event | undefined>
  /** Counts the events from now on for which `wanted` says yes; the answer tells how many there were so far. */
  tally(wanted: (event: Event) => boolean): () => number
  /**
   * What must come of this scenario beyond its invariants. `name` is a fragment that reads after "expected:", `why` what was seen.
   * Emits lab `expectation.met` or `expectation.failed`; a failed one is a violation of the run.
   */
  expect(name: string, holds: boolean, why: string): void
  /** Takes all faults away, restarts what is dead, and waits until the subject has come to rest (bounded). Emits lab `world.healed`. */
  heal(): Promise<void>
  /** Says something about the run itself, src `lab`. */
  note(type: string, fields?: Fields): void
}

/** The world of payments: customers on one side, the bank on the other. */
export interface World<Adapter = unknown> extends Stage {
  /** How the subject wants to be spoken to. */
  readonly adapter: Adapter
  /** Numbers from the command line: clicks, amountMinor. */
  readonly options: { clicks: number; amountMinor: number; currency: string }
  /** One request to the subject (to `node`, or to any that lives). Emits nothing: the client that speaks says what it sent and was told. */
  send(request: HttpRequest, options: { timeoutMs: number; node?: string }): Promise<Outcome<HttpResponse>>
  /** An operator forces a breaker in the subject's store, or with null lets it judge by itself again. Throws SUBJECT_NOT_OURS where the store is not ours. */
  forceBreaker(name: string, forced: 'open' | 'closed' | 'disabled' | 'metrics_only' | null): Promise<void>
  /** The wall clock of a node's machine is set, by `ms` forward or back: for its present life and those to come. */
  step(node: string, ms: number): void
  /** Keeps the store as it is now; what is answered puts that in its place, while no node lives. */
  backUp(): Promise<() => Promise<void>>
  /** Compares the subject's store with the listing of a bank, as an operator would, over the whole run. */
  reconcile(bank?: string): Promise<readonly { kind: string; reference: string; charge: string | null }[]>
}
