import { Cron } from 'croner'
import { describe, expect, test } from 'vitest'
import type { CrontabOptions } from '../../../src/engines/cron/crontab.ts'
import { parseCrontab } from '../../../src/engines/cron/crontab.ts'
import { zoneOf } from '../../../src/engines/cron/zone.ts'
import { ResilError } from '../../../src/errors.ts'
import { notDue, published } from './published-cases.ts'

const utc = (text: string) => Date.parse(`${text.replace(' ', 'T')}Z`)

const formats = new Map<string, Intl.DateTimeFormat>()

/** What clocks in a zone show, by Intl alone. */
function shown(zone: string, at: number): string {
  let format = formats.get(zone)
  if (!format) {
    format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' })
    formats.set(zone, format)
  }
  return format.format(at)
}

/** The instant of a local time; with an offset behind it where there are two. */
function instant(zone: string, text: string): number {
  if (/[+-]\d\d:\d\d$/.test(text)) return Date.parse(text.replace(' ', 'T'))
  const found: number[] = []
  for (let minutes = -14 * 60; minutes <= 14 * 60; minutes += 15) if (shown(zone, utc(text) - minutes * 60_000) === text) found.push(utc(text) - minutes * 60_000)
  if (found.length !== 1) throw new Error(`${text} comes ${found.length} times in ${zone}`)
  return found[0]!
}

const iso = (at: number | null) => (at === null ? 'never' : new Date(at).toISOString())

const cases = published.flatMap(({ cases: lines, ...policy }) => lines.map((line) => ({ ...policy, line })))
const expectations = cases.reduce((sum, { line }) => sum + line.split(' | ').length - 2, 0)

test('there are enough published answers', () => {
  expect(expectations + notDue.length).toBeGreaterThanOrEqual(200)
})

test.each(cases)('$zone: $line ($source)', ({ line, zone, source: _, ...policy }) => {
  const [text, from, ...expected] = line.split(' | ') as [string, string, ...string[]]
  const crontab = parseCrontab(text, { zone, ...policy })
  let at: number | null = instant(zone, from)
  for (const wanted of expected) {
    const before: number = at!
    at = crontab.next(before)
    expect(iso(at)).toBe(wanted === 'never' ? 'never' : iso(instant(zone, wanted)))
    // and back again
    if (at !== null) expect(crontab.prev(at) ?? 0).toBeLessThanOrEqual(before)
    if (at !== null) expect(crontab.prev(at + 1)).toBe(at)
  }
})

test.each(notDue)('%s is not due (robfig/cron, spec_test.go)', (line) => {
  const [text, at] = line.split(' | ') as [string, string]
  expect(parseCrontab(text).next(utc(at) - 1)).not.toBe(utc(at))
})

/** A fixed sequence, whatever the machine. */
function numbers(seed: number): (n: number) => number {
  let state = seed
  return (n) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return (state >> 9) % n
  }
}

describe('against croner', () => {
  const ZONES = ['America/New_York', 'Europe/London', 'Australia/Lord_Howe', 'America/Sao_Paulo', 'Asia/Beirut', 'Pacific/Apia', 'Africa/Casablanca', 'America/St_Johns', 'Asia/Tehran', 'Africa/Cairo', 'Pacific/Chatham', 'Asia/Kolkata', 'UTC']

  test('6,000 expressions around changes of clocks: the next five are the same, and prev finds the way back', { timeout: 60_000 }, () => {
    const draw = numbers(42)
    const field = (min: number, max: number) => {
      const [a, b] = [min + draw(max - min + 1), min + draw(max - min + 1)]
      const [low, high] = [Math.min(a, b), Math.max(a, b)]
      return ['*', `${a}`, `${low}-${high}`, `*/${1 + draw(Math.max(2, (max - min) >> 1))}`, `${a},${b}`, `${low}-${high}/${1 + draw(3)}`][draw(6)]!
    }
    const rarely = (written: string) => (draw(3) === 0 ? written : '*')
    const wrong: unknown[] = []
    for (let n = 0; n < 6000; n++) {
      const zone = ZONES[draw(ZONES.length)]!
      const text = `${draw(4) === 0 ? field(0, 59) : '0'} ${field(0, 59)} ${field(0, 23)} ${rarely(field(1, 28))} ${rarely(field(1, 12))} ${rarely(field(0, 6))}`
      // Half of them begin within a day before a change of clocks, where the zone has one.
      const anywhere = Date.UTC(2005 + draw(22), draw(12), 1 + draw(28), draw(24), draw(60), draw(60))
      const change = zoneOf(zone).stretchAt(anywhere).to
      const from = draw(2) === 0 ? anywhere : change - draw(86_400) * 1000
      const theirs = new Cron(text, { timezone: zone, fixedTimeRule: 'no-wildcard', sloppyRanges: true, paused: true }).nextRuns(5, new Date(from)).map((date) => date.getTime())
      const crontab = parseCrontab(text, { zone })
      const ours: number[] = []
      for (let at: number | null = from; ours.length < 5 && (at = crontab.next(at)) !== null; ) ours.push(at)
      const back = ours.slice(1).map((at) => crontab.prev(at))
      if (String(ours) !== String(theirs) || String(back) !== String(ours.slice(0, -1))) wrong.push({ text, zone, from: iso(from), ours: ours.map(iso), theirs: theirs.map(iso), back: back.map(iso) })
    }
    expect(wrong).toEqual([])
  })
})

