/**
 * What a scraper reads: counters folded from the engine's own events, gauges read from the store and from what protects the services when asked.
 * Prometheus text format 0.0.4. Labels come from our own words only, never from a client, so that their number is bounded:
 * a breaker of one caller counts for its service.
 */
import type { Clock } from '../../clock.ts'
import type { Fields, Log } from '../../events.ts'
import type { Store } from '../store/store.ts'
import { CONTRADICTED } from './reconcile.ts'

/** Upper bounds of the histograms, seconds. */
const HOP_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const RESOLUTION_BUCKETS = [1, 5, 15, 60, 300, 3600, 86_400]
const OPEN_BUCKETS = [1, 5, 10, 30, 60, 300, 3600]

/** Series of one metric; what comes beyond counts as one. Ours are some dozens. */
const MOST_SERIES = 500

/** Outcomes whose beginning is remembered, to say how long they were unknown; and breakers that are followed while they are open. */
const UNKNOWN_KEPT = 10_000
const OPEN_KEPT = 1000

interface Counter {
  help: string
  labels: readonly string[]
  /** By the values of the labels. */
  series: Map<string, number>
}

interface Histogram {
  help: string
  labels: readonly string[]
  bounds: readonly number[]
  /** By the values of the labels: how many fell into each bucket, the last of which has no bound, and their sum. */
  series: Map<string, { counts: number[]; sum: number }>
}

/** Read from the store when scraped: of all nodes, and of what operators did in processes of their own. */
export interface Stock {
  unknown: number
  /** When the oldest unknown outcome's request was first sent, ms since 1970. */
  oldest: number | null
  refunds: number
  queued: number
  notifications: number
  captures: number
  voids: number
  /** Payments that a person resolved, so far. */
  resolvedCharged: number
  resolvedNot: number
  /** Payments whose answer a reconciliation contradicted, so far. */
  contradicted: number
}

/** Each count goes through an index, or through a table that stays small: a scrape costs the same however many payments there are. */
export async function takeStock(store: Store): Promise<Stock> {
  const [stock] = await store.transaction('gauges', (tx) =>
    tx.query<Stock>(
      // The first condition is the index's own, word for word: without it, it is not used.
      `SELECT (SELECT COUNT(*) FROM payments WHERE state IN ('claimed', 'sent', 'unknown') AND state = 'unknown') AS unknown,
              (SELECT MIN(first_sent_at) FROM payments WHERE state IN ('claimed', 'sent', 'unknown') AND state = 'unknown') AS oldest,
              (SELECT COUNT(*) FROM refunds WHERE state IN ('sent', 'unknown') AND state = 'unknown') AS refunds,
              (SELECT COUNT(*) FROM payments WHERE state = 'queued') AS queued,
              (SELECT COUNT(*) FROM outbox WHERE state = 'ready' AND kind = 'notification') AS notifications,
              (SELECT COUNT(*) FROM outbox WHERE state = 'ready' AND kind = 'capture') AS captures,
              (SELECT COUNT(*) FROM outbox WHERE state = 'ready' AND kind = 'void') AS voids,
              (SELECT COUNT(*) FROM audits WHERE what = 'resolve as charged') AS "resolvedCharged",
              (SELECT COUNT(*) FROM audits WHERE what = 'resolve as not-charged') AS "resolvedNot",
              (SELECT COUNT(DISTINCT subject) FROM audits WHERE what = :contradicted) AS contradicted`,
      { contradicted: CONTRADICTED },
    ),
  )
  return stock!
}

/** Of what stands before the services; read when scraped. A `counter` only grows. */
export interface Gauge {
  name: string
  help: string
  type?: 'counter'
  series: readonly { labels: Record<string, string>; value: number }[]
}

/** A breaker between its first opening and its closing. */
interface Opening {
  /** Monotonic ms. */
  since: number
  /** How far its first trial is; `over` when that has failed. */
  trial: 'awaited' | 'under way' | 'over'
}

export class Metrics {
  readonly #clock: Clock
  readonly #counters = new Map<string, Counter>()
  readonly #histograms = new Map<string, Histogram>()
  /** Since when payments are unknown, monotonic ms. */
  readonly #unknownSince = new Map<string, number>()
  /** Breakers that are not closed, by name. */
  readonly #openings = new Map<string, Opening>()

  constructor(clock: Clock) {
    this.#clock = clock
    // What an alarm looks at must be there before it happens.
    this.#add('payments_unknown_total', 'outcomes that became unknown', {}, 0)
    this.#add('alarms_total', 'calls for an operator', {}, 0)
    this.#contradicted('webhook', 0)
  }

  /** A log that counts what passes. */
  tee(log: Log): Log {
    return {
      emit: (type, fields = {}) => {
        this.#count(type, fields)
        log.emit(type, fields)
      },
    }
  }

