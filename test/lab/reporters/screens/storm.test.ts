/** The screen of many customers, drawn from storms at every width, in mid-storm and at their end. */
import { describe, expect, test } from 'vitest'
import type { Event } from '../../../../src/events.ts'
import type { Reel } from '../../../../src/lab/reporters/screens/drawing.ts'
import { reels } from '../../../../src/lab/reporters/screens/drawing.ts'
import type { Line } from '../../../../src/lab/reporters/screens/lines.ts'
import { lineText, toText, width } from '../../../../src/lab/reporters/screens/lines.ts'
import type { Frame } from '../../../../src/lab/reporters/screens/parts.ts'
import { crowd, record } from '../runs.ts'
import { storm, until } from './storms.ts'

const whole = storm()

/** The events are folded once, however often they are drawn. */
function reelOf(events: Event[]): Reel {
  const reel = reels.story()
  for (const event of events) reel.tell(event)
  return reel
}

const MOMENTS = [50, 1000, 20_000, 25_500, 26_000, 28_000, 30_200, 31_000, 35_000, 42_000, 45_000, 80_000]
const at = new Map(MOMENTS.map((t) => [t, reelOf(until(whole, t))]))

function linesOf(of: number | Reel, columns: number, rows = 50, more: Partial<Frame> = {}): Line[] {
  const reel = typeof of === 'number' ? at.get(of)! : of
  return reel.lines({ columns, rows, title: 'resil pay  black-friday', now: reel.ms, walk: null, hint: [{ text: '? keys   q leave', look: 'quiet' }], switches: [], ...more })
}
const screen = (of: number | Reel, columns: number, rows?: number, more?: Partial<Frame>) => toText(linesOf(of, columns, rows, more))
/** The words of a picture, wherever its lines were broken. */
const flat = (text: string) => text.replaceAll(/\s+/g, ' ')

