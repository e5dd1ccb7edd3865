import { Args } from '@oclif/core'
import { BaseCommand } from '../base.ts'
import { cronFlags, instant, utc, withCron } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'
import { integer } from '../flags.ts'

export default class CronBackfill extends BaseCommand<typeof CronBackfill> {
  static override summary = 'run the slots of a stretch of the past'
  static override description = 'Beside those in the ledger, with keys of their own, in order, one at a time. The leading node makes them little by little; a crash only makes it go on later.'
  static override examples = ['<%= config.bin %> <%= command.id %> reports --from 2026-02-01 --to 2026-02-28T23:59 --rate 2', '<%= config.bin %> <%= command.id %> digest --from 2026-02-01 --to 2026-02-02 --json']
  static override args = { name: Args.string({ description: 'the schedule', required: true }) }
  static override flags = {
    ...cronFlags,
    from: instant({ summary: 'the first slot is not before this', required: true }),
    to: instant({ summary: 'the last slot is not after this', required: true }),
    rate: integer({ summary: 'how many a second begin', min: 1, max: 1000, default: 10 }),
  }

  protected async work(): Promise<ExitCode> {
    const { from, to, rate } = this.flags
    const id = await withCron(this.flags, ({ registry }) => registry.backfill(this.args.name, from, to, rate))
    this.emit({ ok: true, backfill: id })
    this.answer(`${id}: ${this.args.name} from ${utc(from)} to ${utc(to)}, at most ${rate} a second`)
    return 0
  }
}
