/**
 * What a scraper reads: counters folded from the engine's own events, gauges read from the store and from what protects the services when asked.
 * Prometheus text format 0.0.4. Labels come from our own words only, never from a client, so that their number is bounded.
 */
import type { Clock } from '../../clock.ts'
import type { Fields, Log } from '../../events.ts'

/** Upper bounds of the histograms, seconds. */
const HOP_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const RESOLUTION_BUCKETS = [1, 5, 15, 60, 300, 3600, 86_400]

/** Outcomes whose beginning is remembered, to say how long they were unknown. */
const UNKNOWN_KEPT = 10_000

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

/** Read when scraped. */
export interface Stock {
  unknown: number
  /** When the oldest unknown outcome's request was first sent, ms since 1970. */
  oldest: number | null
  owed: number
  queued: number
  running: number
}

/** Of what stands before the services. */
export interface Gauge {
  name: string
  help: string
  series: readonly { labels: Record<string, string>; value: number }[]
}

export class Metrics {
  readonly #clock: Clock
  readonly #counters = new Map<string, Counter>()
  readonly #histograms = new Map<string, Histogram>()
  /** Since when payments are unknown, monotonic ms. */
  readonly #unknownSince = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
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

  text(stock: Stock, gauges: readonly Gauge[]): string {
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
    const gauge = (name: string, help: string, value: number) => {
      begin(name, 'gauge', help)
      lines.push(`resil_${name} ${value}`)
    }
    gauge('payments_running', 'payments that this node is driving', stock.running)
    gauge('payments_unknown', 'payments of which it is not known whether the bank charged', stock.unknown)
    gauge('payments_unknown_oldest_seconds', 'age of the oldest of them', stock.oldest === null ? 0 : Math.max(0, (this.#clock.now() - stock.oldest) / 1000))
    gauge('payments_queued', 'payments that are charged later, with consent', stock.queued)
    gauge('outbox_owed', 'notifications, captures and voids that are owed', stock.owed)
    for (const { name, help, series } of gauges) {
      begin(name, 'gauge', help)
      for (const { labels, value } of series) lines.push(`resil_${name}${written(Object.keys(labels), Object.values(labels))} ${value}`)
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
      case 'retry.denied':
        this.#add('retries_denied_total', 'retries that their budget denied', { service: fields['service'] })
        break
      case 'breaker.changed':
        this.#add('breaker_changes_total', 'moves of breakers between states', { service: fields['service'], from: fields['from'], to: fields['to'] })
        break
      case 'dependency.warned':
        this.#add('dependency_warnings_total', 'services that became slow', { service: fields['service'] })
        break
      case 'payment.alarmed':
        this.#add('alarms_total', 'calls for an operator', {})
        break
      case 'payment.contradicted':
        this.#add('told_truth_mismatches_total', 'payments whose answer the bank contradicted', {})
    }
  }

  #resolved(fields: Fields): void {
    const why = String(fields['why'])
    const source = why.startsWith("the bank's event") ? 'webhook' : why.startsWith('operator') ? 'operator' : why.startsWith('reconciled') ? 'reconciliation' : 'lookup'
    const since = this.#unknownSince.get(fields['payment'])
    this.#unknownSince.delete(fields['payment'])
    this.#add('payments_resolved_total', 'unknown outcomes that became known, by where the news came from', { to: fields['to'], source })
    if (since !== undefined) this.#observe('payment_unknown_seconds', 'how long outcomes were unknown', {}, (this.#clock.monotonic() - since) / 1000, RESOLUTION_BUCKETS)
  }

  #add(name: string, help: string, labels: Record<string, string>): void {
    let counter = this.#counters.get(name)
    if (!counter) this.#counters.set(name, (counter = { help, labels: Object.keys(labels), series: new Map() }))
    const values = Object.values(labels).join(SEPARATOR)
    counter.series.set(values, (counter.series.get(values) ?? 0) + 1)
  }

  #observe(name: string, help: string, labels: Record<string, string>, seconds: number, bounds: readonly number[]): void {
    let histogram = this.#histograms.get(name)
    if (!histogram) this.#histograms.set(name, (histogram = { help, labels: Object.keys(labels), bounds, series: new Map() }))
    const values = Object.values(labels).join(SEPARATOR)
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

function written(labels: readonly string[], values: readonly string[]): string {
  if (labels.length === 0) return ''
  return `{${labels.map((label, n) => `${label}="${values[n]!.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`).join(',')}}`
}
