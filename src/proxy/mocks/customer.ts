/**
 * A customer who is sent webhooks: what came, what was genuine and what was done with it. It does what it is sent once an id, and it has moods.
 *
 * | route                | answers |
 * |----------------------|---------|
 * | POST on any path     | 204 when it was processed, or had been; 401 when the signature is not valid (`strict`); else as the mood has it |
 * | GET /ledger          | 200 `{requests, effects, unread}`, at once: every request with its signature, its attempt, what was answered and whether it was processed |
 *
 *   arrival: mood, signature ── latency, or the mood's time ── the effect, then at once the answer
 *
 * A mood holds until the next one. A lie does the same for single requests, and goes before the mood. What an error, a redirect or a login page answers
 * comes from something before the customer, so it does not depend on the signature; the row tells the signature all the same.
 */
import { ResilError } from '../../errors.ts'
import type { Log } from '../../events.ts'
import { connectionCut, json } from '../../network.ts'
import type { HttpResponse, Service } from '../../network.ts'
import type { Random } from '../../random.ts'
import { Acks } from '../customer/acks.ts'
import { Inbox } from '../customer/inbox.ts'
import type { Arrival, InboxLedger, Row } from '../customer/inbox.ts'
import type { Matching, Mood } from '../customer/mood.ts'
import { described, sound } from '../customer/mood.ts'
import { receipt, Trust } from '../customer/trust.ts'
import { answer, GARBAGE, LEDGER_LIMIT, ledgerFull, LieSchedule, serve } from '../mock.ts'
import type { Asked, Latency, Lie, LieTable, Mock, MockSetup, Send, Work } from '../mock.ts'

export type { InboxLedger, Mood, Row }

export const typicalLatency: Latency = { p50: 5, p99: 40 }

export const lies = {
  late_answer: { asks: 'webhook', ms: 10_000, summary: 'processes and answers after ms' },
  reset: { asks: 'webhook', summary: 'resets the connection before anything is read' },
  error_500: { asks: 'webhook', summary: 'answers 500 and does not process' },
  error_503: { asks: 'webhook', summary: 'answers 503 and does not process' },
  error_410: { asks: 'webhook', summary: 'answers 410 and does not process' },
  busy_429: { asks: 'webhook', ms: 120_000, summary: 'answers 429 with a Retry-After of ms, and does not process' },
  redirect_302: { asks: 'webhook', summary: 'answers 302 with a Location, and does not process' },
  reset_after_body: { asks: 'webhook', summary: 'reads the request, does not process it, and resets the connection' },
  processed_then_500: { asks: 'webhook', summary: 'processes, then answers 500' },
  processed_then_reset: { asks: 'webhook', summary: 'processes, then resets the connection' },
  lie_200: { asks: 'webhook', summary: 'answers 200 with a login page, and does not process' },
  forgetful: { asks: 'webhook', summary: 'answers 204 and does not process' },
  deferred: { asks: 'webhook', ms: 5000, summary: 'answers 202 with webhook-ack: deferred, and processes and acknowledges after ms' },
  never_acked: { asks: 'webhook', summary: 'answers 202 with webhook-ack: deferred, and never processes' },
} satisfies LieTable

export interface CustomerOptions {
  /** `customer` when absent; in every event. */
  name?: string
  /** See `trust`; none when absent. */
  secrets?: readonly string[]
  /** Of its wall clock, ms; 0 when absent; see `skew`. */
  skewMs?: number
  /** A signature that is not valid is answered 401; true when absent. Otherwise it is written down and processed. */
  strict?: boolean
  /** Each id has its effect once; true when absent. False is a naive receiver, for which every request is an effect. */
  dedupe?: boolean
  /** Every 204 carries a signed receipt, also of what a forgetful one forgets; false when absent. */
  receipts?: boolean
  /** Requests to take on before 507; LEDGER_LIMIT when absent. */
  ledgerLimit?: number
}

