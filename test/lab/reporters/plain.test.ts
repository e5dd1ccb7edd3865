import { describe, expect, test } from 'vitest'
import { reporter } from '../../../src/lab/reporters/plain.ts'
import type { Event } from '../../../src/events.ts'
import { doubleCharge, doubleClick, record } from './runs.ts'

function report(events: Event[], columns?: number): string {
  let text = ''
  const reporting = reporter.open({ write: (more) => (text += more), columns })
  for (const event of events) reporting.event(event)
  void reporting.end?.()
  return text
}

describe('the plain report', () => {
  test('says what happened, when, to whom, and what it came to', () => {
    expect(report(doubleClick())).toMatchInlineSnapshot(`
      "00:00.000  resil        double-click, sim, seed 7: what happens when this fails
      00:00.000  n1           started
      00:00.000  resil        the world is open
      00:00.000  bank         toxic lost_response_downstream added, downstream (then rst, method POST, first 1)
      00:00.000  click 1      pays $99.00 for order-1, key key_0gmy7qgwp9tzs80v
      00:00.000  engine       pay_9x0gbbw9654nxrxh claimed for key key_0gmy7qgwp9tzs80v
      00:00.030  fraud        allows
      00:00.031  engine       fraud answered 200 after 31 ms
      00:00.040  click 2      pays $99.00 for order-1, key key_0gmy7qgwp9tzs80v
      00:00.040  engine       a twin waits for pay_9x0gbbw9654nxrxh
      00:00.118  bank         CHARGED $99.00, ch_1ywc2tcfvkgy6g1p, key bk_zz8cecc0m5t46nda
      00:00.118  bank         × lost response: answer dropped, connection reset
      00:00.119  engine       the bank: unknown what it did (RESET) after 88 ms
      00:00.119  engine       pay_9x0gbbw9654nxrxh is UNKNOWN, was sent (RESET)
      00:00.150  bank         look-up of bk_zz8cecc0m5t46nda: no charge
      00:00.151  engine       the look-up answered 200 after 32 ms
      00:00.151  engine       waits 200 ms: not found; it proves nothing for another 9880 ms
      00:00.429  bank         look-up of bk_zz8cecc0m5t46nda: 1 charge
      00:00.430  engine       the look-up answered 200 after 79 ms
      00:00.430  engine       pay_9x0gbbw9654nxrxh is charged, was unknown (ch_1ywc2tcfvkgy6g1p)
      00:00.430  click 1      told 201 charged $99.00 after 430 ms
      00:00.430  click 2      told 201 charged $99.00, the same answer replayed after 390 ms
      00:00.439  notification receipt received
      00:00.440  engine       the receipt answered 202 after 10 ms

        HELD  2 clicks, 1 charge of $99.00. Both clicks were told the same, and it is true.

        held       at-most-one-charge     1 charge, 1 order
        held       same-key-same-answer   2 answers
        held       answer-matches-ledger  2 answers
        held       no-lost-payment        final 0.3 s after the charge
        held       within-deadline        0.4 of 5.0 s

        seed 7
        again: resil pay --double-click --seed 7
      "
    `)
  })

  test('a violation stands first and quotes the events that show it', () => {
    expect(report(doubleCharge()).slice(-900)).toContain(`
  VIOLATED  2 clicks, 2 charges of $99.00: the customer paid twice. Both clicks were told of one charge.

  violated   at-most-one-charge    2 charges, 1 order
             order-1 has 2 charges that stand: $198.00 in all
               #5  00:00.090  bank         CHARGED $99.00, ch_1ywc2tcfvkgy6g1p, key a
               #9  00:00.140  bank         CHARGED $99.00, ch_2, key b
  undecided  no-lost-payment       the service has no look-up
  held       same-key-same-answer  2 answers
`)
  })

  test.each([[80, doubleClick], [80, doubleCharge], [60, doubleCharge]])('at %i columns no line is longer, but for the one to copy', (columns, run) => {
    const lines = report(run(), columns).split('\n').filter((line) => !line.includes('again:'))
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns)
    expect(lines.join(' ').replaceAll(/\s+/g, ' ')).toContain('told 201 charged $99.00 after')
  })

  test('a fault that never happened is named', () => {
    const events = doubleClick()
    expect(report([...events.slice(0, -1), { ...events.at(-1)!, verdict: 'undecided', unfired: ['bank:latency'] }])).toContain('never happened: bank:latency')
  })

  test('an endpoint is called as people call it, in its lines and where it is quoted', () => {
    const text = report(record((say) => {
      say(0, 'lab', 'endpoint.added', { endpoint: 'ep_1', customer: 'customer-1' })
      say(5, 'engine', 'lane.parked', { endpoint: 'ep_1', failures: 5 })
      say(6, 'engine', 'lane.parked', { endpoint: 'ep_2', failures: 5 })
      say(7, 'lab', 'invariant.violated', { invariant: 'w1-none-lost', why: 'lost', witness: [2] })
      say(8, 'lab', 'run.ended', { verdict: 'violated', exit: 1, story: 's', findings: [{ invariant: 'w1-none-lost', verdict: 'violated', looked: '', violations: [{ why: 'lost', witness: [2] }] }], unfired: [], seed: '1', again: 'resil', ms: 8 })
    }))
    expect(text).toContain('00:00.000  customer-1   is told at endpoint ep_1\n00:00.005  customer-1   PARKED')
    expect(text).toContain('00:00.006  ep_2         PARKED')
    expect(text).toContain('#2  00:00.005  customer-1   PARKED')
  })

  test('a run without an end is said to be cut short', () => {
    expect(report(doubleClick().slice(0, 10))).toContain('CUT SHORT at 00:00.031: there is no verdict.')
  })

  test('nothing in it is obeyed by a terminal', () => {
    const text = report(record((say) => {
      say(0, 'client', 'client.sent', { client: 'x\u001b]0;owned\u0007', ask: 'pay', key: 'k\r\n', order: 'o', amount: 1, currency: 'USD' })
      say(1, 'lab', 'run.ended', { verdict: 'held', exit: 0, story: 'a\u001b[2Jb', findings: [], unfired: [], seed: '1', again: 'resil\u001b[A', ms: 1 })
    }))
    // oxlint-disable-next-line no-control-regex -- they are what must not be there
    expect(text.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
  })
})
