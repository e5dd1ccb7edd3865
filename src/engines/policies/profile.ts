import { ResilError } from '../../errors.ts'
import type { Profile } from './bulkhead.ts'

/** Between two times of day in a zone, `from` included, `to` not. `to` before `from` goes over midnight. */
export interface ProfileRow {
  /** 'HH:MM' */
  from: string
  /** 'HH:MM' */
  to: string
  /** IANA name, such as 'Europe/Berlin'. Default 'UTC'. */
  zone?: string
  limit: number
}

/** A ceiling by the time of day: the first row that holds, else `otherwise`. Throws INVALID_POLICY for times and zones that are none. */
export function profile(rows: readonly ProfileRow[], otherwise: number): Profile {
  const parsed = rows.map(({ from, to, zone = 'UTC', limit }) => ({ from: minuteOf(from), to: minuteOf(to), minuteAt: clockIn(zone), limit }))
  return (at) => {
    for (const { from, to, minuteAt, limit } of parsed) {
      const minute = minuteAt(at)
      if (from <= to ? minute >= from && minute < to : minute >= from || minute < to) return limit
    }
    return otherwise
  }
}

function minuteOf(text: string): number {
  const [, hours, minutes] = /^([01]\d|2[0-4]):([0-5]\d)$/.exec(text) ?? []
  if (hours === undefined) throw new ResilError('INVALID_POLICY', `${text} is no time of day`, 'write HH:MM, as in 09:00')
  return Number(hours) * 60 + Number(minutes)
}

/** Minutes since midnight in a zone. */
function clockIn(zone: string): (at: number) => number {
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-GB', { timeZone: zone, hourCycle: 'h23', hour: '2-digit', minute: '2-digit' })
  } catch (error) {
    throw new ResilError('INVALID_POLICY', `${zone} is no time zone that this machine knows`, 'write an IANA name, as in Europe/Berlin', { cause: error })
  }
  return (at) => minuteOf(format.format(at))
}
