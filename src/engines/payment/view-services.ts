/**
 * The services as a watcher sees them: what stands before each (breaker, bulkhead, retry budget), what is under way, how long it takes now and usually.
 * Told by the engine's hops; of a stranger's service, which tells nothing of itself, by the exchanges on the link to it.
 */
import type { Event } from '../../events.ts'
import type { BreakerState } from '../policies/breaker.ts'
import type { Tally } from './tally.ts'
import { count, tally } from './tally.ts'

export type Hop = 'fraud' | 'bank' | 'capture' | 'refund' | 'lookup' | 'void' | 'notify'

/** The link that a hop goes over, where the event does not name the service. */
export const LINK_OF: Record<Hop, string> = { fraud: 'fraud', bank: 'bank', capture: 'bank', refund: 'bank', lookup: 'bank', void: 'bank', notify: 'notification' }

/** Services that are kept, and breakers of one: where each caller has one there are many. The oldest go first. */
const SERVICES_KEPT = 50
const BREAKERS_KEPT = 100
/** Calls whose duration is remembered, of each service. */
const DURATIONS_KEPT = 128
/** The usual duration, as in the engine's early warning (slow-watch.ts): the calls before it is known, how old it is, and how many times as long is not taken for usual. */
const LEARNT_CALLS = 50
const USUAL_MS = 600_000
const UNUSUAL = 2.2
/** Weight of a call in the recent duration. */
const RECENT_WEIGHT = 0.05

export interface Traffic {
  /** Under way, by node. */
  inFlight: Map<string, number>
  /** Calls that ended; those of them that say that the service is ill; those of which nobody knows what they did. */
  ended: Tally
  ill: Tally
  doubtful: Tally
  /** Durations of the latest calls that were answered or timed out, ms, and when they ended: call n stands at n modulo DURATIONS_KEPT. */
  durations: number[]
  endedAt: number[]
  measured: number
  /** Logarithms: a few long calls do not count for many. */
  recentLog: number
  usualLog: number
}

export interface BreakerLine {
  node: string
  /** The service, or `service/caller`. */
  name: string
  state: BreakerState
  /** When it moved there. */
  t: number
  /** `failures`, `slow`, `probes`, `hand`, `restored`; empty when it moved by itself. */
  why: string
  /** What its window held when it opened. */
  calls: number
  failures: number
  slow: number
  /** When it lets a call through again; of a closed one, when it lets all through. */
  untilT: number
  openings: number
}

export interface ServiceLine {
  service: string
  /** As the engine tells; and as the link to it shows. */
  told: Traffic
  seen: Traffic
  /** Look-ups and voids under way, by node: they pass no breaker, and have a bulkhead of their own. */
  recovering: Map<string, number>
  /** Calls that may be under way, by node; unknown until it first changes. */
  limits: Map<string, number>
  turnedAway: { bulkhead: Tally; breaker: Tally }
  /** By node and name. */
  breakers: Map<string, BreakerLine>
  /** The latest early warning. */
  warning: { t: number; recentMs: number; usualMs: number; budgetShare: number } | null
  retries: number
  /** When the retry budget last ran dry, and what was under way then. */
  emptied: { t: number; times: number; inFlight: number; retrying: number } | null
}

function traffic(): Traffic {
  return { inFlight: new Map(), ended: tally(), ill: tally(), doubtful: tally(), durations: [], endedAt: [], measured: 0, recentLog: 0, usualLog: 0 }
}

export function serviceOf(services: Map<string, ServiceLine>, name: string): ServiceLine {
  const known = services.get(name)
  if (known) return known
  const line: ServiceLine = {
    service: name, told: traffic(), seen: traffic(), recovering: new Map(), limits: new Map(), turnedAway: { bulkhead: tally(), breaker: tally() },
    breakers: new Map(), warning: null, retries: 0, emptied: null,
  }
  services.set(name, line)
  if (services.size > SERVICES_KEPT) services.delete(services.keys().next().value!)
  return line
}

