import { setImmediate } from 'node:timers/promises'
import { renderToString } from 'ink'
import { render } from 'ink-testing-library'
import { describe, expect, test } from 'vitest'
import type { Cancel, Clock } from '../../../../src/clock.ts'
import type { Event } from '../../../../src/events.ts'
import { empty, fold } from '../../../../src/engines/payment/view.ts'
import type { Line } from '../../../../src/lab/reporters/screens/lines.ts'
import { lineText, width } from '../../../../src/lab/reporters/screens/lines.ts'
import type { Frame } from '../../../../src/lab/reporters/screens/parts.ts'
import { paymentLines } from '../../../../src/lab/reporters/screens/payment.ts'
import { Picture } from '../../../../src/lab/reporters/screens/picture.tsx'
import type { Left, ScreenKey } from '../../../../src/lab/reporters/screens/screen.tsx'
import { App, Feed } from '../../../../src/lab/reporters/screens/screen.tsx'
import { toSvg } from '../../../../src/lab/reporters/screens/svg.ts'
import { worldLines } from '../../../../src/lab/reporters/screens/world.ts'
import { crowd, declined, doubleCharge, doubleClick, pending, record } from '../runs.ts'

const view = (events: Event[]) => events.reduce(fold, empty())

function linesOf(layout: typeof paymentLines, events: Event[], columns: number, rows = 60, more: Partial<Frame> = {}): Line[] {
  const folded = view(events)
  return layout(folded, { columns, rows, title: 'resil pay  story', now: folded.t, walk: null, hint: [{ text: '? keys   q leave', look: 'quiet' }], switches: [], ...more })
}

const shown = (lines: Line[], columns: number) => renderToString(<Picture lines={lines} colour={false} />, { columns })
const screen = (events: Event[], columns: number, rows?: number) => shown(linesOf(paymentLines, events, columns, rows), columns)
const widest = (text: string) => Math.max(...text.split('\n').map(width))

