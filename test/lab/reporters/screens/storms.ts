/** Storms written by hand: many customers, a bank that fails in the middle, and what protects it saying so. */
import type { Event, Fields, Source } from '../../../../src/events.ts'
import { record } from '../runs.ts'

/** ms between two customers, and when the bank is ill. */
const EVERY_MS = 10
export const ILL_FROM_MS = 20_000
export const ILL_TO_MS = 40_000

type Said = [t: number, src: Source, type: string, fields: Fields]

const INVARIANTS = ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline']

/**
 * `customers` of them, a hundred a second. While the bank is ill every second one is turned away, every third of the others ends in doubt and is found
 * by a look-up 10 s later. `lie`: the number of a customer who is told that nothing was charged, which is false.
 */
export function storm(customers = 6000, { lie = 0, service = 'reference' }: { lie?: number; service?: string } = {}): Event[] {
  const said: Said[] = []
  const say = (...one: Said) => void said.push(one)
  const engine = (t: number, type: string, fields: Fields) => service === 'reference' && say(t, 'engine', type, fields)
  say(0, 'lab', 'run.started', { scenario: 'black-friday', summary: 'many customers', mode: 'sim', seed: 7, subject: service, toxics: [], invariants: INVARIANTS, options: { deadlineMs: 5000 } })
  say(0, 'lab', 'node.started', { incarnation: 1 })
  for (let n = 1; n <= customers; n++) customer(n, n * EVERY_MS)
  engine(1000, 'bulkhead.limit_changed', { service: 'bank', limit: 180, inFlight: 40 })
  say(ILL_FROM_MS, 'proxy', 'toxic.added', { link: 'bank', toxic: 'slow', toxicType: 'latency', stream: 'downstream', toxicity: 1, attributes: { latency: 3000 } })
  say(ILL_TO_MS, 'proxy', 'toxic.removed', { link: 'bank', toxic: 'slow', toxicType: 'latency', stream: 'downstream', toxicity: 1, attributes: { latency: 3000 } })
  engine(21_500, 'dependency.warned', { service: 'bank', recentMs: 1300, usualMs: 500, budgetShare: 0.3 })
  engine(25_000, 'breaker.opened', { service: 'bank', why: 'failures', calls: 120, failures: 110, slow: 9, retryAfterMs: 5000 })
  engine(30_100, 'breaker.half_opened', { service: 'bank', retryAfterMs: 0 })
  engine(31_000, 'retry_budget.emptied', { service: 'bank', inFlight: 50, retrying: 5 })
  engine(41_000, 'breaker.closed', { service: 'bank', retryAfterMs: 3000 })
  said.sort((a, b) => a[0] - b[0])
  return record((tell) => said.forEach(([t, src, type, fields]) => tell(t, src, type, fields, src === 'engine' || type === 'node.started' ? 'n1' : null)))

  function customer(n: number, t: number): void {
    const order = { key: `key_${n}`, order: `order-${n}`, amount: 9900 + n, currency: 'USD' }
    const payment = `pay_${n}`
    const bankKey = `bk_${n}`
    const ill = t >= ILL_FROM_MS && t < ILL_TO_MS
    const hop = (start: number, end: number, kind: string, to: string, more: Fields = {}) => {
      engine(start, 'hop.started', { payment, hop: kind, service: to, attempt: 1, timeoutMs: kind === 'bank' ? 4400 - (start - t) : 500, bankKey: kind === 'fraud' ? null : bankKey })
      engine(end, 'hop.ended', { payment, hop: kind, service: to, attempt: 1, outcome: 'ok', status: 200, detail: '', ms: end - start, ...more })
      say(start, 'proxy', 'exchange.opened', { link: to, connection: n, exchange: n, method: 'POST', path: '/', key: kind === 'fraud' ? payment : bankKey })
      say(end, 'proxy', 'exchange.answered', { link: to, connection: n, exchange: n, status: 200, ms: end - start })
    }
    const told = (at: number, word: string, status: number) => {
      engine(at, 'payment.answered', { payment, status, told: word, spentMs: at - t, deadlineMs: 5000 })
      say(at + 1, 'client', 'client.told', { client: `customer ${n}`, ask: 'pay', ...order, changed: false, outcome: 'ok', status, told: word, payment, digest: 'd', replayed: false, ms: at + 1 - t })
    }
    const charged = (at: number) => say(at, 'mock', 'bank.charged', { charge: `ch_${n}`, key: bankKey, reference: payment, amount: order.amount, currency: 'USD' })
    say(t, 'client', 'client.sent', { client: `customer ${n}`, ask: 'pay', ...order, changed: false })
    engine(t, 'payment.claimed', { payment, ...order, deadlineMs: 5000, epoch: 1 })
    hop(t + 1, t + 41, 'fraud', 'fraud')
    if (ill && n % 2 === 0) {
      engine(t + 60, 'hop.refused', { payment, hop: 'bank', service: 'bank', attempt: 1, by: 'bulkhead', retryMs: 500 })
      engine(t + 61, 'payment.moved', { payment, from: 'claimed', to: 'released', epoch: 1, why: 'not attempted' })
      if (n === lie) charged(t + 61)
      return told(t + 62, 'not_charged', 503)
    }
    const waited = ill ? 900 : 0
    const took = ill ? 3000 + (n % 7) * 100 : 480 + (n % 7) * 10
    engine(t + 42 + waited, 'payment.moved', { payment, from: 'claimed', to: 'sent', epoch: 1, why: '' })
    say(t + 43 + waited, 'mock', 'bank.received', { ask: 'charge', key: bankKey, reference: payment, amount: order.amount, currency: 'USD' })
    if (ill && n % 3 === 0) {
      say(t + 43 + waited, 'proxy', 'toxic.hit', { link: 'bank', toxic: 'slow', toxicType: 'latency', connection: n, exchange: n, action: 'bytes delayed' })
      hop(t + 42 + waited, t + 4442, 'bank', 'bank', { outcome: 'unknown', status: 0, detail: 'TIMEOUT' })
      charged(t + 4400)
      engine(t + 4443, 'payment.moved', { payment, from: 'sent', to: 'unknown', epoch: 1, why: 'TIMEOUT' })
      told(t + 4450, 'pending', 202)
      hop(t + 14_000, t + 14_020, 'lookup', 'bank')
      say(t + 14_010, 'mock', 'bank.looked_up', { by: 'key', value: bankKey, found: 1 })
      engine(t + 14_021, 'payment.moved', { payment, from: 'unknown', to: 'succeeded', epoch: 1, why: `ch_${n}` })
      say(t + 14_500, 'client', 'client.told', { client: `customer ${n}`, ask: 'status', ...order, changed: false, outcome: 'ok', status: 200, told: 'charged', payment, digest: 'd', replayed: false, ms: 5 })
      return
    }
    hop(t + 42 + waited, t + 42 + waited + took, 'bank', 'bank')
    charged(t + 40 + waited + took)
    engine(t + 43 + waited + took, 'payment.moved', { payment, from: 'sent', to: 'succeeded', epoch: 1, why: `ch_${n}` })
    told(t + 44 + waited + took, 'charged', 201)
  }
}

/** Up to and with what happened until `t`. */
export const until = (events: Event[], t: number): Event[] => events.filter((event) => event.t <= t)
