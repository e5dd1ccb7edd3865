/**
 * From traffic that was recorded: when a service became slow and when the first client was hurt, what time-outs, bulkheads and budgets fit these services,
 * and what breakers with other settings would have done.
 *
 * What a setting should be is learnt from the time in which all was well: up to the first warning, and from calls that were answered. What a setting would
 * have done is told from all of it.
 */
import type { PaymentSettings } from './settings.ts'
import { SlowWatch } from './slow-watch.ts'
import type { Answer, Call, Traffic } from './traffic.ts'
import type { Setting, WhatIf } from './what-if.ts'
import { whatIf } from './what-if.ts'

/** Half, nineteen in twenty, ... of the calls take no longer, ms. */
export interface Latency {
  p50: number
  p95: number
  p99: number
  p999: number
  /** Up to which share that is known, 0..1: beyond it calls were cut off, and what stands there is the longest that was seen. */
  known: number
}

export interface Slow {
  /** ms as in the traffic. */
  at: number
  recentMs: number
  usualMs: number
}

export interface ServiceAdvice {
  service: string
  /** What most calls to it were: `bank` is a charge. The latencies are of these. */
  hop: string
  /** Calls that ended, those of them that failed, were cut off by their time-out; and those that were refused here. */
  calls: number
  failed: number
  cutOff: number
  refused: number
  /** Of all calls that ended, and of those while all was well: answered or cut off, and before the first warning. */
  latency: Latency
  well: { calls: number; seconds: number; ratePerS: number; latency: Latency }
  /** What part of the deadline it takes of a payment, 0..1; null for what no payment waits for. */
  deadlineShare: { mean: number; p99: number } | null
  slow: Slow | null
  /** Of its calls while all was well, the share that takes longer than a payment can wait, 0..1, had they all that time; null for what is no bank. */
  tooSlowShare: number | null
  /** What its settings should be; null when too few calls ended well to say. */
  settings: SettingsAdvice | null
  breakers: WhatIf[]
}

export interface SettingsAdvice {
  /** ms; null for a bank, whose calls get all that is left of the deadline. */
  timeoutMs: number | null
  /** With less than this left a bank is not asked, ms; null for others. */
  minStartMs: number | null
  /** Calls at once. */
  bulkhead: number
  /** `share` of the calls in flight may be repeats; `harmlessShare` is what failed without effect while all was well. */
  retryBudget: { share: number; harmlessShare: number }
}

export interface Advice {
  /** The first thing that was seen, and how long it went on, ms. */
  from: number
  lastedMs: number
  answers: { count: number; pending: number; late: number; turnedAway: number; firstPendingAt: number | null; firstLateAt: number | null; firstTurnedAwayAt: number | null }
  services: ServiceAdvice[]
}

/** Calls that no payment waits for: their latencies are of another kind, and no breaker stands before them. */
const ASIDE: ReadonlySet<string> = new Set(['lookup', 'void'])
/** What a client is told who has to ask again. */
const PENDING: ReadonlySet<string> = new Set(['claimed', 'sent', 'unknown', 'review'])
/** Fewer calls than this say nothing; before the first warning: then all that were answered are taken. */
export const ENOUGH = 50
/** Little's law gives the calls in flight when all is well; half as many again may be. */
const HEADROOM = 1.5
/** A retry budget is at least, and at most, this share. */
const LEAST_BUDGET = 0.01
const MOST_BUDGET = 0.1
/** Time-outs are rounded up to this, ms. */
const ROUND_MS = 10

export function advise(traffic: Traffic, settings: PaymentSettings): Advice {
  const { calls, answers, refused } = traffic
  const times = [...calls.map(({ at }) => at), ...answers.map(({ at }) => at), ...refused.map(({ at }) => at)]
  const from = least(times)
  const end = calls.reduce((last, { at, ms }) => Math.max(last, at + ms), -least(times.map((at) => -at)))
  const byService = groupedBy(calls.filter(({ hop }) => !ASIDE.has(hop)), ({ service }) => service)
  const fraudP50 = percentiles(calls.filter(({ hop, result }) => hop === 'fraud' && result === 'ok')).p50
  // What is left for a bank once fraud has answered as it usually does.
  const patienceMs = settings.deadlineMs - settings.reserveMs - settings.commitMs - (settings.parallel ? 0 : fraudP50)
  const services = [...byService].map(([service, own]) => serviceAdvice(service, own, traffic, settings, patienceMs))
  return { from, lastedMs: times.length === 0 ? 0 : end - from, answers: hurt(answers), services: services.toSorted((a, b) => b.calls - a.calls) }
}

