/**
 * When a schedule is due: cron expressions in a time zone, intervals, and single points in time.
 *
 *   [CRON_TZ=Europe/Berlin] [second] minute hour day-of-month month day-of-week [year]     5, 6 or 7 fields
 *   @yearly @annually @monthly @weekly @daily @midnight @hourly        @every 90s        @at 2026-03-01T09:00
 *
 * Fields: *, lists, ranges (also 22-2, sat-mon), steps (also 5/15), names, ? as *, and H for a value that is hashed from the schedule's name
 * (H, H/15, H(8-17)). Day of month: L, L-3, LW, 15W. Day of week: 0 to 7, fri#2, friL.
 * With both a day of month and a day of week, one of them is enough, as in every Unix; `days: 'and'` wants both.
 *
 * When clocks change, Vixie's rule with lists and ranges counted as fixed: an expression without * and / in second, minute and hour means a time of
 * day; one that falls into a gap is due once, right behind it, one that comes twice is due the first time. All others mean an interval in real time:
 * what falls into a gap is not due, what comes twice is due twice. `gap` and `overlap` say otherwise for a schedule. A gap longer than three hours
 * is a correction of the calendar: what falls into it is never due.
 */
import { durationMs } from '../../duration.ts'
import { ResilError } from '../../errors.ts'
import { chance } from '../../random.ts'
import { visible } from '../../visible.ts'
import type { Zone } from './zone.ts'
import { zoneOf } from './zone.ts'

export const GAPS = ['shift', 'skip'] as const
export const OVERLAPS = ['first', 'last', 'both'] as const
export const DAYS = ['or', 'and'] as const

export interface CrontabOptions {
  /** IANA name; UTC when absent. CRON_TZ= in the expression goes before it. */
  zone?: string
  /** What becomes of times that a change of clocks leaves out. */
  gap?: (typeof GAPS)[number]
  /** Which of the times that a change of clocks brings twice. */
  overlap?: (typeof OVERLAPS)[number]
  days?: (typeof DAYS)[number]
  /** The schedule's name: what H is hashed from. */
  name?: string
  /** What an interval is counted from, ms since 1970; 0 when absent. */
  anchorMs?: number
}

/** Instants are whole seconds in ms since 1970; @every may stand between them. */
export interface Crontab {
  /** The expression without its zone, in single blanks. */
  readonly text: string
  readonly zone: string
  /** The first due instant after that one; null when there is none within SEARCH_YEARS. */
  next(after: number): number | null
  /** The last due instant before that one, in the same manner. */
  prev(before: number): number | null
  /** What the user may not have meant; one sentence each. `now` says which year is looked at. */
  lint(now: number): string[]
}

/** How far a due instant is looked for: beyond the eight years between two leap days around 2100, and their weekdays. */
const SEARCH_YEARS = 40
const SEARCH_MS = SEARCH_YEARS * 366 * 86_400_000

/** Longest expression, characters. */
const MAX_TEXT = 256
/** A longer gap is a correction of the calendar, not of the clock (cronie's bound). */
const LONGEST_GAP_MS = 3 * 3_600_000
const SHORTEST_EVERY_MS = 1000
const LONGEST_EVERY_MS = 366 * 86_400_000
const SECOND_MS = 1000
const DAY_MS = 86_400_000

const NICKNAMES: Record<string, string> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
}