/** Takes the event into the services, if it is about one. */
export function foldService(services: Map<string, ServiceLine>, event: Event): void {
  if (Object.hasOwn(FOLDS, event.type)) FOLDS[event.type]!(services, event)
}

const FOLDS: Record<string, (services: Map<string, ServiceLine>, event: Event) => void> = {
  'hop.started': (services, { node, hop, service }) => {
    const line = serviceOf(services, service ?? LINK_OF[hop as Hop] ?? '')
    move(isRecovery(hop) ? line.recovering : line.told.inFlight, node, 1)
  },
  'hop.ended': (services, { t, node, hop, service, outcome, status, detail, ms }) => {
    const line = serviceOf(services, service ?? LINK_OF[hop as Hop] ?? '')
    if (isRecovery(hop)) return move(line.recovering, node, -1)
    move(line.told.inFlight, node, -1)
    took(line.told, t, outcome, status, detail, ms)
  },
  'hop.refused': (services, { t, hop, service, by }) => {
    const { turnedAway } = serviceOf(services, service ?? LINK_OF[hop as Hop] ?? '')
    count(by === 'breaker' ? turnedAway.breaker : turnedAway.bulkhead, t)
  },
  'hop.retried': (services, { hop, service }) => {
    serviceOf(services, service ?? LINK_OF[hop as Hop] ?? '').retries++
  },
  'bulkhead.limit_changed': (services, { node, service, limit }) => {
    const [name, kind] = parts(service)
    if (kind === undefined) serviceOf(services, name).limits.set(node ?? '', limit)
  },
  'retry_budget.emptied': (services, { t, service, inFlight, retrying }) => {
    const line = serviceOf(services, parts(service)[0])
    line.emptied = { t, times: (line.emptied?.times ?? 0) + 1, inFlight, retrying }
  },
  'dependency.warned': (services, { t, service, recentMs, usualMs, budgetShare }) => {
    serviceOf(services, parts(service)[0]).warning = { t, recentMs, usualMs, budgetShare }
  },
  'breaker.opened': (services, event) => become(services, event, 'open'),
  'breaker.half_opened': (services, event) => become(services, event, 'half-open'),
  'breaker.closed': (services, event) => become(services, event, 'closed'),
  'breaker.forced_open': (services, event) => become(services, event, 'forced-open'),
  'breaker.disabled': (services, event) => become(services, event, 'disabled'),
  'breaker.observed_only': (services, event) => become(services, event, 'metrics-only'),
  // What was under way in it ends with it, and nobody says so.
  'node.killed': (services, { node }) => {
    for (const { told, recovering, limits } of services.values()) for (const of of [told.inFlight, recovering, limits]) of.delete(node ?? '')
  },

  'exchange.opened': (services, { link }) => {
    if (isService(link)) move(serviceOf(services, link).seen.inFlight, '', 1)
  },
  'exchange.answered': (services, { t, link, status, ms }) => {
    if (!isService(link)) return
    const { seen } = serviceOf(services, link)
    move(seen.inFlight, '', -1)
    took(seen, t, 'ok', status, '', ms)
  },
  'exchange.cut': (services, { t, link }) => {
    if (!isService(link)) return
    const { seen } = serviceOf(services, link)
    move(seen.inFlight, '', -1)
    took(seen, t, 'unknown', 0, 'CUT', undefined)
  },
}

const isRecovery = (hop: unknown) => hop === 'lookup' || hop === 'void'
/** The subject itself has links too. */
const isService = (link: unknown): link is string => typeof link === 'string' && !link.startsWith('payments')

