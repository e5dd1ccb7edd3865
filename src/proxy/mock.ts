/**
 * The contract of a mock service: it answers like the real thing, keeps a ledger of what really happened, and can be told to lie.
 *
 *   arrival ── begin: read, decide, note that it is in progress ── latency ── finish: the effect, then at once the answer
 *
 * So the effect stands at the end of the latency, and a client that gives up earlier cannot know whether it will come.
 */
import type { Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Log } from '../events.ts'
import { problem } from '../network.ts'
import type { HttpRequest, HttpResponse, Outcome, Service } from '../network.ts'
import type { Random } from '../random.ts'
import type { Weather } from '../scenario.ts'
import type { Slots } from './weather.ts'

export interface MockSetup {
  clock: Clock
  random: Random
  /** Bound to src `mock`: what is said here is the ground truth that invariants judge. */
  log: Log
  /** Latency of an answer: log-normal with these percentiles, in ms, cut off at `TAIL_P99S` times p99; equal ones are exact, both 0 answers at once. */
  latency: Latency
}

/** In ms, 0 <= p50 <= p99. */
export interface Latency {
  p50: number
  p99: number
}

export interface Mock {
  readonly name: string
  /** Its HTTP face; GET /ledger answers what really happened. Throws nothing but CONNECTION_CUT. */
  readonly handle: Service
  /** Makes the next requests that match go wrong; see the mock's own table of lies. Throws UNKNOWN_LIE, INVALID_LIE, TOO_MANY_LIES. */
  lie(lie: Lie): void
  /** Forgets the lies not yet told; one being told runs its course. */
  heal(): void
  /** Nothing happens any more: what was to come later does not come. Absent where nothing is. */
  close?(): void
  /** From now on; null is the usual weather. Throws INVALID_WEATHER. Absent where a mock knows none. */
  weather?(weather: Weather | null): void
  /** For a mock that tells the world of what happened: from now on it does so through `send`; the answer ends that. */
  webhooks?(send: Send): () => void
}

/** The way to whoever listens: path and headers are the mock's, the address is the caller's. Rejects for a wrong use only. */
export type Send = (request: HttpRequest) => Promise<Outcome<HttpResponse>>

export interface Lie {
  /** One of the mock's own words, e.g. charge_then_500. */
  kind: string
  /** How many requests it applies to, from 1; Infinity until healed. */
  times: number
  /** Requests to let pass before it begins. */
  after: number
  /** For lies that take time, ms. */
  ms: number
}

export interface LieSpec {
  /** The requests that it counts and spoils. */
  asks: string
  /** What `ms` is when nobody says; absent when the lie takes no time. */
  ms?: number
  /** A fragment, lower case: what the mock does, and what is true. */
  summary: string
}

export type LieTable = Readonly<Record<string, LieSpec>>

/** Lies that may wait for their request at the same time: each is looked at for every request. */
const LIES_LIMIT = 100

/** The lies that a mock was told to tell. Each counts its matching requests for itself; of several that are due, the one told first goes first and the others wait. */
export class LieSchedule {
  readonly #mock: string
  readonly #table: LieTable
  readonly #log: Log
  #waiting: Lie[] = []

  constructor(mock: string, table: LieTable, log: Log) {
    this.#mock = mock
    this.#table = table
    this.#log = log
  }

