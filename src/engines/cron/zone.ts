/**
 * Time zones as stretches of constant offset, read from the time zone data that Node carries (process.versions.tz): within a stretch, local
 * time is a plain sum, and only its ends are special.
 */
import { ResilError } from '../../errors.ts'
import { nearest } from '../../nearest.ts'
import { visible } from '../../visible.ts'

/** Instants in [from, to) ms since 1970; local time is UTC + offset. The offsets on both sides are equal to it where only a year ends. */
export interface Stretch {
  readonly from: number
  readonly to: number
  readonly offset: number
  readonly before: number
  readonly after: number
}

const DAY_MS = 86_400_000

/** No zone has ever kept an offset for less than about three weeks: two samples so near miss no change. */
const SAMPLE_MS = 4 * DAY_MS

/** A zone's name that is none. ICU would take some, such as "+01:00", that other programs do not know. */
const NAME = /^[A-Za-z][A-Za-z0-9_+\-/]{0,63}$/

const zones = new Map<string, Zone>()

/** Throws BAD_ZONE. Names are as in the IANA database, in any case. */
export function zoneOf(name: string): Zone {
  const known = zones.get(name)
  if (known) return known
  const zone = new Zone(name)
  zones.set(name, zone)
  return zone
}

export class Zone {
  readonly name: string
  readonly #format: Intl.DateTimeFormat
  /** By UTC year, which it covers. */
  readonly #years = new Map<number, readonly Stretch[]>()
  #last: Stretch | undefined

  constructor(name: string) {
    try {
      if (!NAME.test(name)) throw new RangeError(name)
      this.#format = new Intl.DateTimeFormat('en-US', { timeZone: name, hourCycle: 'h23', era: 'short', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' })
    } catch (error) {
      const meant = name.length > 64 ? undefined : nearest(name, Intl.supportedValuesOf('timeZone'))
      throw new ResilError('BAD_ZONE', `there is no time zone "${visible(name.slice(0, 64))}"`, meant ? `did you mean ${meant}?` : 'give a name of the IANA database, such as Europe/Berlin or UTC', { cause: error })
    }
    this.name = this.#format.resolvedOptions().timeZone
  }

  /** Local time minus UTC at that instant, ms. */
  offsetAt(at: number): number {
    return this.stretchAt(at).offset
  }

  /** The stretch that holds an instant. Answered from memory as long as one asks within the same. */
  stretchAt(at: number): Stretch {
    const last = this.#last
    if (last && at >= last.from && at < last.to) return last
    const year = new Date(at).getUTCFullYear()
    let stretches = this.#years.get(year)
    if (!stretches) {
      stretches = this.#stretches(year)
      if (this.#years.size >= YEARS_KEPT) this.#years.clear()
      this.#years.set(year, stretches)
    }
    this.#last = stretches.find(({ to }) => at < to)!
    return this.#last
  }

  #stretches(year: number): Stretch[] {
    const end = Date.UTC(year + 1, 0, 1)
    const stretches: Stretch[] = []
    let from = Date.UTC(year, 0, 1)
    let before = this.#read(from - 1000)
    while (from < end) {
      const offset = this.#read(from)
      const to = this.#nextChange(from, offset, end)
      const after = this.#read(to)
      stretches.push({ from, to, offset, before, after })
      from = to
      before = offset
    }
    return stretches
  }

  /** The first instant after `from` with another offset, at most `end`. */
  #nextChange(from: number, offset: number, end: number): number {
    let low = from
    let high = from
    do {
      low = high
      high = Math.min(low + SAMPLE_MS, end)
      if (this.#read(high) !== offset) break
      if (high === end) return end
    } while (high < end)
    while (high - low > 1000) {
      const middle = Math.floor((low + high) / 2000) * 1000
      if (this.#read(middle) === offset) low = middle
      else high = middle
    }
    return high
  }

  /** `at` in whole seconds. */
  #read(at: number): number {
    const [, month, day, year, era, hour, minute, second] = WRITTEN.exec(this.#format.format(at))!
    const signed = era === 'BC' || era === 'B' ? 1 - Number(year) : Number(year)
    const date = new Date(0)
    date.setUTCFullYear(signed, Number(month) - 1, Number(day))
    return date.getTime() + Number(hour) * 3_600_000 + Number(minute) * 60_000 + Number(second) * 1000 - Math.floor(at / 1000) * 1000
  }
}

/** Years of one zone that are remembered: the search for a rare date takes forty. */
const YEARS_KEPT = 100

const WRITTEN = /^(\d+)\/(\d+)\/(\d+) ([A-Z]+), (\d+):(\d+):(\d+)$/