function parts(name: unknown): [service: string, kind: string | undefined] {
  const text = String(name ?? '')
  const at = text.indexOf('/')
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

/** A node that died may have been heard of less often than it acted: nothing is under way less than never. */
function move(of: Map<string, number>, node: string | null, by: 1 | -1): void {
  of.set(node ?? '', Math.max(0, (of.get(node ?? '') ?? 0) + by))
}

function took(of: Traffic, t: number, outcome: unknown, status: number, detail: unknown, ms: number | undefined): void {
  count(of.ended, t)
  const answered = outcome === 'ok' && status < 500 && status !== 408
  if (!answered && detail !== 'ABORTED') count(of.ill, t)
  if (outcome === 'unknown') count(of.doubtful, t)
  // A failure at once says nothing of how long an answer takes; a time-out says that it takes longer.
  if (ms === undefined || (!answered && detail !== 'TIMEOUT')) return
  const sinceMs = of.measured === 0 ? 0 : Math.max(0, t - of.endedAt[(of.measured - 1) % DURATIONS_KEPT]!)
  const at = of.measured++ % DURATIONS_KEPT
  of.durations[at] = ms
  of.endedAt[at] = t
  const log = Math.log(Math.max(1, ms))
  of.recentLog += Math.max(RECENT_WEIGHT, 1 / of.measured) * (log - of.recentLog)
  if (of.measured < LEARNT_CALLS || of.recentLog < of.usualLog + Math.log(UNUSUAL)) of.usualLog += (of.measured <= LEARNT_CALLS ? 1 / of.measured : 1 - Math.exp(-sinceMs / USUAL_MS)) * (log - of.usualLog)
}

function become(services: Map<string, ServiceLine>, { t, node, service, why, calls, failures, slow, retryAfterMs }: Event, state: BreakerState): void {
  const name = String(service ?? '')
  const { breakers } = serviceOf(services, parts(name)[0])
  const key = `${node ?? ''} ${name}`
  const before = breakers.get(key)
  breakers.set(key, {
    node: node ?? '', name, state, t, why: why ?? '', calls: calls ?? 0, failures: failures ?? 0, slow: slow ?? 0, untilT: t + (retryAfterMs ?? 0),
    openings: (before?.openings ?? 0) + (state === 'open' && why !== 'restored' ? 1 : 0),
  })
  if (breakers.size > BREAKERS_KEPT) breakers.delete(breakers.keys().next().value!)
}

// ── what it comes to ────────────────────────────────────────────────────────────────────────────────────────────

/** What is known of the service: from the engine where it tells anything, else from the link. */
export function trafficOf({ told, seen, breakers }: ServiceLine): Traffic {
  return told.ended.all > 0 || told.inFlight.size > 0 || breakers.size > 0 ? told : seen
}

/** Whether anything stands before the services: an engine without breakers says nothing of them, and neither does a breaker that never moved. */
export function areGuarded(services: Map<string, ServiceLine>): boolean {
  return [...services.values()].some(({ limits, breakers, turnedAway }) => limits.size + breakers.size + turnedAway.bulkhead.all + turnedAway.breaker.all > 0)
}

export function total(of: Map<string, number>): number {
  let sum = 0
  for (const n of of.values()) sum += n
  return sum
}

/** How far open a breaker is: what a reader has to know first. */
const SEVERITY: readonly BreakerState[] = ['closed', 'metrics-only', 'disabled', 'half-open', 'open', 'forced-open']

/** Of several breakers before one service (one a node, or one a caller) the worst; the one that moved last where several are as bad. */
export function worstBreaker({ breakers }: ServiceLine): BreakerLine | undefined {
  let worst: BreakerLine | undefined
  for (const line of breakers.values()) {
    const worse = worst === undefined ? 1 : SEVERITY.indexOf(line.state) - SEVERITY.indexOf(worst.state)
    if (worse > 0 || (worse === 0 && line.t >= worst!.t)) worst = line
  }
  return worst
}

/** How long calls take, ms: the median and the 95th percentile of those that ended within `lately` ms before `now`; null where there are none. */
export function latency({ durations, endedAt }: Traffic, now: number, latelyMs: number): { medianMs: number; p95Ms: number } | null {
  const recent = durations.filter((_, n) => endedAt[n]! > now - latelyMs).sort((a, b) => a - b)
  if (recent.length === 0) return null
  return { medianMs: recent[(recent.length - 1) >> 1]!, p95Ms: recent[Math.ceil(recent.length * 0.95) - 1]! }
}

/** The usual duration of a call, ms; null until it is known. */
export function usualMs({ measured, usualLog }: Traffic): number | null {
  return measured < LEARNT_CALLS ? null : Math.exp(usualLog)
}