  add(lie: Lie): void {
    if (!Object.hasOwn(this.#table, lie.kind)) throw new ResilError('UNKNOWN_LIE', `${this.#mock} knows no lie called ${lie.kind}`, `it knows ${Object.keys(this.#table).join(', ')}`)
    const counts = (n: number, least: number) => n >= least && (Number.isSafeInteger(n) || n === Number.POSITIVE_INFINITY)
    if (!counts(lie.times, 1) || !counts(lie.after, 0) || !(lie.ms >= 0 && Number.isFinite(lie.ms))) {
      throw new ResilError('INVALID_LIE', `the numbers of ${lie.kind} make no sense`, 'times from 1, after from 0, ms from 0')
    }
    if (this.#waiting.length >= LIES_LIMIT) throw new ResilError('TOO_MANY_LIES', `${this.#mock} already has ${LIES_LIMIT} lies to tell`, 'use times instead of many lies')
    this.#waiting.push({ ...lie })
  }

  clear(): void {
    this.#waiting = []
  }

  /** The lie for this request, if one is due. A lie for which `fits` says no neither counts nor spoils it. Says so in the log. */
  take(asks: string, fits: (lie: Lie) => boolean = () => true): Lie | undefined {
    let due: Lie | undefined
    for (const lie of this.#waiting) {
      if (this.#table[lie.kind]!.asks !== asks || !fits(lie)) continue
      if (lie.after > 0) lie.after--
      else due ??= lie
    }
    if (!due) return undefined
    if (--due.times === 0) this.#waiting = this.#waiting.filter((lie) => lie !== due)
    this.#log.emit(`${this.#mock}.lied`, { lie: due.kind })
    return due
  }
}

/** A request that was read and begun. */
export interface Work {
  /** In place of the drawn latency, ms. */
  waitMs?: number
  /** The effect and the answer. */
  finish: () => HttpResponse | Promise<HttpResponse>
  /** In the place of `finish` when the work is not done. A work that has one is in the weather, unless it is answered at once (waitMs 0). */
  fail?: () => HttpResponse
}

/** An answer without an effect. */
export function answer(response: HttpResponse, waitMs?: number): Work {
  return { waitMs, finish: () => response }
}

/** A request as a route sees it: its query string ('' when there is none), and the segment of its path that stands for `*`, else its last. */
export interface Asked extends HttpRequest {
  query: string
  last: string
}

/** Path (its last segment, or the one before, may be `*`), then method. */
export type Routes = Readonly<Record<string, Readonly<Record<string, (asked: Asked) => Work>>>>

/** Characters of a request body; the mocks' requests are a few hundred. */
const BODY_LIMIT = 65_536

/** Twice p99 cuts off one draw in a thousand of the mocks' typical latencies: no usual answer outlasts a time-out that leaves twice p99. What shall be later than that is asked for, by a lie, a toxic or a weather. */
export const TAIL_P99S = 2

/** Requests with an effect that a mock takes on before it answers 507: what it remembers of each is never thrown away in a run. */
export const LEDGER_LIMIT = 1_000_000

/** The HTTP face of a mock; its works are done in `slots`, where it has some; `bodyLimit` in characters. Throws INVALID_LATENCY. */
export function serve(setup: MockSetup, routes: Routes, slots?: Slots, bodyLimit = BODY_LIMIT): Service {
  const { p50, p99 } = setup.latency
  if (!(p50 >= 0 && p99 >= p50 && Number.isFinite(p99)) || (p50 === 0 && p99 > 0)) throw new ResilError('INVALID_LATENCY', `no latency has p50 ${p50} ms and p99 ${p99} ms`, 'give 0 < p50 <= p99, or 0 and 0')
  const random = setup.random.fork('latency')
  return async (request) => {
    const work = begin(routes, request, bodyLimit)
    const usualMs = () => (p50 === 0 ? 0 : Math.min(random.logNormal(p50, p99), TAIL_P99S * p99))
    if (slots) return slots.carryOut(work, usualMs)
    const ms = work.waitMs ?? usualMs()
    if (ms > 0) await setup.clock.sleep(ms)
    return work.finish()
  }
}

function begin(routes: Routes, request: HttpRequest, bodyLimit: number): Work {
  if (request.body.length > bodyLimit) return answer(problem(413, 'body_too_large', `a body has at most ${bodyLimit} characters`))
  const mark = request.path.indexOf('?')
  const path = mark < 0 ? request.path : request.path.slice(0, mark)
  const slash = path.lastIndexOf('/') + 1
  const at = (route: string) => (Object.hasOwn(routes, route) ? routes[route] : undefined)
  const [, folder, name, verb] = /^(.*\/)([^/]+)\/([^/]+)$/.exec(path) ?? []
  const acted = at(`${folder}*/${verb}`)
  const methods = at(path) ?? at(`${path.slice(0, slash)}*`) ?? acted
  if (!methods) return answer(problem(404, 'no_such_route', 'there is nothing at this path'))
  if (!Object.hasOwn(methods, request.method)) return answer(problem(405, 'wrong_method', 'this path does not take this method', {}, { allow: Object.keys(methods).join(', ') }))
  const query = mark < 0 ? '' : request.path.slice(mark + 1)
  return methods[request.method]!({ ...request, query, last: methods === acted ? name! : path.slice(slash) })
}

/** 400: the request itself is wrong; nothing was done or remembered. `why` never repeats what was sent, for it may hold a card number. */
export function malformed(why: string): Work {
  return answer(problem(400, 'invalid_request', why))
}

/** 507: one more entry than a ledger may hold; nothing was done. */
export function ledgerFull(limit: number): HttpResponse {
  return problem(507, 'ledger_full', `the ledger holds ${limit} entries and takes no more`, { code: 'ledger_full' })
}

export function internalError(): HttpResponse {
  return problem(500, 'internal_error', 'something went wrong in here', { code: 'internal_error' })
}

/** What a captive portal or a broken balancer answers in the place of the service. */
export const GARBAGE: HttpResponse = { status: 200, headers: { 'content-type': 'text/html' }, body: '<!doctype html><title>Welcome</title><p>Please sign in to the network.</p>' }

/** How long whoever asks waits for the answer, ms, as its x-request-timeout-ms says; null when it does not, or says no whole number. */
export function timeoutOf(request: HttpRequest): number | null {
  const said = request.headers['x-request-timeout-ms']
  return said !== undefined && /^\d{1,9}$/.test(said) ? Number(said) : null
}

export function isText(value: unknown, most = 255): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= most
}

/** Stripe's largest amount: twelve digits of minor units. */
const LARGEST_AMOUNT_MINOR = 999_999_999_999

export function isAmountMinor(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= LARGEST_AMOUNT_MINOR
}

export function isCurrency(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z]{3}$/.test(value)
}

/** A card number, or a token that stands for one. */
export function isCard(value: unknown): value is string {
  return typeof value === 'string' && /^(\d{12,19}|(tok|pm)_\w{1,64})$/.test(value)
}

/** All that may be kept of a card: the last four digits; null for a token. */
export function last4(card: string): string | null {
  return /^\d/.test(card) ? card.slice(-4) : null
}

/** A parsed body whose fields can be asked for, or undefined. */
export function objectOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
}
