/**
 * What is wrong with an endpoint, in sentences. `diagnose` is pure: numbers in, words out; `examine` gathers the numbers, in one transaction over a bounded
 * number of rows.
 */
import type { Clock } from '../../clock.ts'
import type { Store, Tx } from '../store/store.ts'
import type { EndpointState, Ordering, Spec } from './endpoints.ts'
import { known } from './endpoints.ts'
import { BODY_LARGE } from './events.ts'
import type { WebhookSettings } from './settings.ts'
import { TOLERANCE_SECONDS } from './signature.ts'

export type Severity = 'error' | 'warning' | 'note'

export interface Finding {
  word: string
  severity: Severity
  sentence: string
}

export interface AttemptFact {
  /** ms since 1970. */
  at: number
  ms: number
  /** A word of meaning.ts. */
  outcome: string
  status: number | null
  detail: string | null
}

export interface Facts {
  now: number
  state: EndpointState
  reason: string | null
  ordering: Ordering
  waiting: number
  delivered: number
  dead: number
  failures: number
  failingSince: number | null
  succeededAt: number | null
  /** The lane is parked, and probed then; null: it is not. */
  probeAt: number | null
  quietUntil: number | null
  /** Concurrency that was found, and the most that it may be. */
  places: number
  placesMost: number
  /** 0: no limit. */
  perSecond: number
  deadlineMs: number
  /** Events for it, a second, of late. */
  arrivals: number
  /** Newest first. */
  attempts: readonly AttemptFact[]
  /** The receiver's clock is ahead by this, ms. */
  skewMs: number | null
  receipts: boolean
  /** Bytes of the largest of the latest bodies. */
  largestBody: number
  /** Ends of the secrets that sign, ms since 1970, newest first; null: for good. */
  secrets: readonly (number | null)[]
}

/** Deliveries that are looked at of each kind. */
const SAMPLE = 200
/** Attempts that opinions rest on, and the fewest. */
const ATTEMPTS = 100
const ATTEMPTS_LEAST = 5
/** A clock that is off by more will soon be refused, ms. */
const SKEW_WARNED_MS = 60_000
/** Of the deadline that the median attempt takes. */
const CLOSE_TO_DEADLINE = 0.8
const SECRET_WARNED_MS = 86_400_000

/** What the network's codes mean to the endpoint's owner. */
const CODES: Readonly<Record<string, { word: string; says: string }>> = {
  REFUSED: { word: 'refused_connections', says: 'nothing listens at its address' },
  UNREACHABLE: { word: 'unreachable', says: 'there is no route to its address' },
  CONNECT_TIMEOUT: { word: 'unreachable', says: 'its address does not answer to a connection' },
  RESET: { word: 'reset', says: 'it cuts connections before it has answered' },
  MALFORMED: { word: 'no_http', says: 'what it answers is no HTTP' },
  DNS_NOT_FOUND: { word: 'dns_name', says: 'its host name does not exist' },
  DNS_FAILED: { word: 'dns_server', says: 'the name server does not answer for its host name' },
  TLS_EXPIRED: { word: 'tls_expired', says: 'its certificate has expired, or is not valid yet' },
  TLS_SELF_SIGNED: { word: 'tls_self_signed', says: 'its certificate is signed by nobody that is trusted here' },
  TLS_WRONG_HOST: { word: 'tls_wrong_host', says: 'its certificate is for another host name' },
  TLS_FAILED: { word: 'tls_failed', says: 'no TLS connection comes about: its versions are too old, or its chain is not whole' },
  FORBIDDEN_ADDRESS: { word: 'forbidden_address', says: 'its host name leads to an address that may not be spoken to' },
}

const STATUSES: Readonly<Record<number, string>> = {
  400: 'it refuses the request itself: does its code expect another body?',
  401: 'it wants a credential: check the headers of the endpoint, and that nothing before the webhook handler asks for a login',
  403: 'it forbids the request: a firewall, or a check of the signature with another secret',
  404: 'there is nothing under that path: check the URL',
  405: 'it does not take POST under that path: check the URL',
}

export function diagnose(facts: Facts): Finding[] {
  const found: Finding[] = [...standing(facts), ...answers(facts), ...capacity(facts), ...trust(facts)]
  const order: Severity[] = ['error', 'warning', 'note']
  const sorted = order.flatMap((severity) => found.filter((each) => each.severity === severity))
  return sorted.length > 0 ? sorted : [{ word: 'healthy', severity: 'note', sentence: facts.attempts.length === 0 ? 'Nothing has been sent to it yet.' : 'It takes what it is sent.' }]
}

