/** What an operator may set, the defaults, and what is refused at the start because it could charge twice. */
import { ResilError } from '../../errors.ts'
import type { Backoff } from '../policies/backoff.ts'
import type { ProfileRow } from '../policies/profile.ts'
import type { ProviderCodes } from './bank.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

export interface PaymentSettings {
  /** The client is answered within this, ms; its own x-request-timeout-ms may shorten it. */
  deadlineMs: number
  /** Kept back from the deadline for the answer's way to the client, on a busy machine too. */
  reserveMs: number
  /** Kept back from the hops as well, to write down what they said. */
  commitMs: number
  /** Most that fraud may take; its p99 is 200 ms. */
  fraudTimeoutMs: number
  /** Least that the adaptive time-out may come down to. */
  fraudFloorMs: number
  /** When fraud does not answer: payments below this (minor units) go on and are reviewed afterwards, others are not attempted. */
  fraudOpenBelow: number
  /** Fraud is asked beside the authorisation; the capture waits for both. */
  parallel: boolean
  /** The bank is not asked when less is left: about its p95, so that we do not manufacture unknown outcomes. */
  minStartMs: number
  /** Services that can charge, in the order in which they are asked. The second only when the first definitely did not. */
  acquirers: readonly string[]
  /** What the provider's codes mean in a body that says "failed". */
  providerCodes: ProviderCodes
  /** After a charge request, how long "not found" proves nothing: the bank's longest processing and its look-up's lag. */
  settleMs: number
  /** How long the bank remembers a key; asking again later would charge again. */
  bankKeyLifetimeMs: number
  /** How long after the first charge request the same key may be sent again; well below the key's lifetime. 0: never. */
  resendHorizonMs: number
  /** Whether the bank can be asked what became of a key. Without it, and without keys, an unknown outcome goes to an operator. */
  bankLookup: boolean
  lookupTimeoutMs: number
  /** Between look-ups. */
  lookupBackoff: Backoff
  /** Look-ups under way at once. */
  lookupParallel: number
  /** An unknown outcome older than this calls an operator. */
  alarmAfterMs: number
  /** A node whose beat has not changed for so long is dead; at least three sweeps. */
  leaseMs: number
  /** How long the answer is replayed to its key. */
  answerLifetimeMs: number
  /** How long a key is remembered; a bank's own memory of it must be shorter. */
  keyLifetimeMs: number
  notifyTimeoutMs: number
  notifyBackoff: Backoff
  /** Words to customers and duties to banks under way at once. */
  notifyParallel: number
  /** How often this node beats, and the store is searched for abandoned payments and what is owed. */
  sweepMs: number
  /** How often it is looked for what is too old to be kept. */
  reapMs: number
  /** Payments under way at once; more are shed with 503. */
  mostRunning: number
  /** How long a payer who agreed to it waits to be charged later. */
  queueMs: number
  /** Between two tries of a queued payment, ms; up to twice as much at random. */
  queueEveryMs: number
  /** Queued payments that are driven at once. */
  queueParallel: number
  /** Tries of one request that definitely did nothing, the first included, while the deadline lasts. */
  tries: number
  retryBackoff: Backoff
  /** Whether breakers, bulkheads and retry budgets stand before the services; false is for comparisons in the laboratory. */
  guarded: boolean
  breaker: BreakerSettings
  bulkhead: BulkheadSettings
  /** `endpoint`: one breaker a service; `merchant`: one a bank and caller. */
  breakerScope: 'endpoint' | 'merchant'
  /** Secret of the bank's signed events; without one they are not taken. */
  bankEventSecret: string
}

/** Of the breaker before a bank. Others take the same but for `slowMs`. */
export interface BreakerSettings {
  /** Time window, ms. */
  windowMs: number
  /** In its place: so many of the last calls. */
  windowCalls?: number
  /** Calls in the window below which it never opens. */
  minimumCalls: number
  /** Share of failures, 0..1, from which it opens. */
  failureRate: number
  /** Calls that take longer are slow; share of them from which it opens. */
  slowMs: number
  slowRate: number
  /** How long it stays open. */
  openMs: number
  /** Calls let through to try. */
  probes: number
  /** After it closes, how long until it lets everything through. */
  rampMs: number
}

