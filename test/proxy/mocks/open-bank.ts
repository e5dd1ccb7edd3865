/** A bank that takes exactly 100 ms for everything, on virtual time, and the requests that its tests make. */
import { VirtualClock } from '../../../src/clock.ts'
import { EventLog } from '../../../src/events.ts'
import type { Event } from '../../../src/events.ts'
import type { HttpResponse } from '../../../src/network.ts'
import { Random } from '../../../src/random.ts'
import { bank } from '../../../src/proxy/mocks/bank.ts'
import type { BankOptions } from '../../../src/proxy/mocks/bank.ts'

export const GOOD = '4242424242424242'

export function openBank(options: BankOptions & { latency?: { p50: number; p99: number } } = {}) {
  const clock = new VirtualClock()
  const log = new EventLog('test', clock)
  const events: Event[] = []
  log.subscribe((event) => events.push(event))
  const it = bank({ clock, random: Random.seeded(1), log: log.from('mock'), latency: options.latency ?? { p50: 100, p99: 100 } }, options)
  const send = (method: string, path: string, body: unknown = '', headers: Record<string, string> = {}) =>
    it.handle({ method, path, headers, body: typeof body === 'string' ? body : JSON.stringify(body) })
  const under = (key: string | null): Record<string, string> => (key === null ? {} : { 'idempotency-key': key })
  const charge = (key: string | null = 'key-1', changes: Record<string, unknown> = {}) =>
    send('POST', '/v1/charges', { amount: 9900, currency: 'USD', reference: 'order-1', card: GOOD, ...changes }, under(key))
  const authorise = (key: string | null = 'auth-1', changes: Record<string, unknown> = {}) => charge(key, { capture: false, ...changes })
  const capture = (id: string, amount?: number, key: string | null = null) => send('POST', '/v1/captures', { charge: id, amount }, under(key))
  const find = (query: string) => send('GET', `/v1/charges?${query}`)
  const findRefunds = (query: string) => send('GET', `/v1/refunds?${query}`)
  const refund = (id: string, amount: number, key: string | null = null) => send('POST', '/v1/refunds', { charge: id, amount }, under(key))
  const shut = (reference = 'order-1') => send('POST', '/v1/voids', { reference })
  const tell = (kind: string, numbers: { times?: number; after?: number; ms?: number } = {}) => it.lie({ kind, times: 1, after: 0, ms: 0, ...numbers })
  const run = <T>(work: () => Promise<T>) => clock.run(work())
  const of = (type: string) => events.filter((event) => event.type === type)
  return { bank: it, clock, events, of, send, charge, authorise, capture, find, findRefunds, refund, shut, tell, run }
}

export const read = (response: HttpResponse) => JSON.parse(response.body)
