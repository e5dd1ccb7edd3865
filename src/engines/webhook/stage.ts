/** The world that a scenario of webhooks drives: producers on one side, customers on the other, and the truth in the customers' inboxes. */
import type { Event } from '../../events.ts'
import type { ScenarioFacts, Stage } from '../../scenario.ts'
import type { Store } from '../store/store.ts'
import type { Endpoint, Endpoints, NewEndpoint } from './endpoints.ts'
import type { NewEvent } from './events.ts'
import type { Replays } from './replay.ts'
import type { WebhookSettings } from './settings.ts'

/** How a customer fares from now on: a mood of the mock, see src/proxy/customer/mood.ts. */
export type MoodSpec = { kind: string } & Record<string, unknown>

/** How a customer's machines misbehave in what no mock can: names, TLS, bytes. */
export type Evil =
  | 'tls_expired' | 'tls_self_signed' | 'tls_wrong_host' | 'tls_hang' | 'tls_old'
  | 'dns_nxdomain' | 'dns_servfail' | 'dns_timeout'
  | 'flood_1xx' | 'slowloris_head' | 'slowloris_body' | 'partial_head' | 'partial_body' | 'big_headers' | 'endless' | 'gzip_bomb' | 'ansi' | 'keepalive_race'

/** What was sent by a producer, and what he was told. */
export interface Told {
  /** `unknown`: no answer, or one that did not say. */
  told: 'accepted' | 'refused' | 'unknown'
  status: number
  id: string | null
  deliveries: number
}

/** One request that a customer saw. */
export interface Arrival {
  id: string | null
  sequence: number | null
  type: string | null
  key: string | null
  signed: string
  /** 0: the connection was reset. */
  status: number
  processed: boolean
  duplicate: boolean
  /** ms since the run began. */
  t: number
}

export interface WebhookStage extends Stage {
  /** What an operator does, on the store beside the nodes. */
  readonly endpoints: Endpoints
  readonly replays: Replays
  /** To look into: what the engine believes. */
  readonly store: Store
  readonly customers: readonly string[]
  readonly settings: WebhookSettings
  /** Every second takes one: what is done a hundred times in virtual time is done ten times. */
  readonly inRealTime: boolean
  /** Registers a customer's endpoint, gives the customer its secret, and waits until a node has taken its lane. */
  subscribe(customer: string, spec?: Partial<NewEndpoint>): Promise<Endpoint>
  /** A customer's secrets from now on: all that its endpoints were given, or those named. */
  trust(customer: string, secrets: readonly string[]): void
  mood(customer: string, mood: MoodSpec): void
  /** A customer's machines misbehave from now on, until null. It counts as scheduled: somebody must meet it. Throws NEEDS_SIMULATION for names that do not resolve, where names are real. */
  evil(customer: string, mood: Evil | null): Promise<void>
  /** Sets a customer's wall clock ahead, ms. */
  skew(customer: string, ms: number): void
  /** What a customer has seen so far, in order. */
  inbox(customer: string): readonly Arrival[]
  /** Ids that a customer has processed, sorted. */
  processed(customer: string): readonly string[]
  /** A customer loses so many of the ids that it has processed; answers which. */
  forget(customer: string, n: number): readonly string[]
  /** A producer posts one event, once. */
  send(event: NewEvent, options?: { node?: string; timeoutMs?: number }): Promise<Told>
  /** A producer posts an event under a key until it is accepted, at most 60 s. */
  produce(event: NewEvent, options?: { node?: string }): Promise<Told>
  /** `count` events, `perSecond` of them a second (0: one after another), each until it is accepted. `make` gives the n-th, from 0. */
  stream(count: number, perSecond: number, make?: (n: number) => NewEvent): Promise<readonly string[]>
  /** One request to the HTTP face. */
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<{ status: number; body: unknown }>
  /** Resolves true when no delivery of an enabled endpoint waits, or false after `timeoutMs`. */
  settled(timeoutMs: number): Promise<boolean>
  /** Deliveries by state, over all endpoints or of one. */
  counts(endpoint?: string): Promise<Readonly<Record<string, number>>>
  /** Events so far of a type. */
  of(type: string): Event[]
  /** Waits for an event that must come. Throws SCENARIO_STUCK when it does not within `timeoutMs` (60 s). */
  must(wanted: string | ((event: Event) => boolean), timeoutMs?: number): Promise<Event>
  /** The wall clock of a node's machine is set, by `ms` forward or back: for its present life and those to come. */
  step(node: string, ms: number): void
  /** From acceptance to the customer's 2xx, ms, of events of that customer that have arrived, sorted. */
  lags(customer: string, since?: number): readonly number[]
}

export interface WebhookScenario extends ScenarioFacts {
  engine: 'webhook'
  settings?: Partial<WebhookSettings> & Record<string, unknown>
  /** On top of these where every second takes one. */
  settingsInRealTime?: Partial<WebhookSettings>
  /** Customers are reached over TLS, also where there are sockets. */
  tls?: boolean
  /** How many customers there are: customer-1, customer-2 ... */
  customers: number
  /** How customers are: does one that has seen an id do it again? */
  naive?: boolean
  /** Customers answer with signed receipts. */
  receipts?: boolean
  drive(world: WebhookStage): Promise<void>
}

/** What judges unless a scenario says otherwise. */
export const ALWAYS = ['w1-none-lost', 'w2-id-constant', 'w3-none-after-delivered', 'w4-attempts-logged', 'w5-signatures-verify', 'w6-counters-true', 'w7-key-order', 'w8-retry-after', 'w9-schedule', 'w10-isolation'] as const

/** The p-th percentile, 0 to 1, of sorted numbers; 0 of none. */
export function percentile(sorted: readonly number[], p: number): number {
  return sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)]!
}