  /** `running`: payments that this node is driving. */
  text(stock: Stock, running: number, gauges: readonly Gauge[]): string {
    this.#resolvedBy('operator', 'succeeded', stock.resolvedCharged)
    this.#resolvedBy('operator', 'voided', stock.resolvedNot)
    this.#contradicted('reconciliation', stock.contradicted)
    const lines: string[] = []
    const begin = (name: string, type: string, help: string) => void lines.push(`# HELP resil_${name} ${help}`, `# TYPE resil_${name} ${type}`)
    for (const [name, { help, labels, series }] of this.#counters) {
      begin(name, 'counter', help)
      for (const [values, count] of series) lines.push(`resil_${name}${written(labels, values.split(SEPARATOR))} ${count}`)
    }
    for (const [name, { help, labels, bounds, series }] of this.#histograms) {
      begin(name, 'histogram', help)
      for (const [values, { counts, sum }] of series) {
        const own = labels.length === 0 ? [] : values.split(SEPARATOR)
        let total = 0
        counts.forEach((count, n) => {
          total += count
          lines.push(`resil_${name}_bucket${written([...labels, 'le'], [...own, n < bounds.length ? String(bounds[n]) : '+Inf'])} ${total}`)
        })
        lines.push(`resil_${name}_sum${written(labels, own)} ${sum}`, `resil_${name}_count${written(labels, own)} ${total}`)
      }
    }
    const read: Gauge[] = [
      { name: 'payments_running', help: 'payments that this node is driving', series: [{ labels: {}, value: running }] },
      { name: 'payments_unknown', help: 'payments of which it is not known whether the bank charged', series: [{ labels: {}, value: stock.unknown }] },
      { name: 'payments_unknown_oldest_seconds', help: 'age of the oldest of them', series: [{ labels: {}, value: stock.oldest === null ? 0 : Math.max(0, (this.#clock.now() - stock.oldest) / 1000) }] },
      { name: 'refunds_unknown', help: 'refunds of which it is not known whether the bank gave them back', series: [{ labels: {}, value: stock.refunds }] },
      { name: 'payments_queued', help: 'payments that are charged later, with consent', series: [{ labels: {}, value: stock.queued }] },
      { name: 'outbox_owed', help: 'what is owed to customers and banks', series: [['notification', stock.notifications], ['capture', stock.captures], ['void', stock.voids]].map(([kind, value]) => ({ labels: { kind: String(kind) }, value: Number(value) })) },
    ]
    for (const { name, help, type = 'gauge', series } of [...read, ...gauges]) {
      begin(name, type, help)
      for (const { labels, value } of series.slice(0, MOST_SERIES)) lines.push(`resil_${name}${written(Object.keys(labels), Object.values(labels))} ${value}`)
    }
    return `${lines.join('\n')}\n`
  }

  #count(type: string, fields: Fields): void {
    switch (type) {
      case 'payment.answered':
        this.#add('payments_answered_total', 'answers to clients, by what they said', { told: fields['told'], status: String(fields['status']) })
        break
      case 'payment.moved':
        this.#add('payments_moved_total', 'moves of payments between states', { from: fields['from'], to: fields['to'] })
        if (fields['to'] === 'unknown') {
          this.#add('payments_unknown_total', 'outcomes that became unknown', {})
          if (this.#unknownSince.size >= UNKNOWN_KEPT) this.#unknownSince.delete(this.#unknownSince.keys().next().value!)
          this.#unknownSince.set(fields['payment'], this.#clock.monotonic())
        } else if (fields['from'] === 'unknown' && fields['to'] !== 'sent') this.#resolved(fields)
        break
      case 'hop.ended':
        this.#add('hops_total', 'calls to services, by outcome', { hop: fields['hop'], service: fields['service'], outcome: fields['outcome'] })
        this.#observe('hop_seconds', 'duration of calls to services', { hop: fields['hop'] }, Number(fields['ms']) / 1000, HOP_BUCKETS)
        break
      case 'hop.refused':
        this.#add('hops_refused_total', 'calls that were not made, by what refused them', { hop: fields['hop'], service: fields['service'], by: fields['by'] })
        break
      case 'hop.retried':
        this.#add('hops_retried_total', 'calls that were made again because nothing had happened', { hop: fields['hop'] })
        break
      case 'breaker.opened':
      case 'breaker.half_opened':
      case 'breaker.closed':
      case 'breaker.forced_open':
      case 'breaker.disabled':
      case 'breaker.observed_only':
        this.#followed(String(fields['service']), type.slice('breaker.'.length), fields['why'])
        break
      case 'breaker.trip_observed':
        this.#add('breaker_trips_observed_total', 'openings that did not happen, because the breaker only counts', { service: serviceOf(String(fields['service'])) })
        break
      case 'dependency.warned':
        this.#add('dependency_warnings_total', 'services that became slow', { service: fields['service'] })
        break
      case 'payment.alarmed':
        this.#add('alarms_total', 'calls for an operator', {})
        break
      case 'payment.contradicted':
        this.#contradicted(fields['by'] === 'reconciliation' ? 'reconciliation' : 'webhook', 1)
    }
  }

  #resolved(fields: Fields): void {
    const why = String(fields['why'])
    const source = why.startsWith("the bank's event") ? 'webhook' : why.startsWith('operator') ? 'operator' : why.startsWith('reconciled') ? 'reconciliation' : 'lookup'
    const since = this.#unknownSince.get(fields['payment'])
    this.#unknownSince.delete(fields['payment'])
    this.#resolvedBy(source, fields['to'], 1, 'add')
    if (since !== undefined) this.#observe('payment_unknown_seconds', 'how long outcomes were unknown', {}, (this.#clock.monotonic() - since) / 1000, RESOLUTION_BUCKETS)
  }

  /** An operator's are counted by the store, because they happen in other processes. */
  #resolvedBy(source: string, to: string, count: number, how: 'add' | 'set' = 'set'): void {
    this.#add('payments_resolved_total', 'unknown outcomes that became known, by where the news came from; operator: those of the whole store', { to, source }, count, how)
  }

  #contradicted(source: 'webhook' | 'reconciliation', count: number): void {
    this.#add('told_truth_mismatches_total', 'payments whose answer the bank contradicted, by who noticed; reconciliation: those of the whole store', { source }, count, source === 'webhook' ? 'add' : 'set')
  }

  /** One move of a breaker: how often it moves, how long it takes to close, and whether its first trial finds the service well, so that it opened for nothing. */
  #followed(name: string, to: string, why: unknown): void {
    const service = serviceOf(name)
    this.#add('breaker_transitions_total', 'moves of breakers, by where to', { service, to })
    const opening = this.#openings.get(name)
    switch (to) {
      case 'opened':
        if (!opening) {
          if (this.#openings.size >= OPEN_KEPT) this.#openings.delete(this.#openings.keys().next().value!)
          this.#openings.set(name, { since: this.#clock.monotonic(), trial: why === 'restored' ? 'over' : 'awaited' })
        } else if (opening.trial === 'under way') {
          opening.trial = 'over'
          this.#firstTrial(service, 'opened')
        }
        break
      case 'half_opened':
        if (opening?.trial === 'awaited') opening.trial = 'under way'
        break
      case 'closed':
        if (!opening) break
        if (opening.trial === 'under way' && why === undefined) this.#firstTrial(service, 'closed')
        if (why !== 'hand') this.#observe('breaker_open_seconds', 'from the first opening of a breaker to its closing', { service }, (this.#clock.monotonic() - opening.since) / 1000, OPEN_BUCKETS)
        this.#openings.delete(name)
        break
      default:
        this.#openings.delete(name)
    }
  }

  #firstTrial(service: string, ended: 'closed' | 'opened'): void {
    this.#add('breaker_first_trials_total', 'first trials after an opening, by where they led: those that closed found the service well, and the opening was perhaps for nothing', { service, ended })
  }

  #add(name: string, help: string, labels: Record<string, string>, count = 1, how: 'add' | 'set' = 'add'): void {
    let counter = this.#counters.get(name)
    if (!counter) this.#counters.set(name, (counter = { help, labels: Object.keys(labels), series: new Map() }))
    const values = bounded(counter.series, Object.values(labels))
    counter.series.set(values, how === 'set' ? count : (counter.series.get(values) ?? 0) + count)
  }