/** Of the bulkhead before a bank. */
export interface BulkheadSettings {
  /** Calls at once: found from how the service answers, within these. */
  floor: number
  ceiling: number
  /** Ceilings by time of day; the first row that covers it counts. */
  profile: readonly ProfileRow[]
  /**
   * Calls that wait for a place; and when no place was free for half a second, for how long at most, ms (as long as the deadline allows when absent): what
   * is waited here is missing there.
   */
  queue: number
  waitMs?: number
}

export const DEFAULTS: PaymentSettings = {
  deadlineMs: 5000,
  reserveMs: 500,
  commitMs: 100,
  fraudTimeoutMs: 500,
  fraudFloorMs: 250,
  fraudOpenBelow: 50_000,
  parallel: false,
  minStartMs: 1000,
  acquirers: ['bank'],
  providerCodes: {},
  settleMs: 12_000,
  bankKeyLifetimeMs: DAY_MS,
  resendHorizonMs: 12 * HOUR_MS,
  bankLookup: true,
  lookupTimeoutMs: 2500,
  lookupBackoff: { baseMs: 200, capMs: 30_000 },
  lookupParallel: 64,
  alarmAfterMs: 60_000,
  leaseMs: 15_000,
  answerLifetimeMs: DAY_MS,
  keyLifetimeMs: 45 * DAY_MS,
  notifyTimeoutMs: 1000,
  notifyBackoff: { baseMs: 1000, capMs: HOUR_MS },
  notifyParallel: 64,
  sweepMs: 1000,
  reapMs: 60_000,
  mostRunning: 2000,
  queueMs: HOUR_MS,
  queueEveryMs: 5000,
  queueParallel: 20,
  tries: 3,
  retryBackoff: { baseMs: 100, capMs: 1000 },
  guarded: true,
  // A partial failure is the bulkhead's: the breaker is for a bank that is as good as gone (90 %), which is when it helps and does not starve.
  breaker: { windowMs: 10_000, minimumCalls: 20, failureRate: 0.9, slowMs: 4000, slowRate: 1, openMs: 5000, probes: 5, rampMs: 3000 },
  bulkhead: { floor: 16, ceiling: 500, profile: [], queue: 200, waitMs: 500 },
  breakerScope: 'endpoint',
  bankEventSecret: '',
}

/** Throws HORIZON_TOO_LONG, BUDGET_TOO_SHORT, KEY_FORGOTTEN_FIRST: settings that could charge twice, or never charge at all. */
export function refuseDangerous(settings: PaymentSettings): void {
  const { resendHorizonMs, bankKeyLifetimeMs, deadlineMs, reserveMs, commitMs, minStartMs, keyLifetimeMs } = settings
  if (resendHorizonMs > bankKeyLifetimeMs / 2) {
    throw new ResilError('HORIZON_TOO_LONG', `the resend horizon (${resendHorizonMs} ms) is more than half of the bank's key lifetime (${bankKeyLifetimeMs} ms)`, 'a resend after the bank forgot the key charges again: shorten the horizon')
  }
  if (deadlineMs - reserveMs - commitMs < minStartMs) {
    throw new ResilError('BUDGET_TOO_SHORT', `of ${deadlineMs} ms, ${reserveMs + commitMs} are kept back and the bank needs ${minStartMs}: it would never be asked`, 'lengthen the deadline, or shorten the reserve or minStart')
  }
  if (keyLifetimeMs < bankKeyLifetimeMs) {
    throw new ResilError('KEY_FORGOTTEN_FIRST', `our keys are kept for ${keyLifetimeMs} ms, the bank's for ${bankKeyLifetimeMs} ms`, 'keep ours longer than the bank keeps its own')
  }
}