/** What the lane does now, and since when. */
function standing({ now, state, reason, waiting, failures, failingSince, probeAt, quietUntil, delivered, attempts, dead }: Facts): Finding[] {
  const found: Finding[] = []
  const held = waiting > 0 ? `; ${waiting} held, none lost` : ''
  if (state === 'disabled') found.push({ word: 'disabled', severity: 'error', sentence: `Disabled: ${reason ?? 'no reason was given'}${held}.` })
  if (state === 'paused') found.push({ word: 'paused', severity: 'warning', sentence: `Paused: ${reason ?? 'no reason was given'}${held}.` })
  if (state === 'enabled' && probeAt !== null) found.push({ word: 'parked', severity: 'error', sentence: `Parked${failingSince === null ? '' : ` since ${iso(failingSince)}`}, after ${failures} failures in a row; probed again ${probeAt <= now ? 'now' : `in ${duration(probeAt - now)}`}${held}.` })
  if (state === 'enabled' && quietUntil !== null && quietUntil > now) found.push({ word: 'quiet', severity: 'note', sentence: `It asked to be left alone, and is, for another ${duration(quietUntil - now)}.` })
  if (delivered === 0 && attempts.length >= ATTEMPTS_LEAST && attempts.every(({ outcome }) => !SUCCESS.has(outcome))) found.push({ word: 'never_succeeded', severity: 'error', sentence: `It has never taken one: ${attempts.length} attempts, no success.` })
  if (dead > 0) found.push({ word: 'dead', severity: 'warning', sentence: `${dead} ${dead === 1 ? 'delivery is' : 'deliveries are'} dead: resil webhook replay --dlq sends them again.` })
  return found
}

const SUCCESS: ReadonlySet<string> = new Set(['delivered', 'deferred'])

/** What its answers say, when most of the latest say the same. */
function answers({ attempts, deadlineMs, receipts }: Facts): Finding[] {
  if (attempts.length < ATTEMPTS_LEAST) return []
  const found: Finding[] = []
  const many = (test: (attempt: AttemptFact) => boolean) => attempts.filter(test).length
  const most = (n: number) => n >= ATTEMPTS_LEAST && n * 2 >= attempts.length
  const of = (n: number) => (n === attempts.length ? `all of the last ${n} attempts` : `${n} of the last ${attempts.length} attempts`)
  const statuses = new Map<number, number>()
  const codes = new Map<string, number>()
  for (const { status, detail, outcome } of attempts) {
    if (status !== null && !SUCCESS.has(outcome) && outcome !== 'not_proven') statuses.set(status, (statuses.get(status) ?? 0) + 1)
    if (status === null && detail !== null) codes.set(detail, (codes.get(detail) ?? 0) + 1)
  }
  for (const [status, n] of statuses) {
    if (!most(n)) continue
    if (status >= 300 && status < 400) found.push({ word: 'redirects', severity: 'error', sentence: `It answers ${status} to ${of(n)}: redirects are not followed; register the address that it leads to.` })
    else if (STATUSES[status]) found.push({ word: `status_${status}`, severity: 'error', sentence: `It answers ${status} to ${of(n)}: ${STATUSES[status]}.` })
    else if (status === 429) found.push({ word: 'throttled', severity: 'warning', sentence: `It answers 429 to ${of(n)}: give the endpoint a rate that it can take.` })
    else found.push({ word: `status_${status}`, severity: 'error', sentence: `It answers ${status} to ${of(n)}.` })
  }
  for (const [code, n] of codes) {
    const known = CODES[code]
    if (most(n) && known) found.push({ word: known.word, severity: 'error', sentence: `Of ${of(n)} none came through: ${known.says} (${code}).` })
  }
  const late = many(({ detail }) => detail === 'TIMEOUT')
  if (late * 10 >= attempts.length && late > 1) found.push({ word: 'timeouts', severity: late * 2 >= attempts.length ? 'error' : 'warning', sentence: `It did not answer ${of(late)} within ${duration(deadlineMs)}: answer first and work afterwards, or give the endpoint a longer deadline.` })
  else if (medianOf(attempts) > CLOSE_TO_DEADLINE * deadlineMs) found.push({ word: 'close_to_deadline', severity: 'warning', sentence: `Half of its answers take ${duration(medianOf(attempts))} and more, of ${duration(deadlineMs)}.` })
  const unproven = attempts.filter(({ outcome }) => outcome === 'not_proven')
  const noReceipt = unproven.filter(({ detail }) => detail?.includes('receipt')).length
  if (receipts && most(noReceipt)) found.push({ word: 'receipts_missing', severity: 'error', sentence: `It answers 2xx without a receipt that is right to ${of(noReceipt)}: does the request reach code that holds the secret?` })
  const [other] = unproven.filter(({ detail }) => !detail?.includes('receipt'))
  if (other && most(unproven.length - noReceipt)) found.push({ word: 'answer_not_as_agreed', severity: 'error', sentence: `It answers 2xx, but not as agreed, to ${of(unproven.length - noReceipt)}: ${other.detail}.` })
  return found
}