export interface Customer extends Mock {
  readonly ledger: InboxLedger
  /** For whoever receives in its place. */
  readonly inbox: Inbox
  /** These `whsec_` secrets and `whpk_` keys and no others, from now on; with none, nothing is checked. Throws INVALID_SECRET. */
  trust(secrets: readonly string[]): void
  /** Sets its wall clock ms ahead of the world's, or behind; its answers carry that time as Date. Throws INVALID_SKEW. */
  skew(ms: number): void
  /** From now on, for requests that come from now on. Throws INVALID_MOOD. */
  mood(mood: Mood): void
  /** The ids that it holds, sorted. */
  processed(): string[]
  /** Loses `n` ids that it holds, and says which. One of them that comes again is processed again. */
  forget(n: number, random: Random): string[]
  /** Deferred acknowledgements go there from now on; see ../customer/acks.ts. */
  webhooks(send: Send): () => void
}

/** Characters of a body: above the largest that senders send, 256 KiB. */
export const CUSTOMER_BODY_LIMIT = 1024 * 1024

const ELSEWHERE = 'http://elsewhere.invalid/'

export function customer(setup: MockSetup, options: CustomerOptions = {}): Customer {
  const { clock } = setup
  const { name = 'customer', strict = true, dedupe = true, receipts = false, ledgerLimit = LEDGER_LIMIT } = options
  const log: Log = { emit: (type, fields) => setup.log.emit(type, { customer: name, ...fields }) }
  const schedule = new LieSchedule('customer', lies, log)
  const trust = new Trust()
  trust.trust(options.secrets ?? [])
  let skewMs = soundSkew(options.skewMs ?? 0)
  const now = () => clock.now() + skewMs
  const inbox = new Inbox({ name, log: setup.log, trust, now, dedupe, limit: ledgerLimit })
  const acks = new Acks({ clock, log, trust, now, process: (row) => inbox.process(row), holds: (id) => inbox.holds(id) })
  let mood: Mood = { kind: 'healthy' }
  let moodSince = clock.monotonic()
  /** Of the mood: requests that it had a choice about. */
  let counted = 0

  function become(next: Mood): void {
    mood = sound(next)
    moodSince = clock.monotonic()
    counted = 0
    log.emit('customer.changed', { mood: described(mood) })
  }

  function receive(asked: Asked): Work {
    const lie = schedule.take('webhook')
    const current = lie ? moodOf(lie) : mood
    if (isDown(current)) {
      inbox.unread++
      throw connectionCut('the customer is down')
    }
    const arrival = inbox.arrive(asked.headers, asked.body)
    if (!arrival) return answer(ledgerFull(ledgerLimit))
    const waitMs = current.kind === 'slow' ? current.ms : undefined
    return { waitMs, finish: () => finish(arrival, asked.body, current, lie?.kind ?? current.kind) }
  }

  function isDown(current: Mood): boolean {
    if (current.kind === 'flapping') return (clock.monotonic() - moodSince) % (current.upMs + current.downMs) >= current.upMs
    return current.kind === 'down'
  }

  function finish(arrival: Arrival, body: string, current: Mood, word: string): HttpResponse {
    const settle = (status: number, retryAfter = '') => inbox.settle(arrival, status, word, /^\d{1,9}$/.test(retryAfter) ? Number(retryAfter) * 1000 : undefined)
    const reply = (status: number, headers: Record<string, string> = {}, text = ''): HttpResponse => {
      settle(status, headers['retry-after'])
      return { status, headers: { date: new Date(now()).toUTCString(), ...headers }, body: text }
    }
    const fail = (status: number, why: string, headers: Record<string, string> = {}) => reply(status, { 'content-type': 'application/json', ...headers }, JSON.stringify({ error: why }))
    const genuine = !strict || arrival.signed === 'valid' || arrival.signed === 'unchecked'

    switch (current.kind) {
      case 'error':
        if (current.processes && genuine) inbox.process(arrival)
        return fail(current.status, 'out of order', current.retryAfter === undefined ? {} : { 'retry-after': String(current.retryAfter) })
      case 'redirect':
        return reply(current.status, current.location === undefined ? {} : { location: current.location })
      case 'lie_200':
        return reply(GARBAGE.status, GARBAGE.headers, GARBAGE.body)
      case 'reset_after_body':
        if (current.processes !== false && genuine) inbox.process(arrival)
        settle(0)
        throw connectionCut('the customer read it and hung up')
    }
    if (!genuine) return fail(401, `signature ${arrival.signed}`)
    if (current.kind === 'reject_every' && ++counted % current.every === 0) return fail(500, 'out of order')
    if (current.kind === 'gone_for' && matches(current, arrival, body, arrival.ordinal)) return fail(500, 'not this one')
    const isNew = !inbox.holds(arrival.id)
    if (current.kind === 'deferred' && isNew) {
      if (!acks.isRoom()) return fail(503, 'too much was put off already')
      acks.later(settle(202), arrival, current.ackMs)
      return { status: 202, headers: { date: new Date(now()).toUTCString(), 'webhook-ack': 'deferred' }, body: '' }
    }
    const forgets = current.kind === 'forgetful' && isNew && matches(current, arrival, body, ++counted)
    if (!forgets) inbox.process(arrival)
    const { id, timestamp, secret } = arrival
    const signs = (receipts || current.kind === 'receipt') && secret && id !== null && timestamp !== null
    return reply(204, signs ? { 'webhook-receipt': receipt(secret, id, timestamp) } : {})
  }

  const face = serve(setup, { '/': { POST: receive }, '/ledger': { GET: () => answer(json(200, inbox.ledger), 0) } }, undefined, CUSTOMER_BODY_LIMIT)
  const handle: Service = (request) => face(request.method === 'POST' ? { ...request, path: '/' } : request)
  return {
    name,
    handle,
    get ledger() {
      return inbox.ledger
    },
    inbox,
    lie: (lie) => schedule.add(lie),
    heal: () => schedule.clear(),
    close: () => acks.close(),
    trust: (secrets) => trust.trust(secrets),
    skew: (ms) => {
      skewMs = soundSkew(ms)
    },
    mood: become,
    processed: () => inbox.processed(),
    forget: (n, random) => inbox.forget(n, random),
    webhooks: (send) => acks.bind(send),
  }
}

