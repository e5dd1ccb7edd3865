/** What the scheduler's commands have in common. */
import { Flags } from '@oclif/core'
import { ResilError } from '../errors.ts'
import { openCron } from '../lab/cron-alone.ts'
import type { OpenedCron } from '../lab/cron-alone.ts'
import type { Tick } from '../engines/cron/ledger.ts'
import { tickKey } from '../engines/cron/spec.ts'
import type { Job } from '../engines/cron/spec.ts'
import { visible } from '../visible.ts'

export const cronFlags = {
  db: Flags.string({ summary: 'database file', default: 'cron.db', helpValue: 'FILE' }),
}

export async function withCron<T>({ db }: { db: string }, work: (cron: OpenedCron) => Promise<T>): Promise<T> {
  const cron = await openCron(db)
  try {
    return await work(cron)
  } finally {
    await cron.close()
  }
}

/** '2026-03-01', '2026-03-01T09:00', with Z or an offset or in UTC; ms since 1970. */
export const instant = Flags.custom<number>({
  parse: async (text) => {
    const match = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(Z|[+-]\d\d:\d\d)?)?$/.exec(text)
    const at = match ? Date.parse(`${match[1]}T${match[2] ?? '00:00'}${match[3] ?? 'Z'}`) : Number.NaN
    if (Number.isNaN(at)) throw new ResilError('BAD_FLAG', `"${visible(text)}" is no point in time`, 'write 2026-03-01 or 2026-03-01T09:00, in UTC, or with an offset behind it')
    return at
  },
  helpValue: 'TIME',
})

/** `2026-03-01 09:00:00 +01:00`, as clocks in a zone show it. */
export function localTime(at: number, zone: string): string {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat('en-CA', { timeZone: zone, hourCycle: 'h23', weekday: 'short', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'longOffset' }).formatToParts(at).map(({ type, value }) => [type, value]),
  )
  const offset = parts['timeZoneName']!.slice(3)
  return `${parts['weekday']!.replace('.', '')} ${parts['year']}-${parts['month']}-${parts['day']} ${parts['hour']}:${parts['minute']}:${parts['second']} ${offset === '' ? '+00:00' : offset}`
}

export const utc = (at: number | null) => (at === null ? '-' : new Date(at).toISOString().replace('T', ' ').replace(/\.000Z$/, 'Z'))

export function jobWords(job: Job): string {
  if (job.kind === 'command') return visible(job.argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(' '))
  return visible(job.kind === 'http' ? `${job.method} ${job.service}${job.path}` : job.file)
}

/** What --json says of a tick. */
export function tickFacts(tick: Tick): object {
  const { schedule, slot_at, until_at, slots, kind, state, reason, attempts, token, epoch, node, progress, recorded_at, started_at, ended_at, output } = tick
  return { tick: tickKey(tick), schedule, slot: slot_at, until: until_at, slots, kind, state, reason, attempts, token, epoch, node, progress, recordedAt: recorded_at, startedAt: started_at, endedAt: ended_at, output }
}

export const stateWords = (state: string) => state.replaceAll('_', ' ')