function hurt(answers: readonly Answer[]): Advice['answers'] {
  const pending = answers.filter(({ told }) => PENDING.has(told))
  const late = answers.filter(({ spentMs, deadlineMs }) => spentMs > deadlineMs)
  const turnedAway = answers.filter(({ told }) => told === 'released' || told === 'queued')
  const first = (of: readonly Answer[]) => (of.length === 0 ? null : least(of.map(({ at }) => at)))
  return { count: answers.length, pending: pending.length, late: late.length, turnedAway: turnedAway.length, firstPendingAt: first(pending), firstLateAt: first(late), firstTurnedAwayAt: first(turnedAway) }
}

function serviceAdvice(service: string, calls: readonly Call[], { answers, refused }: Traffic, settings: PaymentSettings, patienceMs: number): ServiceAdvice {
  const [hop, main] = [...groupedBy(calls, ({ hop }) => hop)].reduce((most, next) => (next[1].length > most[1].length ? next : most))
  const isBank = settings.acquirers.includes(service) || hop === 'bank'
  const mayTakeMs = isBank ? patienceMs : hop === 'fraud' ? settings.fraudTimeoutMs : settings.notifyTimeoutMs
  const slow = firstWarning(main, mayTakeMs)
  const answered = main.filter(({ result, cutOff }) => result !== 'failure' || cutOff)
  const early = answered.filter(({ at, ms }) => slow === null || at + ms <= slow.at)
  const well = early.length >= ENOUGH ? early : answered
  // Everything that began in that time asked for a place, whatever came of it.
  const until = well === early && slow !== null ? slow.at : Number.POSITIVE_INFINITY
  const arrivals = [...main.map(({ at }) => at), ...refused.filter((one) => one.service === service).map(({ at }) => at)].filter((at) => at <= until)
  const seconds = arrivals.length < 2 ? 0 : (-least(arrivals.map((at) => -at)) - least(arrivals)) / 1000
  const ratePerS = seconds === 0 ? 0 : (arrivals.length - 1) / seconds
  const latency = percentiles(well)
  const soon = main.filter(({ at }) => at <= until)
  const harmlessShare = share(soon.filter(({ harmless }) => harmless).length, soon.length)
  return {
    service, hop,
    calls: main.length,
    failed: main.filter(({ result }) => result === 'failure').length,
    cutOff: main.filter(({ cutOff }) => cutOff).length,
    refused: refused.filter((one) => one.service === service).length,
    latency: percentiles(main),
    well: { calls: well.length, seconds, ratePerS, latency },
    deadlineShare: hop === 'notify' ? null : shareOfDeadline(main, answers),
    slow,
    tooSlowShare: isBank ? shareOver(well, patienceMs) : null,
    settings:
      well.length < ENOUGH
        ? null
        : {
            timeoutMs: isBank ? null : Math.min(mayTakeMs, roundUp(latency.p999)),
            minStartMs: isBank ? roundUp(latency.p95) : null,
            bulkhead: Math.max(1, Math.ceil((HEADROOM * ratePerS * latency.p50) / 1000)),
            retryBudget: { share: Math.min(MOST_BUDGET, Math.max(LEAST_BUDGET, 2 * harmlessShare)), harmlessShare },
          },
    breakers: settingsTried(settings, roundUp(latency.p99), isBank).map((setting) => whatIf(calls, setting)),
  }
}

/** The settings that are compared: the textbook's, rates, and what the engine has. `slowMs`: what is slow for this service. */
function settingsTried({ breaker }: PaymentSettings, slowMs: number, isBank: boolean): Setting[] {
  const open = { openMs: breaker.openMs, probes: breaker.probes, rampMs: breaker.rampMs }
  const minute = { window: { ms: 60_000 }, minimumCalls: 20, ...open }
  return [
    { name: '10 failures in a minute, open for 30 s, 1 probe', breaker: { window: { ms: 60_000 }, minimumCalls: 10, failureRate: 1, openMs: 30_000, probes: 1, rampMs: 0 }, countsFailures: true },
    { name: '50 % of a minute, at least 20 calls', breaker: { ...minute, failureRate: 0.5 } },
    { name: '90 % of a minute, at least 20 calls', breaker: { ...minute, failureRate: 0.9 } },
    { name: `half of a minute slower than ${slowMs} ms`, breaker: { ...minute, failureRate: 1, slowCallMs: slowMs, slowRate: 0.5 } },
    { name: `90 % of a minute slower than ${slowMs} ms`, breaker: { ...minute, failureRate: 1, slowCallMs: slowMs, slowRate: 0.9 } },
    {
      name: 'as the engine has it',
      breaker: { window: { ms: breaker.windowMs }, minimumCalls: breaker.minimumCalls, failureRate: breaker.failureRate, ...(isBank ? { slowCallMs: breaker.slowMs, slowRate: breaker.slowRate } : {}), ...open },
    },
  ]
}

