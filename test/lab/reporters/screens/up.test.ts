/** The screen of a world that stays open: payments, and the customers who are told of them. */
import { describe, expect, test } from 'vitest'
import type { Event } from '../../../../src/events.ts'
import { lineText, toText, width } from '../../../../src/lab/reporters/screens/lines.ts'
import type { Frame } from '../../../../src/lab/reporters/screens/parts.ts'
import { upLines } from '../../../../src/lab/reporters/screens/world.ts'
import { empty, fold, story } from '../../../../src/lab/up-view.ts'
import { crowd, record } from '../runs.ts'

const CUSTOMERS = ['customer-1', 'customer-2', 'customer-3']
const seen = (n: number, more: object = {}) => ({ endpoint: `ep_${n}`, state: 'enabled', reason: null, owed: 2, waiting: 0, dead: 0, oldestMs: null, inFlight: 0, limit: 4, places: 64, parked: false, nextMs: 0, failures: 0, failingMs: null, ...more })

/** Two events; the first customer is down, and its lane parked, before the second. */
const told = (more: (say: Parameters<Parameters<typeof record>[0]>[0]) => void = () => {}) =>
  record((say) => {
    say(10, 'lab', 'world.opened', { urls: { payments: 'http://127.0.0.1:4000', bank: 'http://127.0.0.1:4002', 'bank itself': 'http://127.0.0.1:40002', webhooks: 'http://127.0.0.1:4006', 'customer-1': 'http://127.0.0.1:4007' } })
    CUSTOMERS.forEach((customer, n) => say(20, 'lab', 'endpoint.added', { endpoint: `ep_${n + 1}`, customer }))
    const arrives = (t: number, customer: string, id: string) => say(t, 'mock', 'customer.received', { customer, id, sequence: 1, signed: 'valid', status: 204, processed: true, duplicate: false })
    say(100, 'client', 'event.accepted', { nth: 1, event: 'evt_1', deliveries: 3, what: 'payment.succeeded', key: null, ms: 5, askedAt: 95 })
    for (const customer of CUSTOMERS) arrives(110, customer, 'evt_1')
    say(200, 'lab', 'link.downed', { link: 'customer-1' })
    say(300, 'client', 'event.accepted', { nth: 2, event: 'evt_2', deliveries: 3, what: 'payment.succeeded', key: null, ms: 5, askedAt: 295 })
    for (const customer of CUSTOMERS.slice(1)) arrives(310, customer, 'evt_2')
    say(400, 'engine', 'lane.parked', { endpoint: 'ep_1', failures: 5 }, 'w1')
    say(500, 'engine', 'lanes.observed', { lanes: [seen(1, { waiting: 1, parked: true, failures: 5, nextMs: 4000, oldestMs: 200, failingMs: 180 }), seen(2), seen(3)] }, 'w1')
    more(say)
  })

const viewOf = (events: Event[]) => events.reduce(fold, empty())
const lines = (events: Event[], columns: number, rows: number) => {
  const view = viewOf(events)
  return upLines(view, { columns, rows, title: 'resil up', now: view.money.t, walk: null, hint: [{ text: '? keys   q leave', look: 'quiet' }], switches: [] } satisfies Frame)
}
/** Payments first, then the webhooks. */
const all = (...more: Event[][]) => [...crowd().filter(({ type }) => type !== 'run.ended'), ...more.flat()]

describe.each([60, 100, 160])('at %i columns', (columns) => {
  test.each([24, 44])('and %i rows it shows payments, lanes and what is owed, and no line is too long', (rows) => {
    const drawn = lines(all(told()), columns, rows)
    for (const one of drawn) expect(width(lineText(one)), lineText(one)).toBeLessThanOrEqual(columns)
    expect(drawn.length).toBeLessThanOrEqual(rows)
    const text = toText(drawn)
    expect(text).toMatch(/› customer-1 +PARKED +1 .*probe (in )?4\.0 s/)
    expect(text).toMatch(/customer-2 +healthy +0/)
    expect(text.replaceAll(/\s+/g, ' ')).toMatch(/6 webhooks owed, 5 delivered, 1\.00 requests each, 1 waiting/)
    expect(text).toMatch(/order-40 +\$/)
    if (rows > 24) expect(text.replaceAll(/\s+/g, ' ')).toMatch(/bank http:\/\/127\.0\.0\.1:4002 .*webhooks 6 webhooks owed 5 delivered 1 waiting/)
    // A low terminal names the ports alone, where there is room.
    else if (columns > 60) expect(text).toMatch(/bank 4002/)
    expect(text).not.toContain('40002')
  })
})

test('how lanes stand is no event that a reader walks over', () => {
  expect(viewOf(told()).money.events.map(({ type }) => type)).not.toContain('lanes.observed')
})

test('the story is of both: of the customer who is away, and that nothing was lost once it is back', () => {
  expect(story(viewOf(all()))).not.toContain('webhook')
  expect(story(viewOf(told()))).toMatch(/customer-1 has been down for 300 ms: 1 webhook held so far\. 6 webhooks owed, 5 delivered, 1\.00 requests each, 1 waiting\.$/)
  const back = told((say) => {
    say(600, 'lab', 'link.raised', { link: 'customer-1' })
    say(700, 'mock', 'customer.received', { customer: 'customer-1', id: 'evt_2', sequence: 2, signed: 'valid', status: 204, processed: true, duplicate: false })
  })
  expect(story(viewOf(back))).toMatch(/customer-1 was down for 400 ms: 1 webhook held, 0 lost, all delivered 100 ms after it came back\. 6 webhooks owed, 6 delivered/)
})

test('events that others sent to the webhook engine are owed too: its lanes know of them', () => {
  const more = told((say) => say(600, 'engine', 'lanes.observed', { lanes: [seen(1, { owed: 4, waiting: 3 }), seen(2, { owed: 4 }), seen(3, { owed: 4 })] }, 'w1'))
  expect(story(viewOf(more))).toContain('12 webhooks owed')
})
