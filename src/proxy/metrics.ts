/** The figures of all proxies as Prometheus reads them (text format 0.0.4). Toxiproxy's two counters keep their names and labels. */
import type { Journal } from './journal.ts'
import type { Proxies, Proxy } from './proxies.ts'
import { LATENCY_BUCKETS_MS } from './traffic.ts'

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

type Labels = Record<string, string>
type Sample = [labels: Labels, value: number]

export function metrics(proxies: Proxies, journal: Journal): string {
  const all = proxies.list()
  const each = (value: (proxy: Proxy) => number): Sample[] => all.map((proxy) => [{ proxy: proxy.name }, value(proxy)])
  const bytes = (way: 'received' | 'sent'): Sample[] =>
    all.flatMap(({ name, listen, upstream, link: { traffic } }) => (['downstream', 'upstream'] as const).map((direction): Sample => [{ direction, proxy: name, listener: listen, upstream }, traffic[direction][way]]))
  return [
    family('toxiproxy_proxy_received_bytes_total', 'counter', 'Bytes that came in, by direction.', bytes('received')),
    family('toxiproxy_proxy_sent_bytes_total', 'counter', 'Bytes that went out, by direction.', bytes('sent')),
    family('resil_proxy_enabled', 'gauge', 'Whether the proxy is on.', each(({ enabled }) => Number(enabled))),
    family('resil_proxy_connections', 'gauge', 'Connections that are open.', each(({ link }) => link.traffic.connectionsOpen)),
    family('resil_proxy_connections_total', 'counter', 'Connections that came.', each(({ link }) => link.traffic.connectionsTotal)),
    family('resil_proxy_connections_failed_total', 'counter', 'Connections that a rule refused, or whose service was not reached.', each(({ link }) => link.traffic.connectionsFailed)),
    family('resil_proxy_requests_total', 'counter', 'HTTP requests.', each(({ link }) => link.traffic.requestsTotal)),
    family('resil_proxy_requests_in_flight', 'gauge', 'HTTP requests that are neither answered nor cut.', each(({ link }) => link.traffic.requestsInFlight)),
    family('resil_proxy_requests_cut_total', 'counter', 'HTTP requests that ended without an answer.', each(({ link }) => link.traffic.cut)),
    family(
      'resil_proxy_answers_total',
      'counter',
      'HTTP answers, by class of status.',
      all.flatMap(({ name, link }) => Object.entries(link.traffic.answers).map(([digit, value]): Sample => [{ proxy: name, class: `${digit}xx` }, value])),
    ),
    family('resil_toxic_hits_total', 'counter', 'Times that a toxic struck, by type.', [...journal.hitsByType].map(([type, value]): Sample => [{ type }, value])),
    family(
      'resil_toxic_rule_hits',
      'gauge',
      'Times that the toxics that are there now struck.',
      all.flatMap(({ name, rules }) => rules.list().map((rule): Sample => [{ proxy: name, toxic: rule.name, type: rule.toxic.name }, rule.hits])),
    ),
    latencies(all),
  ].join('')
}

function family(name: string, type: string, help: string, samples: readonly Sample[]): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.map(([labels, value]) => `${name}${inBraces(labels)} ${value}\n`).join('')}`
}

function latencies(all: readonly Proxy[]): string {
  const name = 'resil_proxy_request_duration_seconds'
  const lines = all.flatMap(({ name: proxy, link }) => {
    const { buckets, count, sumMs } = link.traffic.latency
    let below = 0
    return [
      ...buckets.map((n, i) => {
        below += n
        const bound = LATENCY_BUCKETS_MS[i]
        return `${name}_bucket${inBraces({ proxy, le: bound === undefined ? '+Inf' : String(bound / 1000) })} ${below}\n`
      }),
      `${name}_sum${inBraces({ proxy })} ${sumMs / 1000}\n`,
      `${name}_count${inBraces({ proxy })} ${count}\n`,
    ]
  })
  return `# HELP ${name} From the head of a request to the last byte of its answer.\n# TYPE ${name} histogram\n${lines.join('')}`
}

function inBraces(labels: Labels): string {
  return `{${Object.entries(labels).map(([key, value]) => `${key}="${value.replace(/[\\"\n]/g, (sign) => (sign === '\n' ? '\\n' : `\\${sign}`))}"`).join(',')}}`
}