describe('H', () => {
  const due = (text: string, name: string) => parseCrontab(text, { name }).next(Date.UTC(2026, 0, 1))!
  test('is the same for the same name, and spreads names over the field', () => {
    expect(due('H H * * *', 'digest')).toBe(due('H H * * *', 'digest'))
    const minutes = new Map<number, number>()
    for (let n = 0; n < 6000; n++) {
      const minute = new Date(due('H * * * *', `job-${n}`)).getUTCMinutes()
      minutes.set(minute, (minutes.get(minute) ?? 0) + 1)
    }
    expect(minutes.size).toBe(60)
    expect(Math.max(...minutes.values()) / 100).toBeLessThanOrEqual(1.5)
  })
  test('keeps to its range and its step', () => {
    for (let n = 0; n < 200; n++) {
      expect(new Date(due('0 H(8-17) * * *', `${n}`)).getUTCHours()).toSatisfy((hour: number) => hour >= 8 && hour <= 17)
      const quarter = parseCrontab('H/15 * * * *', { name: `${n}` })
      const first = quarter.next(Date.UTC(2026, 0, 1))!
      expect(quarter.next(first)! - first).toBe(15 * 60_000)
    }
  })
})

describe('bad input', () => {
  test.each<[string, RegExp, CrontabOptions?]>([
    ['', /1 field/],
    ['* * * *', /4 fields/],
    ['* '.repeat(99).trim(), /99 fields/],
    ['* * 30 2 *', /never due/],
    ['0 0 31 4,6,9,11 *', /never due/],
    ['60 * * * *', /minute: 60 is not between 0 and 59/],
    ['* 24 * * *', /hour: 24 is not between 0 and 23/],
    ['* * 0 * *', /day of month: 0 is not between 1 and 31/],
    ['* * * 13 *', /month: 13 is not between 1 and 12/],
    ['* * * * 8', /day of week: 8 is not between 0 and 7/],
    ['* * * * funday', /"funday" is no name/],
    ['*/0 * * * *', /step of 0/],
    ['1,,2 * * * *', /between two commas/],
    ['1--2 * * * *', /not understood/],
    ['-5 * * * *', /not understood/],
    ['1.5 * * * *', /not understood/],
    ['* * * * fri#6', /no 6th fri/],
    ['* * 32W * *', /32 is not between/],
    ['* * L-31 * *', /before every month/],
    ['H(9-3) * * * *', /ends before it begins/],
    ['@reboot', /no such word/],
    ['@every', /no duration/],
    ['@every 5', /no duration/],
    ['@every 10ms', /from one second|every 10 ms/],
    ['@every 999999999d', /every/],
    ['@at tomorrow', /no point in time/],
    ['@at 2026-02-30T09:00', /no such date/],
    ['@at 2026-03-08T02:30', /leave that time out/, { zone: 'America/New_York', gap: 'skip' }],
    ['a'.repeat(10_240), /10240 characters/],
    ['\u001b[31m* * * * *', /\\e\[31m/],
    ['CRON_TZ=Mars/Olympus 0 9 * * *', /no time zone "Mars\/Olympus"/],
    ['0 9 * * *', /no time zone "Europe\/Berlim"/, { zone: 'Europe/Berlim' }],
    ['0 9 * * *', /no time zone "\+01:00"/, { zone: '+01:00' }],
    ['0 9 * * *', /no time zone "\\e\[2J"/, { zone: '\u001b[2J' }],
  ])('%j', (text, message, options) => {
    let thrown: unknown
    try {
      parseCrontab(text, options)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(ResilError)
    const { code, hint, message: said } = thrown as ResilError
    expect(said).toMatch(message)
    expect(code).toMatch(/^BAD_(SCHEDULE|ZONE)$/)
    expect(hint).not.toBe('')
    // oxlint-disable-next-line no-control-regex -- nothing of the kind may be told
    expect(said + hint).not.toMatch(/[\u0000-\u001f\u007f]/)
    expect(said.length + hint.length).toBeLessThan(500)
  })

  test('a near zone is suggested', () => {
    expect(() => parseCrontab('0 9 * * *', { zone: 'Europe/Berlim' })).toThrow(expect.objectContaining({ hint: 'did you mean Europe/Berlin?' }))
  })
})

test('what a user may not have meant is said', () => {
  const now = Date.UTC(2026, 0, 15)
  const lint = (text: string, options: CrontabOptions = {}) => parseCrontab(text, { zone: 'America/New_York', ...options }).lint(now)
  expect(lint('0 9 * * *')).toEqual([])
  expect(lint('30 2 * * *')).toEqual(['on 2026-03-08 clocks in America/New_York leave its time out: it is due right behind the gap'])
  expect(lint('30 2 * * *', { gap: 'skip' })).toEqual(['on 2026-03-08 clocks in America/New_York leave its time out: it is not due'])
  expect(lint('30 1 * * *')).toEqual(['on 2026-11-01 clocks in America/New_York show its time twice: it is due the first time'])
  expect(lint('30 1 * * *', { overlap: 'both' })).toEqual(['on 2026-11-01 clocks in America/New_York show its time twice: it is due both times'])
  expect(lint('*/15 * * * *')).toEqual([])
  expect(lint('0 0 13 * 5')).toEqual(['both a day of month and a day of week are given: it is due when one of them fits'])
  expect(lint('0 0 13 * 5', { days: 'and' })).toEqual([])
  expect(lint('0 0 1 1 1 ? 2020')).toEqual([expect.stringContaining('not due within the next 40 years')])
  expect(lint('@at 2020-01-01T00:00')).toEqual([expect.stringContaining('passed already')])
})
