/**
 * What a scraper reads: counters folded from the engine's own events, gauges read from the store when asked. Prometheus text format 0.0.4.
 * Labels are words of ours, never an endpoint or a tenant: their number is bounded, however many there are of those.
 */
import type { Clock } from '../../clock.ts'
import type { Fields, Log } from '../../events.ts'
import type { Store } from '../store/store.ts'
import { deathWord } from './book.ts'

/** Upper bounds, seconds: from an event's taking in to its being taken; and of one attempt. */
const LAG_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800, 7200, 36_000, 259_200]
const ATTEMPT_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30]
/** Series of one counter; what comes beyond counts as one. Ours are a dozen. */
const MOST_SERIES = 500
/** Lanes with a backlog in which the oldest is looked for. */
const OLDEST_LANES = 1000

/** Of all nodes; each look goes by an index or by the lanes, never by deliveries. */
export interface Stock {
  waiting: number
  delivered: number
  dead: number
  cancelled: number
  /** ms since 1970. */
  oldest: number | null
  endpoints: Record<string, number>
  parked: number
  quiet: number
  replays: Record<string, number>
}

export function takeStock(store: Store, now: number): Promise<Stock> {
  return store.transaction('gauges', async (tx) => {
    const [sums] = await tx.query<{ seq: number; delivered: number; dead: number; cancelled: number; parked: number; quiet: number }>(
      `SELECT COALESCE(SUM(seq), 0) AS seq, COALESCE(SUM(delivered), 0) AS delivered, COALESCE(SUM(dead), 0) AS dead, COALESCE(SUM(cancelled), 0) AS cancelled,
         COALESCE(SUM(CASE WHEN breaker IS NOT NULL AND json_extract(breaker, '$.state') = 'open' THEN 1 ELSE 0 END), 0) AS parked,
         COALESCE(SUM(CASE WHEN quiet_until > :now THEN 1 ELSE 0 END), 0) AS quiet
       FROM lane`,
      { now },
    )
    const [oldest] = await tx.query<{ at: number | null }>(
      `SELECT MIN((SELECT d.created_at FROM delivery d WHERE d.lane = l.lane AND d.class = 0 AND d.state = 'pending' ORDER BY d.due, d.id LIMIT 1)) AS at
       FROM (SELECT lane FROM lane WHERE seq > delivered + dead + cancelled ORDER BY lane LIMIT ${OLDEST_LANES}) AS l`,
    )
    const endpoints = await tx.query<{ state: string; n: number }>('SELECT state, COUNT(*) AS n FROM endpoint GROUP BY state')
    const replays = await tx.query<{ state: string; n: number }>('SELECT state, COUNT(*) AS n FROM replay GROUP BY state')
    const { seq, delivered, dead, cancelled, parked, quiet } = sums!
    const byState = (rows: readonly { state: string; n: number }[]) => Object.fromEntries(rows.map(({ state, n }) => [state, n]))
    return { waiting: seq - delivered - dead - cancelled, delivered, dead, cancelled, oldest: oldest!.at, endpoints: byState(endpoints), parked, quiet, replays: byState(replays) }
  })
}

/** What this node does now. */
export interface Doing {
  inFlight: number
  lanes: number
}

interface Counter {
  help: string
  labels: readonly string[]
  /** By the values of the labels. */
  series: Map<string, number>
}

interface Histogram {
  help: string
  bounds: readonly number[]
  /** The last bucket has no bound. */
  counts: number[]
  sum: number
}

export class Metrics {
  readonly #clock: Clock
  readonly #counters = new Map<string, Counter>()
  readonly #histograms = new Map<string, Histogram>()

