/**
 * What the invariants of webhooks judge by: what producers were told, what customers saw and did, and the rows of the store as the laboratory read them when all
 * had come to rest. Nothing that an engine says of itself.
 */
import type { Event } from '../../events.ts'
import type { Invariant, Judgement } from '../../invariant.ts'
import { judgedAtTheEnd } from '../../invariant.ts'

export interface Accepted {
  seq: number
  t: number
  event: string
  deliveries: number
}

/** One request at a customer. */
export interface Received {
  seq: number
  t: number
  customer: string
  id: string | null
  sequence: number | null
  signed: string
  processed: boolean
  status: number
  /** Seconds that it asked to be left alone for, as ms. */
  retryAfterMs?: number
}

/** A row of the store. */
export interface Observed {
  seq: number
  event: string
  endpoint: string
  customer: string | null
  n: number
  state: string
  reason: string | null
  tries: number
  replayed: boolean
  chain: string | null
  /** It waits, and its endpoint is paused or disabled. */
  held: boolean
}

/** From a request to its answer: no attempt may take longer. */
const ATTEMPT_LONGEST_MS = 30_000

export class Evidence {
  readonly accepted: Accepted[] = []
  readonly received: Received[] = []
  readonly processed = new Set<string>()
  readonly observed: Observed[] = []
  readonly attempts: { seq: number; customer: string | null; attempts: number; answered: number }[] = []
  repeats: { seq: number; repeats: number; examples: readonly { event: string; endpoint: string }[] } | undefined
  counters: { seq: number; lanes: number; untrue: number; examples: readonly unknown[] } | undefined
  /** When nodes died, stood still or ended, or a store did not write: what was in flight then is sent again and not written down. ms since the run began. */
  readonly interruptions: number[] = []
  /** Answers that a fault put in the place of the customer's, and requests that it kept from it or sent twice, by customer. */
  readonly faults = new Map<string, number>()
  /** Customers whose clock is off, and whether the engine's ever was. */
  readonly skewed = new Set<string>()
  stepped = false
  /** Endpoints of each customer. */
  readonly endpoints = new Map<string, Set<string>>()
  /** Customers that were once not as they should be, or could not be reached: by their mood, by what stood before them, or by an answer. */
  readonly ill = new Set<string>()
  /** What messages wait for after their own failures. */
  delays: { schedule: readonly number[]; jitter: number; breakerFailures: number } | undefined

  on(event: Event): void {
    const take = <T>(list: T[]) => void list.push(event as unknown as T)
    switch (event.type) {
      case 'event.accepted': return take(this.accepted)
      case 'customer.received':
        if (event['processed']) this.processed.add(`${event['customer']}/${event['id']}`)
        if (event['status'] < 200 || event['status'] >= 300) this.ill.add(event['customer'])
        return take(this.received)
      case 'customer.processed':
        if (event['processed']) this.processed.add(`${event['customer']}/${event['id']}`)
        return
      case 'delivery.observed': return take(this.observed)
      case 'attempts.observed': return take(this.attempts)
      case 'repeats.observed': this.repeats = event as unknown as Evidence['repeats']; return
      case 'counters.observed': this.counters = event as unknown as Evidence['counters']; return
      case 'node.killed': case 'node.paused': case 'node.terminated': case 'store.spoilt': this.interruptions.push(event.t); return
      case 'toxic.hit':
        this.ill.add(event['link'])
        this.faults.set(event['link'], (this.faults.get(event['link']) ?? 0) + 1)
        return
      case 'endpoint.added': this.endpoints.set(event['customer'], (this.endpoints.get(event['customer']) ?? new Set()).add(event['endpoint'])); return
      case 'customer.changed':
        if (event['mood'] !== 'healthy' && event['mood'] !== 'receipt') this.ill.add(event['customer'])
        return
      case 'customer.spoilt': this.ill.add(event['customer']); return
      case 'link.downed': this.ill.add(event['link']); return
      case 'delays.promised': this.delays = event as unknown as Evidence['delays']; return
      case 'customer.skewed': this.skewed.add(event['customer']); return
      case 'clock.stepped': this.stepped = true
    }
  }

  /** Those whose requests are all of one lane. */
  get withOneEndpoint(): string[] {
    return [...this.endpoints].filter(([, endpoints]) => endpoints.size === 1).map(([customer]) => customer)
  }

  /** Whether a node was interrupted between the sending of a request that was answered at `from` and `to`, ms since the run began. */
  interrupted(from: number, to: number): boolean {
    return this.interruptions.some((t) => t >= from - ATTEMPT_LONGEST_MS && t <= to)
  }
}

/** An invariant that looks at the evidence when all is in. */
export function atTheEnd(name: string, summary: string, judge: (evidence: Evidence) => Judgement): Invariant {
  return judgedAtTheEnd(name, summary, { gather: () => new Evidence(), lacks: (evidence) => (evidence.counters ? undefined : 'the store was not read'), judge })
}
