import { expect, test } from 'vitest'
import type { Event } from '../../src/events.ts'
import { reporter } from '../../src/lab/reporters/plain.ts'
import { sentence } from '../../src/lab/sentence.ts'
import { crowd, doubleClick, record } from './reporters/runs.ts'
import { storm, until } from './reporters/screens/storms.ts'

function plain(events: Event[]): string[] {
  let said = ''
  const open = reporter.open({ write: (text) => (said += text), columns: undefined } as Parameters<typeof reporter.open>[0])
  for (const event of events) open.event(event)
  return said.split('\n')
}

test('many customers are summed up every five seconds, and what changes for all of them stands between', () => {
  const lines = plain(until(storm(3200), 31_000))
  expect(lines.length).toBeLessThan(260)
  const at = lines.findIndex((line) => line.includes('more than 20 customers'))
  expect(lines.slice(0, at).some((line) => line.includes('customer 1 '))).toBe(true)
  expect(lines.slice(at + 1).filter((line) => /customer \d|pay_\d/.test(line))).toEqual([])
  expect(lines.filter((line) => line.startsWith('00:30.000'))).toEqual([
    '00:30.000  customers    2,999 asked (100.0/s), 2,190 paid (24.6/s), 497 try later (49.7/s), 93 pending (9.3/s), 219 not told yet',
    '00:30.000  bank         breaker open; 169 of 180 under way; takes 3.5 s, usually 514 ms; 27 % of 339 fail; 49.7/s turned away',
  ])
  expect(lines).toContain('00:25.000  bank         breaker OPENS: 110 of 120 calls failed (92 %); asks again in 5.0 s')
  expect(lines).toContain('00:21.500  bank         EARLY WARNING: takes 1.3 s, usually 500 ms; 30 % of what it may take')
})

test('in calm weather no service is told of', () => {
  const lines = plain(until(storm(2000), 15_100))
  expect(lines.some((line) => line.startsWith('00:15.000  customers'))).toBe(true)
  expect(lines.some((line) => line.startsWith('00:15.000  bank'))).toBe(false)
})

test('a difference is told with every sum', () => {
  const lines = plain(until(storm(3200, { lie: 2500 }), 31_000))
  expect(lines).toContain('00:30.000  truth        1 order DIFFERENT from what was told or believed')
})

test('of few customers every line is told', () => {
  expect(plain(crowd(20, 0)).some((line) => line.includes('client 20'))).toBe(true)
  expect(plain(doubleClick()).some((line) => line.includes('more than'))).toBe(false)
})

test.each([
  ['breaker.opened', { service: 'bank', why: 'slow', calls: 20, failures: 0, slow: 20, retryAfterMs: 5000 }, 'bank: breaker OPENS: 20 of 20 calls were slow (100 %); asks again in 5.0 s'],
  ['breaker.opened', { service: 'bank', why: 'probes', calls: 0, failures: 0, slow: 0, retryAfterMs: 0 }, 'bank: breaker OPENS: the calls that tried failed too'],
  ['breaker.closed', { service: 'bank', retryAfterMs: 0 }, 'bank: breaker closes'],
  ['breaker.trip_observed', { service: 'bank', why: 'failures', calls: 20, failures: 19, slow: 0 }, 'bank: breaker would have opened: 19 of 20 calls failed (95 %)'],
  ['hop.refused', { payment: 'p', hop: 'bank', service: 'bank', by: 'breaker', retryMs: 1200 }, 'engine: bank is not asked: the breaker of bank turns it away; asks again in 1.2 s'],
  ['retry_budget.emptied', { service: 'bank', inFlight: 50, retrying: 5 }, 'bank: no retry any more: 5 of 50 calls under way are repeats'],
  ['refund.moved', { payment: 'p', refund: 'ref_1', from: 'sent', to: 'unknown', amount: 1, why: 'TIMEOUT' }, 'engine: ref_1 is unknown, was sent (TIMEOUT)'],
  ['weather.changed', { mock: 'bank', weather: { slots: 120, queue: 1, latency: { p50: 1200, p99: 10_000 }, failing: 0.5, failsAtOnce: 0.5, failsAfterMs: 10_000, seed: 1 } }, 'bank: its weather: 50 % fail, 50 % of these only after 10.0 s; half take up to 1.2 s, 1 % over 10.0 s; 120 at once'],
  ['weather.changed', { mock: 'bank', weather: null }, 'bank: its weather is as usual again'],
  ['weather.changed', { mock: 'fraud', weather: { slots: 100_000, queue: 0, latency: { p50: 40, p99: 200 }, failing: 1, failsAtOnce: 0, failsAfterMs: 60_000, seed: 1 } }, 'fraud: its weather: 100 % fail after 1 m 00 s'],
  ['weather.changed', { mock: 'bank', weather: { slots: 100_000, queue: 0, latency: { p50: 300, p99: 1200 }, failing: 0, failsAtOnce: 1, failsAfterMs: 0, seed: 1 } }, 'bank: its weather: half take up to 300 ms, 1 % over 1.2 s'],
  ['storm.measured', { inStorm: 303, paid: 0.308, notCharged: 0.3, pending: 0.218, failed: 0, ofMost: 0.605 }, 'resil: of 303 customers in the storm 31 % paid in time, 30 % told "not charged", 22 % pending, 0 % failed; 61 % of what any policy could have had paid'],
  ['cascade.measured', { inTrouble: 480, paid: 1, notCharged: 0, pending: 0, heldAtMost: 41 }, 'resil: of 480 customers in the trouble 100 % paid in time, 0 % told "not charged", 0 % pending, ? failed; at most 41 requests were open'],
  ['bank.authorised', { charge: 'ch_1', key: 'k', amount: 9900, currency: 'USD' }, 'bank: HOLDS $99.00, ch_1, key k'],
])('in words: %s %j', (type, fields, expected) => {
  const [event] = record((say) => say(0, 'engine', type, fields))
  const { who, what } = sentence(event!)!
  expect(`${who}: ${what}`).toBe(expected)
})

test('an event without its fields has words, or none, and never fails', () => {
  for (const type of ['breaker.opened', 'breaker.closed', 'bulkhead.limit_changed', 'hop.refused', 'hop.retried', 'dependency.warned', 'weather.changed', 'refund.moved', 'bank.authorised']) {
    expect(() => record((say) => say(0, 'engine', type)).map(sentence)).not.toThrow()
  }
})