/** Little's law: in flight = arrivals a second * seconds of one. */
function capacity({ arrivals, attempts, places, placesMost, perSecond, ordering, waiting, probeAt, state }: Facts): Finding[] {
  const found: Finding[] = []
  const median = medianOf(attempts.filter(({ status }) => status !== null))
  const limit = ordering === 'fifo' ? 1 : placesMost
  const needs = Math.ceil((arrivals * median) / 1000)
  if (perSecond > 0 && arrivals > perSecond) found.push({ word: 'rate_too_low', severity: 'warning', sentence: `${rate(arrivals)} arrive and its rate is ${rate(perSecond)}: the backlog grows by ${rate(arrivals - perSecond)}.` })
  if (median > 0 && needs > limit) {
    found.push({ word: 'too_few_places', severity: 'warning', sentence: `It needs ${needs} in flight (${rate(arrivals)}, ${duration(median)} each) and may have ${limit}${ordering === 'fifo' ? ' because its order is fifo' : ''}: the backlog grows by ${rate(arrivals - (limit * 1000) / median)}.` })
  } else if (median > 0 && places > 0 && needs > places && waiting > 0 && probeAt === null && state === 'enabled') {
    found.push({ word: 'few_places', severity: 'note', sentence: `It needs ${needs} in flight (${rate(arrivals)}, ${duration(median)} each), has ${places}: the backlog grows by ${rate(arrivals - (places * 1000) / median)} until more are found.` })
  }
  return found
}

/** Clocks, secrets, sizes. */
function trust({ skewMs, secrets, now, largestBody }: Facts): Finding[] {
  const found: Finding[] = []
  const off = skewMs === null ? 0 : Math.abs(skewMs)
  if (off > SKEW_WARNED_MS) {
    const refused = off > TOLERANCE_SECONDS * 1000
    found.push({ word: 'clock_skew', severity: refused ? 'error' : 'warning', sentence: `By its Date header its clock is ${duration(off)} ${skewMs! > 0 ? 'ahead' : 'behind'}: ${refused ? 'it must refuse every signature' : `beyond ${TOLERANCE_SECONDS} s it refuses signatures`}.` })
  }
  if (secrets.length === 0) found.push({ word: 'no_secret', severity: 'error', sentence: 'No secret signs for it: nothing can be sent. Rotate.' })
  else if (!secrets.includes(null)) {
    const last = Math.max(...secrets.map((until) => until!))
    found.push({ word: 'secret_expires', severity: last - now < SECRET_WARNED_MS ? 'error' : 'warning', sentence: `Its last secret expires in ${duration(last - now)}: then nothing can be sent. Rotate.` })
  } else {
    const ends = secrets.filter((until) => until !== null)
    if (ends.length > 0) found.push({ word: 'rotating', severity: 'note', sentence: `${ends.length === 1 ? 'An old secret signs' : `${ends.length} old secrets sign`} beside the new one; the last of them for another ${duration(Math.max(...ends) - now)}.` })
  }
  if (largestBody > BODY_LARGE) found.push({ word: 'large_bodies', severity: 'note', sentence: `Bodies of up to ${largestBody} bytes: many receivers refuse more than ${BODY_LARGE}.` })
  return found
}