interface FieldSpec {
  name: string
  min: number
  max: number
  names?: readonly string[]
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'] as const
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const
const LONG_MONTHS = ['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october', 'november', 'december']
const LONG_WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']

const FIELDS = {
  second: { name: 'second', min: 0, max: 59 },
  minute: { name: 'minute', min: 0, max: 59 },
  hour: { name: 'hour', min: 0, max: 23 },
  day: { name: 'day of month', min: 1, max: 31 },
  month: { name: 'month', min: 1, max: 12, names: MONTHS },
  weekday: { name: 'day of week', min: 0, max: 7, names: WEEKDAYS },
  year: { name: 'year', min: 1970, max: 2199 },
} as const satisfies Record<string, FieldSpec>

/** Throws BAD_SCHEDULE, with the field and how to mend it; BAD_ZONE. */
export function parseCrontab(given: string, options: CrontabOptions = {}): Crontab {
  if (given.length > MAX_TEXT) throw bad(`${visible(given.slice(0, 40))}...`, `it has ${given.length} characters`, `${MAX_TEXT} are enough for any schedule`)
  const [, prefixed, rest] = /^\s*(?:(?:CRON_)?TZ=(\S+)\s+)?(.*?)\s*$/s.exec(given)!
  const text = rest!.replace(/\s+/g, ' ')
  const zone = zoneOf(prefixed ?? options.zone ?? 'UTC')
  if (text.startsWith('@every')) return every(text, zone, options)
  if (text.startsWith('@at')) return single(text, zone, options)
  if (text.startsWith('@') && !Object.hasOwn(NICKNAMES, text.toLowerCase())) throw bad(text, 'there is no such word', `there are ${Object.keys(NICKNAMES).join(' ')} @every @at`)
  return new Expression(text, (NICKNAMES[text.toLowerCase()] ?? text).split(' '), zone, options)
}

function bad(text: string, what: string, hint: string): ResilError {
  return new ResilError('BAD_SCHEDULE', `"${visible(text)}" is no schedule: ${visible(what)}`, hint)
}

// ── intervals and single points ─────────────────────────────────────────────────────────────────────────────────────

function every(text: string, zone: Zone, { anchorMs = 0 }: CrontabOptions): Crontab {
  const parts = /^@every ((?:\d{1,9}(?:ms|s|m|h|d))+)$/.exec(text)?.[1]
  let ms = 0
  for (const [part] of (parts ?? '').matchAll(/\d+(ms|s|m|h|d)/g)) ms += durationMs(part)!
  if (parts === undefined) throw bad(text, 'it says no duration', 'write @every and how long, for example @every 90s or @every 1h30m')
  if (ms < SHORTEST_EVERY_MS || ms > LONGEST_EVERY_MS) throw bad(text, `it is due every ${ms} ms`, 'from one second to a year')
  return {
    text,
    zone: zone.name,
    next: (after) => anchorMs + Math.max(1, Math.floor((after - anchorMs) / ms) + 1) * ms,
    prev: (before) => (before <= anchorMs + ms ? null : anchorMs + (Math.ceil((before - anchorMs) / ms) - 1) * ms),
    lint: () => [],
  }
}

function single(text: string, zone: Zone, { gap = 'shift', overlap = 'first' }: CrontabOptions): Crontab {
  const match = /^@at (\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d))?(Z|[+-]\d\d:\d\d)?$/.exec(text)
  if (!match) throw bad(text, 'it says no point in time', 'write @at and a date with a time, for example @at 2026-03-01T09:00 or @at 2026-03-01T09:00Z')
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0)) as [number, number, number, number, number, number]
  const local = Date.UTC(year, month - 1, day, hour, minute, second)
  const read = new Date(local)
  if (read.getUTCMonth() !== month - 1 || read.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59) throw bad(text, 'there is no such date or time', 'check the month, the day and the hour')
  const offset = match[7]
  let at: number
  if (offset === 'Z') at = local
  else if (offset !== undefined) at = local - (offset.startsWith('-') ? -1 : 1) * (Number(offset.slice(1, 3)) * 60 + Number(offset.slice(4, 6))) * 60_000
  else {
    const found = instantsOf(zone, local)
    if (found.length === 0 && gap === 'skip') throw bad(text, `clocks in ${zone.name} leave that time out`, 'choose another time, or let it shift')
    at = found.length === 0 ? gapEnd(zone, local) : overlap === 'last' ? found.at(-1)! : found[0]!
  }
  return { text, zone: zone.name, next: (after) => (after < at ? at : null), prev: (before) => (before > at ? at : null), lint: (now) => (at <= now ? ['it has passed already: it will never be due'] : []) }
}

/** The instants at which clocks show that local time: none in a gap, two where it comes twice. */
function instantsOf(zone: Zone, local: number): number[] {
  const instants = new Set<number>()
  for (const guess of [local - DAY_MS, local, local + DAY_MS]) {
    const at = local - zone.offsetAt(guess)
    if (at + zone.offsetAt(at) === local) instants.add(at)
  }
  return [...instants].sort((a, b) => a - b)
}

function gapEnd(zone: Zone, local: number): number {
  const stretch = zone.stretchAt(local - zone.offsetAt(local - DAY_MS))
  return stretch.from
}