describe('the payment screen', () => {
  test('at 100 columns it tells the whole story', () => {
    expect(screen(doubleClick(), 100)).toMatchInlineSnapshot(`
      " resil pay  story   sim   seed 7   00:00.440                                                   HELD

       clicks         0 ms         150           300           450
       click 1        ├──────────────────────────────────────┤         430 ms  charged $99.00 (201)
       click 2           ├───────────────────────────────────┤         390 ms  charged $99.00 (replayed)

       payment        claimed > fraud cleared > bank sent > UNKNOWN > looked up ×2 > charged > notified
         fraud        ███                                               31 ms  allow
         bank           ████████× lost response                         88 ms  UNKNOWN (RESET)
         recovery               ████░░░░░░░░░░░░░░░░░░████████ waits    79 ms  found 1 charge (2 tries)
         notify                                              ██         10 ms  receipt delivered
       deadline       ▓▓░░░░░░░░░░░░░░░░░░░░░░░░░░░  0.43 of 5.00 s  fraud 0.03  bank 0.09  recovery 0.31

       faults         bank  × lost response  struck once   then rst, method POST, first 1

       told           click 1, click 2: charged $99.00
       engine         pay_9x0g charged   epoch 1   1 bank request   bank key bk_zz8c
       bank's ledger  00:00.118 charged $99.00  ch_1ywc  key bk_zz8c  1 charge stands
                      = told, engine and ledger say the same

       events         00:00.119  engine       pay_9x0gbbw9654nxrxh is UNKNOWN, was sent (RESET)
                      00:00.119  engine       looks the charge up at the bank
                      00:00.150  bank         look-up of bk_zz8cecc0m5t46nda: no charge
                      00:00.151  engine       the look-up answered 200 after 32 ms
                      00:00.151  engine       waits 200 ms: not found; it proves nothing for another 9880…
                      00:00.351  engine       looks the charge up at the bank, attempt 2
                      00:00.429  bank         look-up of bk_zz8cecc0m5t46nda: 1 charge
                      00:00.430  engine       the look-up answered 200 after 79 ms
                      00:00.430  engine       pay_9x0gbbw9654nxrxh is charged, was unknown (ch_1ywc2tcfvk…
                      00:00.430  engine       sends the receipt
                      00:00.430  click 1      told 201 charged $99.00 after 430 ms
                      00:00.430  click 2      told 201 charged $99.00, the same answer replayed after 390…
                      00:00.439  notification receipt received
                      00:00.440  engine       the receipt answered 202 after 10 ms
      ────────────────────────────────────────────────────────────────────────────────────────────────────
       2 clicks, 1 charge of $99.00. Both clicks were told the same, and it is true.
       held       at-most-one-charge (1 charge, 1 order)   same-key-same-answer (2 answers)
                  answer-matches-ledger (2 answers)   no-lost-payment (final 0.3 s after the charge)
                  within-deadline (0.4 of 5.0 s)
       again:     resil pay --double-click --seed 7
       ? keys   q leave"
    `)
  })

  test.each([40, 59, 60, 79, 80, 100, 160])('at %i columns no line is wider, and the facts are there', (columns) => {
    for (const events of [doubleClick(), doubleCharge(), declined(), pending()]) {
      const text = screen(events, columns)
      expect(widest(text)).toBeLessThanOrEqual(columns)
      for (const line of linesOf(paymentLines, events, columns)) expect(width(lineText(line))).toBeLessThanOrEqual(columns)
    }
    const text = screen(doubleClick(), columns).replaceAll(/\s+/g, ' ')
    for (const fact of ['seed 7', 'sim', 'HELD', '1 charge of $99.00', 'click 1', 'click 2', 'charged $99.00', '1 charge stands', 'at-most-one-charge', 'resil pay --double-click --seed 7']) expect(text).toContain(fact)
    if (columns >= 60) expect(text).toContain('× lost response')
  })

  test('working and waiting look different, and the fault is drawn where it struck', () => {
    const lines = screen(doubleClick(), 160).split('\n')
    const bank = lines.find((line) => line.startsWith('   bank  '))!
    const recovery = lines.find((line) => line.startsWith('   recovery'))!
    expect(bank).toMatch(/█+× lost response: answer dropped, connection reset/)
    expect(recovery).toMatch(/█+░+█+/)
    // Struck at 118 of 450 ms; look-ups at 119 and 351.
    const at = (row: string, glyph: string) => (row.indexOf(glyph) - 16) / (160 - 16 - 46 - 2)
    expect(at(bank, '×')).toBeCloseTo(118 / 450, 1)
    expect(at(recovery, '░')).toBeCloseTo(151 / 450, 1)
  })

  test('a difference between told, believed and true is shouted', () => {
    expect(screen(doubleCharge(), 100)).toContain(' ≠ DIFFERENT    the bank has 2 charges of $99.00 for one order: the customer paid twice')
    expect(linesOf(paymentLines, doubleCharge(), 100).flat()).toContainEqual({ text: ' ≠ DIFFERENT ', look: 'loud' })
    expect(screen(doubleClick(), 100)).toContain('= told, engine and ledger say the same')
    expect(screen(pending(), 100)).toContain('~ not settled yet')
  })

  test('a violation is there with its witnesses', () => {
    const text = screen(doubleCharge(), 100)
    expect(text).toMatch(/ VIOLATED$/m)
    expect(text).toContain(' violated   at-most-one-charge  order-1 has 2 charges that stand: $198.00 in all')
    expect(text).toContain('CHARGED $99.00, ch_2, key b')
    expect(text).toContain(' undecided  no-lost-payment  the service has no look-up')
  })

  test('an answer that is false is marked where it is told', () => {
    const order = { key: 'k', order: 'o', amount: 9900, currency: 'USD', changed: false, ask: 'pay' }
    const lie = record((say) => {
      say(0, 'client', 'client.sent', { client: 'click 1', ...order })
      say(9, 'client', 'client.told', { client: 'click 1', ...order, outcome: 'ok', status: 201, told: 'charged', payment: null, digest: null, replayed: false, ms: 9 })
    })
    expect(screen(lie, 100)).toContain(' charged $99.00: FALSE ')
  })

  test('without engine events the exchanges are drawn instead', () => {
    expect(screen(doubleCharge(), 100)).toMatch(/ {3}bank {2,}█+×█+ .* 201 \(2 requests\)\n {20,}× lost response/)
  })

  test.each([5, 8, 12, 24, 40])('of %i rows the last stays free, and story and hint stay', (rows) => {
    for (const columns of [60, 100]) {
      const lines = linesOf(paymentLines, doubleClick(), columns, rows).map(lineText)
      expect(lines.length).toBeLessThanOrEqual(rows - 1)
      expect(lines.at(-1)).toContain('? keys')
      expect(lines.join(' ')).toContain('2 clicks, 1 charge of $99.00.')
    }
  })

  test('with 24 rows and 80 columns all that matters is there', () => {
    const text = screen(doubleClick(), 80, 24)
    for (const fact of ['clicks ', 'fraud ', 'recovery', 'told ', 'engine ', "bank's ledger", '2 clicks, 1 charge', 'within-deadline', 'again:']) expect(text).toContain(fact)
  })

  test('a chosen event is shown in full', () => {
    const text = shown(linesOf(paymentLines, doubleClick(), 100, 40, { walk: 16 }), 100)
    expect(text).toMatch(/› #16 +00:00.118 +bank +CHARGED/)
    expect(text).toContain('charge ch_1ywc2tcfvkgy6g1p')
    expect(text).toContain('reference pay_9x0gbbw9654nxrxh')
  })

  test('wide letters keep the columns', () => {
    const named = doubleClick().map((event) => (event.src === 'client' ? { ...event, client: '顧客一二三四五六七八九' } : event))
    for (const columns of [60, 100]) expect(widest(screen(named, columns))).toBeLessThanOrEqual(columns)
  })
})

describe('the world screen', () => {
  const more = { switches: [{ key: '1', label: 'bank:latency', link: 'bank', toxic: 'latency_1', on: false }, { key: '2', label: 'bank:lost_response', link: 'bank', toxic: 'proposed_1', on: true }] }

  test.each([60, 80, 100, 160])('at %i columns it lists services, switches, payments and counters', (columns) => {
    const text = shown(linesOf(worldLines, crowd(), columns, 50, more), columns)
    expect(widest(text)).toBeLessThanOrEqual(columns)
    for (const fact of ['http://127.0.0.1:41002', '[1] bank:latency', 'order-40', '41 charges', '2 CHARGES', '≠ DIFFERENT']) expect(text).toContain(fact)
  })

  test('what differs stands first', () => {
    const rows = shown(linesOf(worldLines, crowd(), 100, 50), 100).split('\n').filter((line) => /^ +order-\d/.test(line))
    expect(rows[0]).toMatch(/order-7 .* 2 CHARGES/)
    expect(rows[1]).toMatch(/order-40 .*charged +charged 6 ms +1 charge/)
  })

  test('links tell which toxics are on them and how often they struck', () => {
    const text = shown(linesOf(worldLines, doubleClick(), 160, 50), 160)
    expect(text).toContain('bank  × lost response  struck once   then rst, method POST, first 1')
  })

  test('of two faults of one kind on one link each keeps its own key', () => {
    const { toxic } = doubleClick().find(({ type }) => type === 'toxic.hit') as unknown as { toxic: string }
    const two = { switches: [{ key: '1', label: 'bank:lost_response,first=9', link: 'bank', toxic: 'another', on: false }, { key: '2', label: 'bank:lost_response', link: 'bank', toxic, on: true }] }
    const text = shown(linesOf(worldLines, doubleClick(), 160, 50, two), 160)
    expect(text).toContain('[1] bank:lost_response,first=9  off')
    expect(text).toContain('[2] bank  × lost response  struck once')
  })
})

describe('a picture', () => {
  test('without colour holds no escape code at all', () => {
    expect(shown(linesOf(paymentLines, doubleCharge(), 100), 100)).not.toContain('\u001b')
  })

  test('as SVG is the same text, escaped', () => {
    const lines: Line[] = [[{ text: 'a <b> & c', look: 'loud' }], [{ text: '  ', look: 'plain' }, { text: 'd', look: 'good' }]]
    const svg = toSvg(lines, 'x < y')
    expect(svg).toContain('>a &lt;b&gt; &amp; c</text>')
    expect(svg).toContain('<title>x &lt; y</title>')
    expect([...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)"/g)].map(([, x, y]) => [x, y])).toEqual([['16', '29.5'], ['32.8', '47.5']])
  })
})

/** Time that moves when the test says so. */
class HandClock implements Clock {
  #time = 0
  #timers: { at: number; run: () => void }[] = []

  now = () => this.#time
  monotonic = () => this.#time
  sleep = (ms: number) => new Promise<void>((resolve) => void this.after(ms, resolve))

  after(ms: number, run: () => void): Cancel {
    const timer = { at: this.#time + ms, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer)
    }
  }

  /** React commits between turns of the event loop: they pass too. */
  async pass(ms: number): Promise<void> {
    const end = this.#time + ms
    for (let turns = 0; turns < 10_000; turns++) {
      await rest()
      const next = this.#timers.sort((a, b) => a.at - b.at)[0]
      if (!next || next.at > end) break
      this.#time = Math.max(this.#time, next.at)
      this.#timers.shift()
      next.run()
    }
    this.#time = end
    await rest()
  }
}

async function rest(): Promise<void> {
  for (let n = 0; n < 5; n++) await setImmediate()
}

/** The live screen, with a terminal of 100 x 40 that is no terminal. */
function show({ keys = {}, lingerMs = 8000, save = (kind) => `shot.${kind}` }: { keys?: Record<string, ScreenKey>; lingerMs?: number; save?: (kind: string, content: string) => string } = {}) {
  const clock = new HandClock()
  let sink: (event: Event) => void = () => {}
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const feed = new Feed({
    clock,
    ended,
    subscribe: (given) => {
      sink = given
      return () => {}
    },
  })
  const left: Left[] = []
  const host = { colour: false, title: 'resil pay  double-click', keys, save, lingerMs, clock }
  const ink = render(<App host={host} feed={feed} size={() => ({ columns: 100, rows: 40 })} leave={(how) => left.push(how)} />)
  const press = async (key: string) => {
    ink.stdin.write(key)
    await clock.pass(300)
  }
  return { clock, left, press, end, tell: (events: Event[]) => events.forEach((event) => sink(event)), frame: () => ink.lastFrame() ?? '' }
}

const UP = '\u001b[A'
const DOWN = '\u001b[B'
const CTRL_C = '\u0003'

describe('the live screen', () => {
  test('draws what happened, soon after it happened', async () => {
    const { clock, tell, frame } = show()
    await clock.pass(10)
    tell(doubleClick().slice(0, 16))
    await clock.pass(70)
    expect(frame()).toContain('bank  × lost response  armed, has not struck')
    tell(doubleClick().slice(16))
    await clock.pass(70)
    expect(frame()).toContain('= told, engine and ledger say the same')
    expect(frame()).toContain('HELD')
  })

  test('in real time the clock goes on while nothing happens', async () => {
    const { clock, tell, frame } = show()
    tell(doubleClick().slice(0, 8).map((event) => (event.type === 'run.started' ? { ...event, mode: 'wire' } : event)))
    await clock.pass(3000)
    expect(frame()).toMatch(/wire {3}seed 7 {3}00:0[23]\.\d{3}/)
  })

  test('q leaves, Ctrl-C interrupts', async () => {
    for (const [key, how] of [['q', 'left'], [CTRL_C, 'interrupted']] as const) {
      const { left, press, clock } = show()
      await clock.pass(10)
      await press(key)
      expect(left).toEqual([how])
    }
  })

  test('? lists every key, and any key closes the list', async () => {
    const { press, frame, tell, clock } = show({ keys: { p: { label: 'hold time', press() {} }, 1: { label: 'bank:latency', fault: { link: 'bank', toxic: 'latency_1' }, press() {} } } })
    tell(doubleClick())
    await clock.pass(70)
    await press('?')
    for (const text of ['q       leave', 's       save', 'p       hold time', '1       switch the fault bank:latency on and off', 'Ctrl-C']) expect(frame()).toContain(text)
    await press('x')
    expect(frame()).not.toContain('switch the fault')
  })

  test('arrows walk the events, escape goes back', async () => {
    const { press, frame, tell, clock } = show()
    tell(doubleClick().slice(0, 16))
    await clock.pass(70)
    await press(UP)
    expect(frame()).toMatch(/› #16 .*CHARGED/)
    await press(UP)
    await press(UP)
    expect(frame()).toMatch(/› #14 .*pays/)
    await press(DOWN)
    expect(frame()).toMatch(/› #15 /)
    await press('\u001b')
    await clock.pass(300)
    expect(frame()).not.toContain('›')
  })

  test("the host's keys are pressed, and said", async () => {
    let pressed = 0
    const { press, frame, clock } = show({ keys: { f: { label: "drop the bank's next answer", press: () => void pressed++ } } })
    await clock.pass(10)
    await press('f')
    await press('z')
    expect(pressed).toBe(1)
    expect(frame()).toContain("f: drop the bank's next answer")
  })

  test('s saves what is shown, as text and as SVG, and says where; a failure is said too', async () => {
    const saved: Record<string, string> = {}
    const { press, frame, tell, clock } = show({ save: (kind, content) => ((saved[kind] = content), `shot.${kind}`) })
    tell(doubleClick())
    await clock.pass(70)
    await press('s')
    expect(frame()).toContain('saved shot.txt and shot.svg')
    expect(saved['txt']).toContain('2 clicks, 1 charge of $99.00.')
    expect(saved['svg']).toMatch(/^<svg [^]*2 clicks, 1 charge[^]*<\/svg>\n$/)

    const failing = show({ save: () => { throw new Error('the disk is full') } })
    await failing.clock.pass(10)
    await failing.press('s')
    expect(failing.frame()).toContain('not saved: the disk is full')
  })

  test('after the end it says when it closes, and closes', async () => {
    const { clock, tell, end, frame, left } = show({ lingerMs: 8000 })
    tell(doubleClick())
    end()
    await clock.pass(500)
    expect(frame()).toMatch(/closing in 8 s, any key keeps it open/)
    await clock.pass(5000)
    expect(frame()).toMatch(/closing in 3 s/)
    expect(left).toEqual([])
    await clock.pass(4000)
    expect(left).toEqual(['left'])
  })

  test('any key keeps it open', async () => {
    const { clock, tell, end, frame, left, press } = show({ lingerMs: 8000 })
    tell(doubleClick())
    end()
    await clock.pass(500)
    await press(' ')
    await clock.pass(10_000)
    expect(left).toEqual([])
    expect(frame()).toContain('the run has ended   ? keys   q leave')
  })
})