  constructor(clock: Clock) {
    this.#clock = clock
    // What an alarm looks at must be there before it happens.
    for (const reason of ['age', 'poison', 'too_large', 'forbidden']) this.#add('webhook_deaths_total', DEATHS, { reason }, 0)
    this.#add('webhook_lanes_parked_total', PARKINGS, {}, 0)
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

  text(stock: Stock, doing: Doing): string {
    const lines: string[] = []
    const begin = (name: string, type: string, help: string) => void lines.push(`# HELP resil_${name} ${help}`, `# TYPE resil_${name} ${type}`)
    for (const [name, { help, labels, series }] of this.#counters) {
      begin(name, 'counter', help)
      for (const [values, count] of series) lines.push(`resil_${name}${written(labels, values.split(SEPARATOR))} ${count}`)
    }
    for (const [name, { help, bounds, counts, sum }] of this.#histograms) {
      begin(name, 'histogram', help)
      let total = 0
      counts.forEach((count, n) => {
        total += count
        lines.push(`resil_${name}_bucket${written(['le'], [n < bounds.length ? String(bounds[n]) : '+Inf'])} ${total}`)
      })
      lines.push(`resil_${name}_sum ${sum}`, `resil_${name}_count ${total}`)
    }
    const gauge = (name: string, help: string, series: readonly (readonly [Record<string, string>, number])[]) => {
      begin(name, 'gauge', help)
      for (const [labels, value] of series) lines.push(`resil_${name}${written(Object.keys(labels), Object.values(labels))} ${value}`)
    }
    const { waiting, delivered, dead, cancelled, oldest, endpoints, parked, quiet, replays } = stock
    gauge('webhook_deliveries', 'deliveries so far, by where they stand; a replay takes back what it sends again', Object.entries({ waiting, delivered, dead, cancelled }).map(([state, value]) => [{ state }, value]))
    gauge('webhook_oldest_waiting_seconds', 'age of the oldest that waits for its first attempt', [[{}, oldest === null ? 0 : Math.max(0, (this.#clock.now() - oldest) / 1000)]])
    gauge('webhook_endpoints', 'endpoints, by state', ['enabled', 'paused', 'disabled'].map((state) => [{ state }, endpoints[state] ?? 0]))
    gauge('webhook_lanes_parked', 'lanes whose endpoint is down', [[{}, parked]])
    gauge('webhook_lanes_quiet', 'lanes whose endpoint asked to be left alone', [[{}, quiet]])
    gauge('webhook_replays', 'replays, by state', ['running', 'paused', 'cancelled', 'done'].map((state) => [{ state }, replays[state] ?? 0]))
    gauge('webhook_in_flight', 'attempts of this node that are under way', [[{}, doing.inFlight]])
    gauge('webhook_lanes_owned', 'lanes that this node sends for', [[{}, doing.lanes]])
    return `${lines.join('\n')}\n`
  }

  #count(type: string, fields: Fields): void {
    switch (type) {
      case 'delivery.attempted':
        this.#add('webhook_attempts_total', 'attempts, by what their end means', { meaning: String(fields['meaning']) })
        this.#observe('webhook_attempt_seconds', 'duration of attempts', Number(fields['ms']) / 1000, ATTEMPT_BUCKETS)
        if (fields['lagMs'] !== undefined) this.#observe('webhook_lag_seconds', 'from the taking in of an event, or the asking for a replay, to its delivery', Number(fields['lagMs']) / 1000, LAG_BUCKETS)
        break
      case 'delivery.died':
        this.#add('webhook_deaths_total', DEATHS, { reason: deathWord(fields['reason'] ?? null) })
        break
      case 'deliveries.aged':
        this.#add('webhook_deaths_total', DEATHS, { reason: 'age' }, Number(fields['deliveries']))
        break
      case 'delivery.acknowledged':
        this.#add('webhook_acknowledged_total', 'deliveries that were acknowledged later', {})
        break
      case 'lane.parked':
        this.#add('webhook_lanes_parked_total', PARKINGS, {})
        break
      case 'lane.probed':
        this.#add('webhook_probes_total', 'attempts that knock at a parked lane', {})
        break
      case 'lane.fenced':
        this.#add('webhook_lanes_fenced_total', 'ends of attempts that came after the lane had another owner', {})
        break
      case 'endpoint.disabled':
        this.#add('webhook_endpoints_disabled_total', 'endpoints that the engine disabled', {})
        break
      case 'store.failed':
        this.#add('webhook_store_failures_total', 'works that the store could not do', { code: String(fields['code']) })
    }
  }

  #add(name: string, help: string, labels: Record<string, string>, count = 1): void {
    let counter = this.#counters.get(name)
    if (!counter) this.#counters.set(name, (counter = { help, labels: Object.keys(labels), series: new Map() }))
    const word = Object.values(labels).join(SEPARATOR)
    const values = counter.series.size < MOST_SERIES || counter.series.has(word) ? word : Object.keys(labels).map(() => 'other').join(SEPARATOR)
    counter.series.set(values, (counter.series.get(values) ?? 0) + count)
  }

  #observe(name: string, help: string, seconds: number, bounds: readonly number[]): void {
    let one = this.#histograms.get(name)
    if (!one) this.#histograms.set(name, (one = { help, bounds, counts: Array<number>(bounds.length + 1).fill(0), sum: 0 }))
    let n = 0
    while (n < bounds.length && seconds > bounds[n]!) n++
    one.counts[n]!++
    one.sum += seconds
  }
}

const DEATHS = 'deliveries that were given up, by why'
const PARKINGS = 'lanes that were parked because their endpoint was down'

/** Stands in none of our words. */
const SEPARATOR = '\u0000'

function written(labels: readonly string[], values: readonly string[]): string {
  if (labels.length === 0) return ''
  return `{${labels.map((label, n) => `${label}="${values[n]!.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`).join(',')}}`
}
