/**
 * What somebody who watches a chaos proxy from outside should see: its proxies, their traffic second by second, which toxics struck and when.
 * A pure fold over what the watcher tells: lines of the journal as they are, and
 *
 *   watch.polled    url seed uptimeMs proxies    what the proxy says of itself
 *   watch.lost      why                          it does not answer; until the next watch.polled
 *   watch.refused   why                          a key could not do what it says
 *
 * Seconds are the proxy's own, counted from its start.
 */
import type { Event } from '../events.ts'
import type { Traffic } from '../proxy/traffic.ts'
import type { ProxyFacts } from './proxy-client.ts'

export interface WatchedFacts extends ProxyFacts {
  traffic: Traffic
}

/** What went over a proxy within one second. */
export interface Second {
  second: number
  bytes: number
  requests: number
}

export interface WatchedProxy extends WatchedFacts {
  /** The oldest first; seconds in which nothing went are not there. */
  seconds: readonly Second[]
  /** Of the last whole seconds, averaged over a few. */
  requestsPerS: number
  bytesPerS: number
  /** Mean length of the exchanges that ended lately; null when none did. */
  meanMs: number | null
}

export interface ProxyView {
  url: string
  seed: string
  /** Of the proxy, at the latest word from it, ms. */
  uptimeMs: number
  /** Wall time of the latest word from it. */
  heardAt: number
  lost: { why: string } | null
  refused: string
  proxies: readonly WatchedProxy[]
  /** Seconds in which a toxic struck, by proxy and toxic. */
  strikes: ReadonlyMap<string, readonly number[]>
  /** Of the journal, the oldest first. */
  events: readonly Event[]
}

/** Seconds that are remembered. */
export const SECONDS_KEPT = 180
export const EVENTS_KEPT = 500
/** Seconds over which a rate is averaged. */
const RATE_SECONDS = 3

export const empty = (): ProxyView => ({ url: '', seed: '', uptimeMs: 0, heardAt: 0, lost: null, refused: '', proxies: [], strikes: new Map(), events: [] })

export const strikeKey = (proxy: string, toxic: string): string => JSON.stringify([proxy, toxic])

export function fold(view: ProxyView, event: Event): ProxyView {
  switch (event.type) {
    case 'watch.polled':
      return polled(event['uptimeMs'] < view.uptimeMs ? empty() : view, event) // another one has begun there
    case 'watch.lost':
      return { ...view, lost: { why: event['why'] } }
    case 'watch.refused':
      return { ...view, refused: event['why'] }
    default:
      return { ...view, events: [...view.events, event].slice(-EVENTS_KEPT), strikes: event.type === 'toxic.hit' ? struck(view.strikes, event) : view.strikes }
  }
}

function struck(strikes: ProxyView['strikes'], { link, toxic, t }: Event): ProxyView['strikes'] {
  const key = strikeKey(link, toxic)
  const second = Math.floor(t / 1000)
  const before = strikes.get(key) ?? []
  return before.at(-1) === second ? strikes : new Map(strikes).set(key, [...before, second].slice(-SECONDS_KEPT))
}

function polled(view: ProxyView, { url, seed, uptimeMs, at, proxies }: Event): ProxyView {
  const before = new Map(view.proxies.map((proxy) => [proxy.name, proxy]))
  const known = new Set((proxies as WatchedFacts[]).flatMap(({ name, toxics }) => toxics.map((toxic) => strikeKey(name, toxic.name))))
  return {
    ...view,
    url,
    seed: String(seed),
    uptimeMs,
    heardAt: at,
    lost: null,
    refused: view.lost ? '' : view.refused,
    // What struck and is gone is forgotten once it has left the picture.
    strikes: new Map([...view.strikes].filter(([key, seconds]) => known.has(key) || seconds.at(-1)! > uptimeMs / 1000 - SECONDS_KEPT)),
    proxies: (proxies as WatchedFacts[]).map((facts) => watched(facts, before.get(facts.name), Math.floor(uptimeMs / 1000))),
  }
}

const bytesOf = ({ upstream, downstream }: Traffic) => upstream.received + downstream.received

function watched(facts: WatchedFacts, before: WatchedProxy | undefined, second: number): WatchedProxy {
  // A proxy that was made anew under the same name begins at nothing.
  const last = before && before.traffic.connectionsTotal <= facts.traffic.connectionsTotal ? before : undefined
  if (!last) return { ...facts, seconds: [], requestsPerS: 0, bytesPerS: 0, meanMs: null }
  const { traffic } = facts
  const bytes = Math.max(0, bytesOf(traffic) - bytesOf(last.traffic))
  const requests = traffic.requestsTotal - last.traffic.requestsTotal
  const current = last.seconds.at(-1)
  const grown = bytes === 0 && requests === 0 ? last.seconds : current?.second === second ? [...last.seconds.slice(0, -1), { second, bytes: current.bytes + bytes, requests: current.requests + requests }] : [...last.seconds, { second, bytes, requests }]
  const seconds = grown.filter((one) => one.second > second - SECONDS_KEPT)
  const lately = seconds.filter((one) => one.second < second && one.second >= second - RATE_SECONDS)
  const ended = traffic.latency.count - last.traffic.latency.count
  return {
    ...facts,
    seconds,
    requestsPerS: lately.reduce((sum, one) => sum + one.requests, 0) / RATE_SECONDS,
    bytesPerS: lately.reduce((sum, one) => sum + one.bytes, 0) / RATE_SECONDS,
    meanMs: ended > 0 ? (traffic.latency.sumMs - last.traffic.latency.sumMs) / ended : lately.length > 0 ? last.meanMs : null,
  }
}

/** What it came to, in a sentence. */
export function story({ proxies, strikes, uptimeMs }: ProxyView): string {
  const open = proxies.reduce((sum, { traffic }) => sum + traffic.connectionsOpen, 0)
  const rate = proxies.reduce((sum, { requestsPerS }) => sum + requestsPerS, 0)
  const toxics = proxies.flatMap(({ name, toxics: list }) => list.map((toxic) => ({ ...toxic, key: strikeKey(name, toxic.name) })))
  const active = toxics.filter(({ key }) => (strikes.get(key)?.at(-1) ?? -Infinity) > uptimeMs / 1000 - 10).length
  const idle = toxics.filter(({ hits }) => hits === 0).length
  const count = (n: number, one: string, many: string) => `${n} ${n === 1 ? one : many}`
  const parts = [
    `${count(open, 'connection is', 'connections are')} open on ${count(proxies.length, 'proxy', 'proxies')}${rate > 0 ? `, ${rate < 10 ? rate.toFixed(1) : Math.round(rate)} requests a second` : ''}.`,
    toxics.length === 0 ? 'No toxic is on.' : `${active === 0 ? 'No toxic' : count(active, 'toxic', 'toxics')} struck in the last 10 s${idle === 0 ? '' : `; ${count(idle, 'has', 'have')} never struck`}.`,
  ]
  return parts.join(' ')
}
