/** The world that a scenario of the scheduler drives: nodes on one store, and a resource that their jobs act on. */
import type { Event } from '../../events.ts'
import type { PausePoint, ScenarioFacts, Stage } from '../../scenario.ts'
import type { Store } from '../store/store.ts'
import type { CronSettings } from './engine.ts'
import type { Tick } from './ledger.ts'
import type { Registry } from './registry.ts'
import type { Spec } from './spec.ts'

export interface CronStage extends Stage {
  /** What an operator does. */
  readonly registry: Registry
  /** As somebody else would write in it, by mistake or by a restore. */
  readonly store: Store
  readonly ttlMs: number
  /** Makes or changes a schedule of a job of the laboratory (see lab-job.ts). Answers its generation. */
  put(name: string, expr: string, job: string, spec?: Partial<Spec>, minBuild?: number): Promise<number>
  /** The node that was elected last, if it lives. */
  leader(): string | undefined
  /** Resolves with a leader, the present one or the next. Throws when there is none within `timeoutMs`. */
  elected(timeoutMs?: number): Promise<string>
  /** Events so far, oldest first. */
  of(type: string): Event[]
  /** Waits for an event that must come. Throws when it does not within `timeoutMs`. */
  must(wanted: string | ((event: Event) => boolean), timeoutMs?: number): Promise<Event>
  /** The ledger, oldest slot first. */
  ticks(schedule?: string): Promise<Tick[]>
  /** Effects that the resource has for keys that begin so. */
  effects(prefix: string): number
  /** The wall clock of a node's machine is set, by `ms` forward or back: for its present life and those to come. */
  step(node: string, ms: number): void
  /** Somebody else holds the lock of the store; resolves when it is given back. Virtual time only. */
  lockStore(ms: number): Promise<void>
  /** Another program gets the number of a dead node's process. Virtual time only. */
  reusePid(node: string): void
  /** The network between a node and the store: there is none before one file, so in virtual time only. */
  partition(node: string, cut: boolean): void
  pauseAt(point: PausePoint, node: string): void
  /** Ends a node in good order and begins it again with other settings. */
  deploy(node: string, settings: Partial<CronSettings>): Promise<void>
  /** Starts nodes that do not live. */
  startAll(): Promise<void>
}

export interface CronScenario extends ScenarioFacts {
  engine: 'cron'
  needsSubject?: false
  settings?: Partial<CronSettings> & Record<string, unknown>
  /** When the world begins, ISO 8601. */
  startAt?: string
  /** Rate of each node's clock; 1 when absent. */
  drift?: readonly number[]
  /** Whether the nodes can see each other's processes; on real ones they can. */
  host?: boolean
  /** The nodes begin when the scenario says so. */
  startsAlone?: boolean
  drive(world: CronStage): Promise<void>
}

/** Somebody's own scheduler, as so many processes that shall take effect once for each slot of its expression. */
export interface SubjectStage extends Stage {
  /** Between two slots, ms. */
  readonly periodMs: number
  /** Resolves `ms` behind the start of the next slot; the answer is the slot. */
  nextSlot(ms?: number): Promise<number>
}

export interface SubjectScenario extends ScenarioFacts {
  engine: 'cron'
  needsSubject: true
  drive(world: SubjectStage): Promise<void>
}

/** What judges unless a scenario says otherwise. */
export const ALWAYS = ['i1-one-row', 'i2-every-slot', 'i3-every-end', 'i4-one-success', 'i5-one-holder', 'i6-no-stale-write', 'i7-one-acts', 'i8-zombie-fenced', 'i9-steps-once', 'i10-no-overlap', 'i11-not-early', 'i13-one-effect'] as const

/** And nothing is late by more than a fail-over. */
export const IN_TIME = [...ALWAYS, 'i12-in-time'] as const
