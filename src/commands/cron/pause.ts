import { Args } from '@oclif/core'
import { BaseCommand } from '../base.ts'
import { cronFlags, withCron } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'

export default class CronPause extends BaseCommand<typeof CronPause> {
  static override summary = 'record the slots of a schedule as skipped until it is resumed'
  static override examples = ['<%= config.bin %> <%= command.id %> digest', '<%= config.bin %> <%= command.id %> digest --db /var/lib/cron.db --json']
  static override args = { name: Args.string({ description: 'the schedule', required: true }) }
  static override flags = cronFlags

  protected async work(): Promise<ExitCode> {
    await withCron(this.flags, ({ registry }) => registry.setPaused(this.args.name, true))
    this.emit({ ok: true, name: this.args.name })
    this.answer(`${this.args.name}: paused`)
    return 0
  }
}
