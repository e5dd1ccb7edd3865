/**
 * One point in time for a whole operation. A timeout is a length and belongs to one hop; a deadline is a point and is shared by all of them.
 *
 *   |<------------------------ totalMs ------------------------>|
 *   |  spent  |<----- hop: min(cap, left - reserve) ---->|reserve|
 *
 * On the wire goes what is left, in ms, so that no clocks need to agree.
 */
import type { Clock } from '../../clock.ts'

export interface Hop {
  /** The most that this hop may take, ms. Default: whatever is left. */
  capMs?: number
  /** Kept back for what comes after the hop (commits, the answer), ms. Default 0. */
  reserveMs?: number
  /** The hop is not begun with less than this, ms: what it needs in all but rare cases, its p95. Default 0: with anything above nothing. */
  minStartMs?: number
}

/** One point in monotonic time for a whole operation; every hop spends from the same budget. */
export class Deadline {
  readonly #clock: Clock
  readonly #start: number
  readonly totalMs: number

  constructor(clock: Clock, totalMs: number) {
    this.#clock = clock
    this.#start = clock.monotonic()
    this.totalMs = totalMs
  }

  /** The point itself, on the clock's monotonic axis. */
  get at(): number {
    return this.#start + this.totalMs
  }

  /** What is left, in ms; never below 0. */
  get leftMs(): number {
    return Math.max(0, this.totalMs - this.spentMs)
  }

  get spentMs(): number {
    return this.#clock.monotonic() - this.#start
  }

  /** What a hop that begins now may take, in ms; undefined when it must not begin, because less is left than it needs. */
  hopMs(hop: Hop = {}): number | undefined {
    return hopMs(this.leftMs, hop)
  }
}

/** `min(capMs, leftMs - reserveMs)`, or undefined when that is nothing, or less than `minStartMs`. */
export function hopMs(leftMs: number, { capMs = Number.POSITIVE_INFINITY, reserveMs = 0, minStartMs = 0 }: Hop): number | undefined {
  const ms = Math.min(capMs, leftMs - reserveMs)
  return ms > 0 && ms >= minStartMs ? ms : undefined
}

/** The header that tells the next hop how long its answer is waited for: remaining ms, so that no clocks need to agree. */
export const DEADLINE_HEADER = 'x-request-timeout-ms'
/** Which attempt this is, from 1: a service can tell repeats from new work, and shed repeats first. */
export const ATTEMPT_HEADER = 'x-request-attempt'

/** Headers for the next hop: whole ms, rounded down, so that it never believes to have more than there is. */
export function deadlineHeaders(leftMs: number, attempt = 1): Record<string, string> {
  return { [DEADLINE_HEADER]: String(Math.max(0, Math.floor(leftMs))), [ATTEMPT_HEADER]: String(attempt) }
}

export interface ReadOptions {
  /** The most that is believed; larger values are cut to it, ms. */
  maxMs: number
  /** Given only when this machine's clock and the sender's are known to agree: then `x-request-deadline` (ms since 1970, or an RFC 3339 date) is read too. */
  clock?: Clock
}

/** Header names in lower case, as node gives them; a header that came twice is garbage, whichever way it was joined. */
export type Headers = Record<string, string | string[] | undefined>

const NUMBER = /^\d{1,15}(\.\d{1,9})?$/
const GRPC = /^(\d{1,8})([HMSmun])$/
const GRPC_UNIT_MS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

/**
 * How long the sender waits for the answer, in ms within [0, maxMs]; undefined when no header says so.
 * Read: `x-request-timeout-ms`, `x-envoy-expected-rq-timeout-ms`, `grpc-timeout`, and `x-request-deadline` as `ReadOptions` says. Of several the least holds.
 * Garbage and negative numbers are as if they were not there; a date that has gone by is 0.
 * Sources: gRPC over HTTP/2 (Timeout); Envoy, router filter, `x-envoy-expected-rq-timeout-ms`.
 */
export function readTimeoutMs(headers: Headers, { maxMs, clock }: ReadOptions): number | undefined {
  const text = (name: string) => {
    const value = headers[name]
    return typeof value === 'string' ? value.trim() : ''
  }
  const said = [plainMs(text(DEADLINE_HEADER)), plainMs(text('x-envoy-expected-rq-timeout-ms')), grpcMs(text('grpc-timeout')), clock && untilMs(text('x-request-deadline'), clock)]
  let least: number | undefined
  for (const ms of said) if (ms !== undefined && (least === undefined || ms < least)) least = ms
  return least === undefined ? undefined : Math.min(maxMs, least)
}

function plainMs(text: string): number | undefined {
  return NUMBER.test(text) ? Number(text) : undefined
}

function grpcMs(text: string): number | undefined {
  const [, digits, unit] = GRPC.exec(text) ?? []
  return digits && unit ? Number(digits) * GRPC_UNIT_MS[unit]! : undefined
}

function untilMs(text: string, clock: Clock): number | undefined {
  const at = NUMBER.test(text) ? Number(text) : /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? undefined : Math.max(0, at - clock.now())
}