// ── expressions ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** The allowed values of a field: `at[v]` is the first one from v on, or 255. */
type Values = Uint8Array

const NONE = 255

interface DayRules {
  /** `days[d]` is 1 for the allowed days of the month. */
  days: Uint8Array
  /** Days before the last one. */
  fromEnd: readonly number[]
  /** The weekday nearest to that day; 0: to the last day. */
  nearest: readonly number[]
  anyDay: boolean
  weekdays: Uint8Array
  /** Of a weekday, the n-th in its month; 0: the last. */
  nth: readonly { weekday: number; n: number }[]
  anyWeekday: boolean
  both: boolean
}

class Expression implements Crontab {
  readonly text: string
  readonly #zone: Zone
  readonly #seconds: Values
  readonly #minutes: Values
  readonly #hours: Values
  readonly #months: Values
  readonly #days: DayRules
  readonly #years: readonly number[] | undefined
  readonly #fixed: boolean
  readonly #gap: (typeof GAPS)[number]
  readonly #overlap: (typeof OVERLAPS)[number]

  constructor(text: string, fields: readonly string[], zone: Zone, options: CrontabOptions) {
    if (fields.length < 5 || fields.length > 7) throw bad(text, `it has ${fields.length === 1 ? '1 field' : `${fields.length} fields`}`, 'write 5: minute hour day-of-month month day-of-week; 6 with seconds before them, 7 with a year behind them')
    this.text = text
    this.#zone = zone
    const [second, minute, hour, day, month, weekday, year] = (fields.length === 5 ? ['0', ...fields] : fields) as [string, string, string, string, string, string, string?]
    const hash = (field: string) => (values: number) => Math.floor(chance(`H ${field}`, options.name ?? '', 1) * values)
    const read = (field: FieldSpec, written: string) => valuesOf(text, field, written, hash(field.name))
    this.#seconds = jumps(read(FIELDS.second, second), FIELDS.second)
    this.#minutes = jumps(read(FIELDS.minute, minute), FIELDS.minute)
    this.#hours = jumps(read(FIELDS.hour, hour), FIELDS.hour)
    this.#months = jumps(read(FIELDS.month, month), FIELDS.month)
    this.#days = daysOf(text, day, weekday, options.days ?? 'or', hash)
    this.#years = year === undefined || year === '*' ? undefined : [...read(FIELDS.year, year)].sort((a, b) => a - b)
    this.#fixed = ![second, minute, hour].some((field) => /[*/?]/.test(field))
    this.#gap = options.gap ?? (this.#fixed ? 'shift' : 'skip')
    this.#overlap = options.overlap ?? (this.#fixed ? 'first' : 'both')
    if (this.#localFrom(Date.UTC(2000, 0, 1), Date.UTC(2000 + SEARCH_YEARS, 0, 1)) === null && !this.#years) throw bad(text, 'it is never due', 'there is no such day in any of its months')
  }

  get zone(): string {
    return this.#zone.name
  }

  next(after: number): number | null {
    const limit = after + SEARCH_MS
    let at = (Math.floor(after / SECOND_MS) + 1) * SECOND_MS
    while (at < limit) {
      const stretch = this.#zone.stretchAt(at)
      if (at === stretch.from && this.#dueBehindGap(stretch)) return at
      const [low, high] = this.#span(stretch)
      const local = this.#localFrom(Math.max(at + stretch.offset, low), high)
      if (local !== null) return local - stretch.offset
      at = stretch.to
    }
    return null
  }

  prev(before: number): number | null {
    const limit = before - SEARCH_MS
    let at = Math.ceil(before / SECOND_MS) * SECOND_MS - SECOND_MS
    while (at > limit) {
      const stretch = this.#zone.stretchAt(at)
      const [low, high] = this.#span(stretch)
      const local = this.#localUntil(Math.min(at + stretch.offset, high - SECOND_MS), low)
      if (local !== null) return local - stretch.offset
      if (this.#dueBehindGap(stretch)) return stretch.from
      at = stretch.from - SECOND_MS
    }
    return null
  }

  lint(now: number): string[] {
    const found: string[] = []
    const { anyDay, anyWeekday, both } = this.#days
    if (!anyDay && !anyWeekday && !both) found.push('both a day of month and a day of week are given: it is due when one of them fits')
    if (this.next(now) === null) found.push(`it is not due within the next ${SEARCH_YEARS} years`)
    if (this.#fixed) {
      const end = now + 366 * DAY_MS
      for (let stretch = this.#zone.stretchAt(now); stretch.to < end; stretch = this.#zone.stretchAt(stretch.to)) {
        const change = stretch.after - stretch.offset
        const [low, high] = [stretch.to + Math.min(stretch.offset, stretch.after), stretch.to + Math.max(stretch.offset, stretch.after)]
        if (change !== 0 && this.#localFrom(low, high) !== null) {
          const day = new Date(stretch.to + stretch.offset).toISOString().slice(0, 10)
          if (change > 0) found.push(`on ${day} clocks in ${this.zone} leave its time out: it is ${this.#gap === 'skip' || change > LONGEST_GAP_MS ? 'not due' : 'due right behind the gap'}`)
          else found.push(`on ${day} clocks in ${this.zone} show its time twice: it is due ${this.#overlap === 'both' ? 'both times' : `the ${this.#overlap} time`}`)
        }
      }
    }
    return found
  }

  /** Local times of a stretch that count under the rule for what comes twice: [low, high). */
  #span({ from, to, offset, before, after }: Stretch): [number, number] {
    return [this.#overlap === 'first' && before > offset ? from + before : from + offset, this.#overlap === 'last' && after < offset ? to + after : to + offset]
  }

  #dueBehindGap({ from, offset, before }: Stretch): boolean {
    if (this.#gap === 'skip' || offset <= before || offset - before > LONGEST_GAP_MS) return false
    return this.#localFrom(from + before, from + offset) !== null
  }

  /** The first local time in [from, to) that fits. Local times are counted as if they were UTC. */
  #localFrom(from: number, to: number): number | null {
    const date = new Date(from)
    let year = date.getUTCFullYear()
    let month = date.getUTCMonth() + 1
    let day = date.getUTCDate()
    let dayStart = Math.floor(from / DAY_MS) * DAY_MS
    let second = Math.ceil((from - dayStart) / SECOND_MS)
    let weekday = date.getUTCDay()
    while (dayStart < to) {
      const fittingYear = this.#yearFrom(year)
      const fittingMonth = fittingYear === year ? this.#months[month]! : NONE
      if (fittingYear === undefined) return null
      if (fittingYear !== year || fittingMonth !== month) {
        if (fittingYear !== year) [year, month] = [fittingYear, this.#months[1]!]
        else if (fittingMonth === NONE) [year, month] = [year + 1, 1]
        else month = fittingMonth
        day = 1
        dayStart = Date.UTC(year, month - 1, 1)
        weekday = new Date(dayStart).getUTCDay()
        second = 0
        continue
      }
      const length = lengthOf(year, month)
      if (second < 86_400 && this.#dayFits(day, length, weekday)) {
        const time = this.#timeFrom(second)
        if (time !== null) {
          const local = dayStart + time * SECOND_MS
          return local < to ? local : null
        }
      }
      second = 0
      dayStart += DAY_MS
      weekday = (weekday + 1) % 7
      if (++day > length) {
        day = 1
        if (++month > 12) {
          month = 1
          year++
        }
      }
    }
    return null
  }

  /** The last local time in [low, from] that fits. */
  #localUntil(from: number, low: number): number | null {
    if (from < low) return null
    let dayStart = Math.floor(from / DAY_MS) * DAY_MS
    let second = Math.floor((from - dayStart) / SECOND_MS)
    while (dayStart + DAY_MS > low) {
      const date = new Date(dayStart)
      const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()]
      if (this.#months[month] !== month || (this.#years && !this.#years.includes(year))) {
        if (this.#years && year < this.#years[0]!) return null
        dayStart = Date.UTC(year, month - 1, 1) - DAY_MS
      } else {
        if (this.#dayFits(day, lengthOf(year, month), date.getUTCDay())) {
          const time = this.#timeUntil(second)
          if (time !== null) {
            const local = dayStart + time * SECOND_MS
            return local >= low ? local : null
          }
        }
        dayStart -= DAY_MS
      }
      second = 86_399
    }
    return null
  }

  #yearFrom(year: number): number | undefined {
    return this.#years ? this.#years.find((each) => each >= year) : year
  }

  #dayFits(day: number, length: number, weekday: number): boolean {
    const rules = this.#days
    const byWeekday = rules.anyWeekday || rules.weekdays[weekday] === 1 || rules.nth.some((each) => each.weekday === weekday && (each.n === 0 ? day + 7 > length : Math.ceil(day / 7) === each.n))
    if (rules.anyDay) return byWeekday
    const byDay = rules.days[day] === 1 || rules.fromEnd.some((back) => length - back === day) || rules.nearest.some((wanted) => nearestWeekday(wanted, day, length, weekday) === day)
    if (rules.anyWeekday) return byDay
    return rules.both ? byDay && byWeekday : byDay || byWeekday
  }

  /** The first fitting second of a day from that one on. */
  #timeFrom(second: number): number | null {
    const [h, m, s] = [Math.floor(second / 3600), Math.floor(second / 60) % 60, second % 60]
    const hour = this.#hours[h]!
    if (hour === NONE) return null
    if (hour > h) return hour * 3600 + this.#minutes[0]! * 60 + this.#seconds[0]!
    const minute = this.#minutes[m]!
    if (minute === m) {
      const found = this.#seconds[s]!
      if (found !== NONE) return hour * 3600 + minute * 60 + found
    }
    const later = this.#minutes[minute === m ? m + 1 : m]!
    if (later !== NONE) return hour * 3600 + later * 60 + this.#seconds[0]!
    const next = this.#hours[h + 1]!
    return next === NONE ? null : next * 3600 + this.#minutes[0]! * 60 + this.#seconds[0]!
  }

  /** The last fitting second of a day up to that one. */
  #timeUntil(second: number): number | null {
    for (let hour = Math.floor(second / 3600); hour >= 0; hour--) {
      if (this.#hours[hour] !== hour) continue
      const within = Math.min(second - hour * 3600, 3599)
      for (let minute = Math.floor(within / 60); minute >= 0; minute--) {
        if (this.#minutes[minute] !== minute) continue
        for (let at = Math.min(within - minute * 60, 59); at >= 0; at--) if (this.#seconds[at] === at) return hour * 3600 + minute * 60 + at
      }
    }
    return null
  }
}

type Stretch = ReturnType<Zone['stretchAt']>

function lengthOf(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
}

/** The Monday to Friday nearest to a day of the month that `day`, a `weekday`, is of; it stays within the month. `wanted` 0 is the last day. */
function nearestWeekday(wanted: number, day: number, length: number, weekday: number): number {
  const target = wanted === 0 ? length : wanted
  if (target > length) return 0
  const on = (((weekday + target - day) % 7) + 7) % 7
  if (on === 6) return target === 1 ? 3 : target - 1
  if (on === 0) return target === length ? target - 2 : target + 1
  return target
}

function jumps(values: ReadonlySet<number>, { max }: FieldSpec): Values {
  const at = new Uint8Array(max + 2).fill(NONE)
  for (let v = max; v >= 0; v--) at[v] = values.has(v) ? v : at[v + 1]!
  return at
}

function daysOf(text: string, day: string, weekday: string, join: (typeof DAYS)[number], hash: (field: string) => (values: number) => number): DayRules {
  const rules = { fromEnd: [] as number[], nearest: [] as number[], nth: [] as { weekday: number; n: number }[] }
  const plainDays = day.split(',').filter((item) => {
    const [, back] = /^L(?:-(\d{1,2}))?$/i.exec(item) ?? []
    const [, near] = /^(?:(\d{1,2})|L)W$/i.exec(item) ?? []
    if (/^L(-\d{1,2})?$/i.test(item)) {
      if (Number(back ?? 0) > 30) throw bad(text, `day of month: ${item} is before every month`, 'L-30 is the first day of a month of 31')
      rules.fromEnd.push(Number(back ?? 0))
    } else if (/^(\d{1,2}|L)W$/i.test(item)) {
      if (near !== undefined && (Number(near) < 1 || Number(near) > 31)) throw bad(text, `day of month: ${near} is not between 1 and 31`, 'write the weekday nearest to the 15th as 15W')
      rules.nearest.push(Number(near ?? 0))
    } else return true
    return false
  })
  const plainWeekdays = weekday.split(',').filter((item) => {
    const [, named, n] = /^([a-z]{3,9}|\d)(?:#(\d)|L)$/i.exec(item) ?? []
    if (named === undefined) return true
    if (n !== undefined && (Number(n) < 1 || Number(n) > 5)) throw bad(text, `day of week: there is no ${n}th ${named} in a month`, 'write #1 to #5, or L for the last')
    rules.nth.push({ weekday: valueOf(text, FIELDS.weekday, named) % 7, n: Number(n ?? 0) })
    return false
  })
  const days = new Uint8Array(32)
  if (plainDays.length > 0) for (const value of valuesOf(text, FIELDS.day, plainDays.join(','), hash(FIELDS.day.name))) days[value] = 1
  const weekdays = new Uint8Array(7)
  if (plainWeekdays.length > 0) for (const value of valuesOf(text, FIELDS.weekday, plainWeekdays.join(','), hash(FIELDS.weekday.name))) weekdays[value % 7] = 1
  const any = (field: string) => field === '*' || field === '?'
  return { ...rules, days, weekdays, anyDay: any(day), anyWeekday: any(weekday), both: join === 'and' }
}

/** The values that a field allows. */
function valuesOf(text: string, field: FieldSpec, written: string, hash: (values: number) => number): Set<number> {
  const values = new Set<number>()
  for (const item of written.split(',')) {
    const match = /^(?:(\*|\?)|(H)(?:\((\w{1,9})-(\w{1,9})\))?|(\w{1,9})(?:-(\w{1,9}))?)(?:\/(\d{1,4}))?$/i.exec(item)
    if (!match) throw bad(text, `${field.name}: ${item === '' ? 'nothing stands between two commas' : `"${item.slice(0, 20)}" is not understood`}`, `write *, a value, a range such as ${field.min}-${field.max}, a list, or a step such as */5`)
    const [, any, hashed, hashFrom, hashTo, first, last, stepText] = match
    const step = stepText === undefined ? undefined : Number(stepText)
    if (step === 0) throw bad(text, `${field.name}: a step of 0 never ends`, 'write a step of 1 or more')
    const end = field === FIELDS.weekday ? 6 : field.max
    if (any !== undefined) addRange(values, field.min, end, step ?? 1, field)
    else if (hashed !== undefined) {
      const from = hashFrom === undefined ? field.min : valueOf(text, field, hashFrom)
      // A hashed day of the month is one that every month has.
      const to = hashTo === undefined ? (field === FIELDS.day ? 28 : end) : valueOf(text, field, hashTo)
      if (to < from) throw bad(text, `${field.name}: ${item} ends before it begins`, 'write the smaller value first')
      if (step === undefined) values.add(from + hash(to - from + 1))
      else for (let v = from + hash(Math.min(step, to - from + 1)); v <= to; v += step) values.add(v)
    } else {
      const from = valueOf(text, field, first!)
      if (last !== undefined) addRange(values, from, valueOf(text, field, last), step ?? 1, field)
      else if (step !== undefined) addRange(values, from, Math.max(from, end), step, field)
      else values.add(from)
    }
  }
  return values
}

/** From `from` to `to`, also over the end of the field: 22-2, sat-mon. */
function addRange(values: Set<number>, from: number, to: number, step: number, field: FieldSpec): void {
  const size = field === FIELDS.weekday ? 7 : field.max - field.min + 1
  const length = to >= from ? to - from : to - from + size
  for (let n = 0; n <= length; n += step) {
    const value = from + n
    values.add(value > field.max ? value - size : value)
  }
}

function valueOf(text: string, field: FieldSpec, written: string): number {
  const word = written.toLowerCase()
  if (field.names && !/^\d/.test(word)) {
    const at = field.names.indexOf(word)
    const long = (field === FIELDS.month ? LONG_MONTHS : LONG_WEEKDAYS).indexOf(word)
    if (at !== -1 || long !== -1) return Math.max(at, long) + (field === FIELDS.month ? 1 : 0)
    throw bad(text, `${field.name}: "${written}" is no name`, `there are ${field.names.join(', ')}`)
  }
  const value = /^\d{1,4}$/.test(word) ? Number(word) : Number.NaN
  if (!(value >= field.min && value <= field.max)) throw bad(text, `${field.name}: ${written} is not between ${field.min} and ${field.max}`, `give a number from ${field.min} to ${field.max}`)
  return value
}