/** A century, ms: further away no date is sure to be one. */
const LONGEST_SKEW_MS = 100 * 365 * 24 * 3_600_000

function soundSkew(ms: number): number {
  if (Math.abs(ms) <= LONGEST_SKEW_MS) return ms
  throw new ResilError('INVALID_SKEW', `a clock cannot be ${ms} ms ahead`, 'give a number of ms, a century at most, below 0 for a clock that is behind')
}

/** The mood that a lie is for one request. */
function moodOf({ kind, ms }: Lie): Mood {
  switch (kind as keyof typeof lies) {
    case 'late_answer':
      return { kind: 'slow', ms }
    case 'reset':
      return { kind: 'down' }
    case 'error_500':
      return { kind: 'error', status: 500 }
    case 'error_503':
      return { kind: 'error', status: 503 }
    case 'error_410':
      return { kind: 'error', status: 410 }
    case 'busy_429':
      return { kind: 'error', status: 429, retryAfter: Math.ceil(ms / 1000) }
    case 'redirect_302':
      return { kind: 'redirect', status: 302, location: ELSEWHERE }
    case 'reset_after_body':
      return { kind: 'reset_after_body', processes: false }
    case 'processed_then_reset':
      return { kind: 'reset_after_body' }
    case 'lie_200':
      return { kind: 'lie_200' }
    case 'forgetful':
      return { kind: 'forgetful', every: 1 }
    case 'deferred':
      return { kind: 'deferred', ackMs: ms }
    case 'never_acked':
      return { kind: 'deferred', ackMs: 'never' }
    case 'processed_then_500':
      return { kind: 'error', status: 500, processes: true }
  }
}

function matches({ ids, keys, bodies, every }: Matching, { id, key }: Row, body: string, ordinal: number): boolean {
  if (id !== null && ids?.includes(id)) return true
  if (key !== null && keys?.includes(key)) return true
  if (bodies?.some((part) => body.includes(part))) return true
  return every !== undefined && ordinal > 0 && ordinal % every === 0
}
