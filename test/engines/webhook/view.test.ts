/** What a watcher sees, folded from events made by hand. */
import { expect, test } from 'vitest'
import type { Event, Fields, Source } from '../../../src/events.ts'
import { CROWD, empty, fold, lengthOf, rateOf, requestsEach, story, sums, wordOf } from '../../../src/engines/webhook/view.ts'

const HOUR_MS = 3_600_000
let seq = 0
const said = (t: number, type: string, fields: Fields = {}, src: Source = 'engine'): Event => ({ run: 'r', seq: ++seq, t, at: t, src, node: null, type, ...fields })
const added = (endpoint: string, customer: string) => said(0, 'endpoint.added', { endpoint, customer }, 'lab')
const accepted = (t: number, event: string, deliveries = 1) => said(t, 'event.accepted', { event, deliveries }, 'client')
const received = (t: number, id: string, more: Fields = {}) => said(t, 'customer.received', { customer: 'customer-3', id, processed: true, duplicate: false, status: 204, ...more }, 'mock')
const attempt = (t: number, more: Fields = {}) => said(t, 'delivery.attempted', { endpoint: 'ep_3', event: 'evt_1', n: 1, meaning: 'delivered', status: 204, detail: null, ms: 5, ...more })
const seen = (more: Fields = {}) => ({ endpoint: 'ep_3', state: 'enabled', reason: null, waiting: 0, dead: 0, oldestMs: null, inFlight: 0, limit: 4, places: 64, parked: false, nextMs: 0, failures: 0, failingMs: null, ...more })
const observed = (t: number, more: Fields = {}) => said(t, 'lanes.observed', { lanes: [seen(more)] })
const after = (...events: Event[]) => [added('ep_3', 'customer-3'), ...events].reduce(fold, empty())
const lane = (view: ReturnType<typeof after>) => view.lanes.get('ep_3')!

test.each([
  ['healthy', [attempt(1)]],
  ['slow', [attempt(1, { ms: 900 })]],
  ['parked', [said(1, 'lane.parked', { endpoint: 'ep_3', failures: 5 })]],
  ['healthy', [said(1, 'lane.parked', { endpoint: 'ep_3', failures: 5 }), said(2, 'lane.woken', { endpoint: 'ep_3' })]],
  ['parked', [observed(1, { parked: true, nextMs: 5000 })]],
  ['quiet', [observed(1, { nextMs: 5000 })]],
  ['healthy', [observed(1, { nextMs: 10 })]],
  ['paused', [observed(1, { state: 'paused', reason: 'by hand' })]],
  ['disabled', [said(1, 'endpoint.disabled', { endpoint: 'ep_3', why: 'the endpoint answered 410 Gone' })]],
] as const)('a lane is called %s', (word, events) => {
  expect(wordOf(lane(after(...events)), 2)).toBe(word)
})

test('failures in a row are counted between two looks, forgotten with a success, and a receiver that asks for silence has not failed', () => {
  expect(lane(after(observed(1, { failures: 49, failingMs: 1 }), attempt(2, { meaning: 'failed', status: 500 }))).failures).toBe(50)
  expect(lane(after(attempt(1, { meaning: 'failed', status: 500 }), attempt(2, { meaning: 'throttled', status: 429 }))).failures).toBe(1)
  expect(lane(after(attempt(1, { meaning: 'failed', status: 500 }), attempt(2)))).toMatchObject({ failures: 0, failingAt: null })
})

test('the oldest is as old as the owner said, and grows older until it is gone', () => {
  expect(lane(after(observed(10_000, { waiting: 7, oldestMs: 4000 }))).oldestAt).toBe(6000)
  expect(lane(after(observed(10_000, { waiting: 1, oldestMs: 4000 }), attempt(10_001))).oldestAt).toBeNull()
})

test('a customer that was down: what was accepted meanwhile and came after its return was held, and the sentence says so', () => {
  const during = Array.from({ length: 3 }, (_, n) => accepted(1000 + n * HOUR_MS * 0.5, `evt_${n}`))
  const away = [said(1000, 'link.downed', { link: 'customer-3' }, 'lab'), ...during]
  const up = 1000 + 2 * HOUR_MS
  expect(story(after(...away, observed(up - 1, { waiting: 3 })))).toMatch(/^customer-3 has been down for 2 h: 3 webhooks held so far\./)
  const back = [...away, said(up, 'link.raised', { link: 'customer-3' }, 'lab'), accepted(up + 1, 'evt_late'), received(up + 5, 'evt_late')]
  expect(story(after(...back, received(up + 100, 'evt_0')))).toMatch(/^customer-3 was down for 2 h: 1 webhook of what was held delivered so far\./)
  const all = after(...back, received(up + 100, 'evt_0'), received(up + 5000, 'evt_1'), received(up + 6000, 'evt_1', { processed: false, duplicate: true }), received(up + 200_000, 'evt_2'))
  expect(story(all)).toBe('customer-3 was down for 2 h: 3 webhooks held, 0 lost, all delivered 3 m 20 s after it came back. 4 webhooks owed, 4 delivered, 1.25 requests each.')
  expect(all.keptSince.size).toBe(0)
})

