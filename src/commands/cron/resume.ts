import { Args } from '@oclif/core'
import { BaseCommand } from '../base.ts'
import { cronFlags, withCron } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'

export default class CronResume extends BaseCommand<typeof CronResume> {
  static override summary = 'let a paused schedule go on with its next slot'
  static override examples = ['<%= config.bin %> <%= command.id %> digest', '<%= config.bin %> <%= command.id %> digest --db /var/lib/cron.db --json']
  static override args = { name: Args.string({ description: 'the schedule', required: true }) }
  static override flags = cronFlags

  protected async work(): Promise<ExitCode> {
    await withCron(this.flags, ({ registry }) => registry.setPaused(this.args.name, false))
    this.emit({ ok: true, name: this.args.name })
    this.answer(`${this.args.name}: goes on`)
    return 0
  }
}
