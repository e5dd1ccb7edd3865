import { Args, Flags } from '@oclif/core'
import { SystemClock } from '../../clock.ts'
import { DAYS, GAPS, OVERLAPS, parseCrontab } from '../../engines/cron/crontab.ts'
import type { CrontabOptions } from '../../engines/cron/crontab.ts'
import { BaseCommand } from '../base.ts'
import { instant, localTime, utc } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'
import { integer } from '../flags.ts'

export default class CronNext extends BaseCommand<typeof CronNext> {
  static override summary = 'when an expression is due next, in its time zone and in UTC'
  static override description = 'Five fields (minute hour day-of-month month day-of-week), six with seconds before them, seven with a year behind them; L, W, # and H; @daily and the like, @every 90s, @at 2026-03-01T09:00. What clocks leave out or show twice is told.'
  static override examples = ['<%= config.bin %> <%= command.id %> "0 9 * * 1-5" --tz Europe/Berlin', '<%= config.bin %> <%= command.id %> "30 2 * * *" --tz America/New_York --from 2026-03-07 --count 3']
  static override args = { expr: Args.string({ description: 'the expression, in quotes', required: true }) }
  static override flags = {
    tz: Flags.string({ summary: 'time zone, by its IANA name', default: 'UTC', helpValue: 'ZONE' }),
    count: integer({ summary: 'how many', min: 1, max: 1000, default: 5 }),
    from: instant({ summary: 'behind this point in time instead of now' }),
    gap: Flags.string({ summary: 'what becomes of times that clocks leave out', options: [...GAPS] }),
    'overlap-time': Flags.string({ summary: 'which of the times that clocks show twice', options: [...OVERLAPS] }),
    days: Flags.string({ summary: 'with a day of month and a day of week: one of them, or both', options: [...DAYS] }),
    name: Flags.string({ summary: 'the name that H is hashed from', default: '' }),
  }

  protected async work(): Promise<ExitCode> {
    const { tz, count, name } = this.flags
    const from = this.flags.from ?? new SystemClock().now()
    const crontab = parseCrontab(this.args.expr, { zone: tz, name, gap: this.flags.gap as CrontabOptions['gap'], overlap: this.flags['overlap-time'] as CrontabOptions['overlap'], days: this.flags.days as CrontabOptions['days'] })
    let told = 0
    for (let at = crontab.next(from); at !== null && told < count; at = crontab.next(at), told++) {
      this.emit({ at, utc: utc(at), local: localTime(at, crontab.zone) })
      this.answer(crontab.zone === 'UTC' ? utc(at) : `${localTime(at, crontab.zone)}   ${utc(at)}`)
    }
    const notes = crontab.lint(from)
    for (const note of notes) this.say(`note: ${note}`)
    this.emit({ ok: true, expr: crontab.text, zone: crontab.zone, count: told, notes })
    return 0
  }
}