function firstWarning(calls: readonly Call[], budgetMs: number): Slow | null {
  let slow: Slow | null = null
  let now = 0
  const watch = new SlowWatch(budgetMs, ({ recentMs, usualMs }) => (slow ??= { at: now, recentMs, usualMs }))
  for (const { at, ms } of calls.toSorted((a, b) => a.at + a.ms - b.at - b.ms)) {
    now = at + ms
    watch.record(ms, now)
  }
  return slow
}

/** What its calls took of each answered payment's deadline, as far as they had ended by then. */
function shareOfDeadline(calls: readonly Call[], answers: readonly Answer[]): ServiceAdvice['deadlineShare'] {
  const byPayment = groupedBy(calls, ({ payment }) => payment)
  const shares = answers.flatMap(({ payment, at, deadlineMs }) => {
    const spent = byPayment.get(payment)?.filter((call) => call.at + call.ms <= at + 1).reduce((sum, { ms }) => sum + ms, 0)
    return spent === undefined ? [] : [spent / deadlineMs]
  })
  if (shares.length === 0) return null
  return { mean: shares.reduce((sum, one) => sum + one, 0) / shares.length, p99: percentiles(shares.map((one) => ({ ms: one }))).p99 }
}

/** Something that took so long, or was cut off when it had. */
interface Sample {
  ms: number
  cutOff?: boolean
}

/**
 * Nearest rank; zeros for nothing. A call that was cut off says only that it would have taken longer, whenever that was: leaving it out, or taking it for its
 * time-out, would make a service look quick that is merely not waited for. True where being cut off has nothing to do with being slow; in an incident, where
 * all that are slow are cut off, it is the least that it can have been. Source: Kaplan and Meier, "Nonparametric Estimation from Incomplete
 * Observations" (1958).
 */
export function percentiles(samples: readonly Sample[]): Latency {
  const sorted = samples.toSorted((a, b) => a.ms - b.ms || Number(a.cutOff ?? false) - Number(b.cutOff ?? false))
  const found = new Map<number, number>()
  const parts = [0.5, 0.95, 0.99, 0.999]
  let longer = 1
  sorted.forEach(({ ms, cutOff }, n) => {
    if (cutOff) return
    longer *= 1 - 1 / (sorted.length - n)
    for (const part of parts) if (!found.has(part) && longer <= 1 - part + ROUNDING) found.set(part, ms)
  })
  const longest = sorted.at(-1)?.ms ?? 0
  const [p50, p95, p99, p999] = parts.map((part) => found.get(part) ?? longest) as [number, number, number, number]
  return { p50, p95, p99, p999, known: samples.length === 0 ? 0 : 1 - longer }
}

/** The share of them that takes longer than `ms`, by the same reckoning. */
export function shareOver(samples: readonly Sample[], ms: number): number {
  const sorted = samples.toSorted((a, b) => a.ms - b.ms || Number(a.cutOff ?? false) - Number(b.cutOff ?? false))
  let longer = samples.length === 0 ? 0 : 1
  sorted.forEach((sample, n) => {
    if (!sample.cutOff && sample.ms <= ms) longer *= 1 - 1 / (sorted.length - n)
  })
  return longer
}

/** Thousands of factors near 1 are off by this at most. */
const ROUNDING = 1e-9

function groupedBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const value of values) {
    const group = groups.get(keyOf(value))
    if (group) group.push(value)
    else groups.set(keyOf(value), [value])
  }
  return groups
}

const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole)
const roundUp = (ms: number) => Math.max(ROUND_MS, ROUND_MS * Math.ceil(ms / ROUND_MS))
/** Of a list that may be too long for the arguments of a function; 0 of none. */
const least = (values: readonly number[]) => values.reduce((low, value) => Math.min(low, value), values[0] ?? 0)