describe('a storm', () => {
  test.each([40, 59, 60, 73, 74, 79, 80, 84, 97, 98, 100, 120, 149, 150, 160, 220])('at %i columns no line is wider, at any moment', (columns) => {
    for (const t of MOMENTS) {
      for (const rows of [10, 24, 60]) {
        const lines = linesOf(t, columns, rows)
        for (const line of lines) expect(width(lineText(line)), lineText(line)).toBeLessThanOrEqual(columns)
        expect(lines.length).toBeLessThan(rows)
      }
    }
  })

  test.each([60, 80, 100, 160])('in its middle, at %i columns, it says who was told what, why the breaker is open, and until when', (columns) => {
    const text = flat(screen(26_000, columns, 60))
    for (const fact of ['asked 2,600', 'paid 2,058 ', 'try later 297 ', 'pending 26 ', 'not told yet 219 ', 'OPEN', ' of 180', '110 of 120 calls failed (92 %)', 'asks again in 4.0 s', 'early warning at 00:21.500', '26 became unknown', '= 0 different']) expect(text).toContain(fact)
  })

  test('customers, rates and the course stand in one row, and the fault is drawn where it was in place', () => {
    const rows = screen(45_000, 100, 60).split('\n')
    const row = (label: string) => rows.find((line) => line.startsWith(label))!
    expect(row('   asked')).toMatch(/ 4,500 +\d+\.\d\/s {2}[▁-█]+$/)
    expect(row('   no answer')).toMatch(/ 0 +0\.0\/s$/)
    const second = (line: string, glyph: RegExp) => (line.slice(36).search(glyph) / 61) * 50
    // Ill from 20 to 40 s, of a scale of 50 s.
    expect(second(row('   try later'), /[▁-█]/)).toBeCloseTo(20, -0.5)
    expect(second(row(' × bank slow'), /[×─]/)).toBeCloseTo(20, -0.5)
    expect(row(' × bank slow')).toMatch(/×─?$/)
  })

  test('each service has its own line: breaker, places, what it takes and usually takes', () => {
    const text = screen(28_000, 130, 60)
    expect(text).toMatch(/^ services +breaker +in flight +takes +95 % in +usually +failing, 10 s +turned away$/m)
    expect(text).toMatch(/^ {3}bank +OPEN +168 of 180 +3\.5 s +3\.6 s +\d+ ms +\d+ % of \d+ +\d+\.\d\/s$/m)
    expect(text).toMatch(/^ {3}fraud +closed +\d+ +40 ms +40 ms +40 ms +0 % of 1,000 +-$/m)
  })

  test('a breaker tells how it goes on', () => {
    expect(screen(30_200, 130)).toMatch(/bank +HALF-OPEN[^]*a few calls may try/)
    expect(screen(42_000, 130)).toContain('callers come back over 2.0 s')
    expect(screen(45_000, 130)).toContain('closed since 00:41.000, opened once')
  })

  test('the deadline is a bar: fraud, waiting, bank, and what is kept back', () => {
    const text = flat(screen(35_000, 100, 60))
    expect(text).toMatch(/deadline ▒?░+█+▓?·*│·* \d\.\d\d of 5\.00 s ▒ fraud 0\.04 ░ waiting 0\.90 █ bank 3\.\d\d ▓ other 0\.0\d │ kept back 0\.60 longest 4\.5\d/)
  })

  test('doubts are counted until each is resolved', () => {
    expect(flat(screen(35_000, 100, 60))).toMatch(/\d+ became unknown \d+ resolved, the longest in 9\.6 s \d+ open, the oldest for \d\.\d s/)
    expect(flat(screen(80_000, 100, 60))).toMatch(/334 became unknown 334 resolved, the longest in 9\.6 s 0 open/)
  })

  test('the retry budget, and how often the bank is asked', () => {
    expect(flat(screen(80_000, 100, 60))).toContain('0 calls made again the bank was asked 0.83 times a payment the budget for bank ran dry once, last at 00:31.000 (5 of 50 were repeats)')
  })

  test('receipts that are still owed are told, and have no part in how customers were answered', () => {
    expect(flat(screen(80_000, 100, 60))).toContain('receipts 0 delivered 5,000 to come')
    const reel = reelOf([...until(whole, 20_000), ...record((say) => {
      for (let n = 0; n < 30; n++) say(20_000, 'mock', 'notification.received', { id: `evt_${n}`, payment: `pay_${n}`, what: 'payment.succeeded', duplicate: n >= 28 })
    })])
    expect(flat(screen(reel, 100, 60))).toMatch(/receipts 28 delivered [\d,]+ to come 2 came again/)
  })

  test('what changed for all is told as events, not what happened to one', () => {
    const text = screen(42_000, 130, 60)
    expect(text).toContain('breaker OPENS: 110 of 120 calls failed (92 %); asks again in 5.0 s')
    expect(text).toContain('EARLY WARNING: takes 1.3 s, usually 500 ms; 30 % of what it may take')
    expect(text).toContain('breaker closes: callers come back over 3.0 s')
    expect(text).not.toContain('told 201')
  })

  test('a chosen event is found among all of them', () => {
    const { seq } = until(whole, 42_000).at(-1)!
    expect(screen(42_000, 100, 50, { walk: seq })).toContain(`› #${seq}`)
  })

  test('a difference is the loudest thing there is', () => {
    const reel = reelOf(storm(3000, { lie: 2500 }))
    const text = screen(reel, 100)
    expect(text).toContain('≠ 1 order DIFFERENT')
    expect(flat(text)).toContain('order-2500: customer 2500 was told that nothing was charged, and the bank has 1 charge of $124.00')
    expect(linesOf(reel, 100).flat()).toContainEqual({ text: ' ≠ 1 order DIFFERENT ', look: 'loud' })
    for (const columns of [40, 60, 160]) expect(screen(reel, columns, 12)).toContain('≠ 1 order DIFFERENT')
  })

  test.each([[24, 80], [24, 60], [30, 100]])('of %i rows and %i columns the customers, the truth and the services stay', (rows, columns) => {
    const text = flat(screen(26_000, columns, rows))
    for (const fact of ['asked', 'paid', 'pending', '= 0 different', 'OPEN', 'asks again in', '? keys']) expect(text).toContain(fact)
  })

  test('of 12 rows the customers are told in a line', () => {
    expect(flat(screen(26_000, 100, 12))).toMatch(/customers 2,600 asked [\d,]+ paid \d+ try later \d+ pending/)
  })

  test("of a stranger's service, which says nothing of itself, the links tell how the services fare", () => {
    const text = screen(reelOf(until(storm(3000, { service: 'http://127.0.0.1:3000' }), 26_000)), 100, 60)
    expect(text).toMatch(/^ {3}bank +- +\d+ +3\.\d s +\d+ ms/m)
    expect(text).toMatch(/^ {3}fraud +- +\d+ +40 ms/m)
    expect(text).toContain('asked')
  })

  test('a service without a breaker is not said to have a closed one', () => {
    const bare = until(whole, 15_000).filter(({ type }) => type !== 'bulkhead.limit_changed')
    expect(screen(reelOf(bare), 100, 60)).toMatch(/^ {3}bank +- +\d+ +\d+ ms/m)
    expect(screen(1000, 100, 60)).toMatch(/^ {3}bank +closed +\d+ of 180 /m)
  })

  test('few customers have their own screens', () => {
    expect(screen(reelOf(crowd(3, 0)), 100)).toContain(' told ')
    expect(screen(reelOf(crowd(20, 0)), 100)).toContain(' payments ')
    expect(screen(reelOf(crowd(21, 0)), 100)).toContain(' customers ')
  })

  test('events without any of their fields break no picture', () => {
    const types = [...new Set(whole.map(({ type }) => type)), 'breaker.forced_open', 'breaker.trip_observed', 'payment.cancelled', 'refund.moved', 'hop.retried', 'node.killed']
    const hollow = record((say) => types.forEach((type) => say(90_000, 'engine', type)))
    const reel = reelOf([...until(whole, 26_000), ...hollow])
    for (const columns of [40, 60, 100, 160]) expect(() => screen(reel, columns)).not.toThrow()
  })
})
