/** What went over one link, counted as it goes: the figures move while a connection is open. */

/** Upper bounds of the latency histogram, ms; a last bucket takes the rest. */
export const LATENCY_BUCKETS_MS = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000] as const

export interface Traffic {
  connectionsTotal: number
  connectionsOpen: number
  /** Connections whose way to the service was not found, or was refused by a rule. */
  connectionsFailed: number
  /** Bytes in each direction: as they came in, and as they went out. */
  upstream: { received: number; sent: number }
  downstream: { received: number; sent: number }
  requestsTotal: number
  /** Asked, and neither answered nor cut. */
  requestsInFlight: number
  /** Answers by the first digit of their status. */
  answers: Record<string, number>
  /** Exchanges that ended without an answer. */
  cut: number
  /** From the request's head to the answer's last byte. `buckets[i]`: those of at most LATENCY_BUCKETS_MS[i] and more than the bound before; the last: the rest. */
  latency: { buckets: number[]; count: number; sumMs: number }
}

export function noTraffic(): Traffic {
  return {
    connectionsTotal: 0,
    connectionsOpen: 0,
    connectionsFailed: 0,
    upstream: { received: 0, sent: 0 },
    downstream: { received: 0, sent: 0 },
    requestsTotal: 0,
    requestsInFlight: 0,
    answers: {},
    cut: 0,
    latency: { buckets: Array.from({ length: LATENCY_BUCKETS_MS.length + 1 }, () => 0), count: 0, sumMs: 0 },
  }
}

export function answered(traffic: Traffic, status: number, ms: number): void {
  const { latency } = traffic
  const digit = String(Math.floor(status / 100))
  traffic.requestsInFlight--
  traffic.answers[digit] = (traffic.answers[digit] ?? 0) + 1
  let at = 0
  while (at < LATENCY_BUCKETS_MS.length && ms > LATENCY_BUCKETS_MS[at]!) at++
  latency.buckets[at]!++
  latency.count++
  latency.sumMs += ms
}