/** Reads what `diagnose` wants to know. Throws NO_SUCH_ENDPOINT. */
export function examine(store: Store, clock: Clock, settings: Pick<WebhookSettings, 'deadlineMs' | 'placesMost'>, id: string): Promise<Facts> {
  const now = clock.now()
  return store.transaction('doctor', async (tx) => {
    const row = await known(tx, id)
    const { lane, seq, waiting } = row
    const spec = JSON.parse(row.spec) as Spec
    const breaker = row.breaker === null ? undefined : (JSON.parse(row.breaker) as { state: string; untilAt: number })
    const newest = await tx.query<{ created_at: number; bytes: number }>(`SELECT e.created_at, LENGTH(CAST(e.body AS BLOB)) AS bytes FROM delivery d CROSS JOIN event e ON e.seq = d.event WHERE d.lane = :lane ORDER BY d.n DESC LIMIT ${SAMPLE}`, { lane })
    const oldest = newest.at(-1)
    const secrets = await tx.query<{ expires_at: number | null }>('SELECT expires_at FROM secret WHERE lane = :lane AND (expires_at IS NULL OR expires_at > :now) ORDER BY id DESC', { lane, now })
    return {
      now,
      state: row.state,
      reason: row.reason,
      ordering: row.ordering,
      waiting,
      delivered: row.delivered,
      dead: row.dead,
      failures: row.failures,
      failingSince: row.failing_since,
      succeededAt: row.succeeded_at,
      probeAt: breaker?.state === 'open' ? breaker.untilAt : null,
      quietUntil: row.quiet_until,
      places: row.places,
      placesMost: spec.places ?? settings.placesMost,
      perSecond: spec.perSecond,
      deadlineMs: spec.deadlineMs ?? settings.deadlineMs,
      arrivals: oldest === undefined ? 0 : (newest.length * 1000) / Math.max(1000, now - oldest.created_at),
      attempts: await latestAttempts(tx, lane, seq - waiting),
      skewMs: row.skew_ms,
      receipts: spec.demand.receipt === true,
      largestBody: newest.reduce((most, { bytes }) => Math.max(most, bytes), 0),
      secrets: secrets.map(({ expires_at }) => expires_at),
    }
  })
}

/**
 * The latest attempts of a lane. There is no index by their time: they are looked for where they can be, among what is tried again, what has died, what waits first,
 * and around the number up to which the lane has come.
 */
async function latestAttempts(tx: Tx, lane: number, upTo: number): Promise<AttemptFact[]> {
  const ids = new Set<number>()
  const places = [
    `SELECT id FROM delivery WHERE lane = :lane AND n <= :upTo ORDER BY n DESC LIMIT ${SAMPLE}`,
    `SELECT id FROM delivery WHERE lane = :lane AND n > :upTo ORDER BY n LIMIT ${SAMPLE}`,
    `SELECT id FROM delivery WHERE lane = :lane AND state = 'dead' ORDER BY id DESC LIMIT ${SAMPLE}`,
    ...[0, 1, 2].map((kind) => `SELECT id FROM delivery WHERE lane = :lane AND class = ${kind} AND state = 'pending' ORDER BY due, id LIMIT ${SAMPLE}`),
  ]
  for (const sql of places) for (const { id } of await tx.query<{ id: number }>(sql, sql.includes(':upTo') ? { lane, upTo } : { lane })) ids.add(id)
  return tx.query<AttemptFact>(`SELECT a.at, a.ms, a.outcome, a.status, a.detail FROM json_each(:ids) j CROSS JOIN attempt a ON a.delivery = j.value ORDER BY a.at DESC LIMIT ${ATTEMPTS}`, { ids: JSON.stringify([...ids]) })
}

function medianOf(attempts: readonly AttemptFact[]): number {
  const sorted = attempts.map(({ ms }) => ms).toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

const iso = (at: number) => new Date(at).toISOString()
const rate = (perSecond: number) => `${perSecond < 10 ? Math.round(perSecond * 10) / 10 : Math.round(perSecond)}/s`

function duration(ms: number): string {
  const of = (n: number, unit: string) => `${Math.round(n * 10) / 10} ${unit}`
  if (ms < 1000) return of(ms, 'ms')
  if (ms < 120_000) return of(ms / 1000, 's')
  if (ms < 7_200_000) return of(ms / 60_000, 'min')
  return ms < 172_800_000 ? of(ms / 3_600_000, 'h') : of(ms / 86_400_000, 'd')
}