test('what comes for one that is back is not held because another one is away', () => {
  const link = (t: number, type: string, name: string) => said(t, type, { link: name }, 'lab')
  const view = after(added('ep_4', 'customer-4'), link(1, 'link.downed', 'customer-3'), accepted(2, 'evt_a'), link(3, 'link.raised', 'customer-3'), link(4, 'link.downed', 'customer-4'), accepted(5, 'evt_b'), received(6, 'evt_a'), received(7, 'evt_b'))
  expect(view.outages).toMatchObject([{ name: 'customer-3', held: 1, lastAt: 6 }, { name: 'customer-4', held: 0 }])
})

test('a mood in which a customer takes nothing is an outage too; a slow one is none, and the proxy in front of nobody known is none', () => {
  const mood = (t: number, word: string) => said(t, 'customer.changed', { customer: 'customer-3', mood: word }, 'mock')
  expect(after(mood(1, 'error, status 503'), mood(9, 'healthy')).outages).toMatchObject([{ how: 'answering 503', at: 1, backAt: 9 }])
  expect(after(mood(1, 'slow, ms 900'), said(2, 'link.downed', { link: 'webhooks' }, 'lab')).outages).toEqual([])
})

test.each([
  ['age', said(1, 'deliveries.aged', { endpoint: 'ep_3', deliveries: 2 }), 2],
  ['poison', said(1, 'delivery.died', { endpoint: 'ep_3', event: 'e', reason: 'poison: status 500' }), 1],
  ['too large', said(1, 'delivery.died', { endpoint: 'ep_3', event: 'e', reason: 'status 413' }), 1],
  ['forbidden', said(1, 'delivery.died', { endpoint: 'ep_3', event: 'e', reason: 'FORBIDDEN_ADDRESS' }), 1],
  ['other', said(1, 'delivery.died', { endpoint: 'ep_3', event: 'e', reason: 'status 400' }), 1],
] as const)('what is dead is told by reason: %s', (word, event, n) => {
  const view = after(event)
  expect([...view.deaths]).toEqual([[word, n]])
  expect(sums(view).dead).toBe(n)
  expect(sums(fold(view, observed(2))).dead).toBe(0) // it was sent again
})

test('a 2xx for something that was not processed is counted; one that was put off, or had been processed, is not', () => {
  const view = after(received(1, 'a', { processed: false, status: 200 }), received(2, 'b', { processed: false, status: 202 }), received(3, 'c', { processed: false, duplicate: true }), received(4, 'd', { processed: false, status: 500 }))
  expect(view).toMatchObject({ unprocessed: 1, delivered: 0, received: 4 })
})

test('attempts that nobody received count as requests', () => {
  expect(requestsEach(after(attempt(1, { meaning: 'unreachable', status: null }), attempt(2), received(2, 'a')))).toBe(2)
})

test('bars cover the run from its beginning, grow with it, and lose nothing; the rate is of the latest seconds', () => {
  const view = after(...Array.from({ length: 95 }, (_, n) => attempt(n * 1000)))
  const { delivered } = lane(view)
  expect(delivered.counts.length).toBeLessThanOrEqual(10)
  expect(delivered.counts.reduce((sum, n) => sum + n, 0)).toBe(95)
  expect(delivered.stretchMs).toBe(16_000)
  expect(rateOf(delivered, 94_999)).toBe(1)
  expect(rateOf(delivered, 200_000)).toBe(0)
})

test('what a receiver or an address says reaches the view harmless', () => {
  const view = after(attempt(1, { meaning: 'refused', status: 400, detail: '\u001b[2Jgone\u202e' }), said(2, 'endpoint.disabled', { endpoint: 'ep_3', why: 'a\nb' }))
  expect(view.latest[0]!.detail).toBe('\\e[2Jgone\\u202e')
  expect(lane(view).reason).toBe('a\\nb')
})

test('among many the list keeps what changes, not each message', () => {
  const view = after(...Array.from({ length: CROWD + 10 }, (_, n) => accepted(n, `evt_${n}`)), said(500, 'lane.parked', { endpoint: 'ep_3', failures: 5 }))
  expect(view.accepted).toBe(CROWD + 10)
  expect(view.events.map(({ type }) => type)).toEqual(['endpoint.added', 'lane.parked'])
})

test.each([[320, '320 ms'], [4120, '4.1 s'], [42_000, '42 s'], [59_700, '1 m'], [200_000, '3 m 20 s'], [7_200_000, '2 h'], [7_080_000, '1 h 58 m']])('%i ms is %s', (ms, words) => {
  expect(lengthOf(ms)).toBe(words)
})