  #observe(name: string, help: string, labels: Record<string, string>, seconds: number, bounds: readonly number[]): void {
    let histogram = this.#histograms.get(name)
    if (!histogram) this.#histograms.set(name, (histogram = { help, labels: Object.keys(labels), bounds, series: new Map() }))
    const values = bounded(histogram.series, Object.values(labels))
    let one = histogram.series.get(values)
    if (!one) histogram.series.set(values, (one = { counts: Array<number>(bounds.length + 1).fill(0), sum: 0 }))
    let n = 0
    while (n < bounds.length && seconds > bounds[n]!) n++
    one.counts[n]!++
    one.sum += seconds
  }
}

/** Stands in none of our words. */
const SEPARATOR = '\u0000'

/** The values of the labels as one word; those of a series too many are `other`. */
function bounded(series: ReadonlyMap<string, unknown>, values: readonly string[]): string {
  const word = values.join(SEPARATOR)
  return series.size < MOST_SERIES || series.has(word) ? word : values.map(() => 'other').join(SEPARATOR)
}

/** The service of a breaker; where each caller has one, its name goes on with the caller. */
export const serviceOf = (breaker: string) => breaker.split('/', 1)[0]!

function written(labels: readonly string[], values: readonly string[]): string {
  if (labels.length === 0) return ''
  return `{${labels.map((label, n) => `${label}="${values[n]!.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`).join(',')}}`
}
