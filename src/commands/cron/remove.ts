import { Args } from '@oclif/core'
import { BaseCommand } from '../base.ts'
import { cronFlags, withCron } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'

export default class CronRemove extends BaseCommand<typeof CronRemove> {
  static override summary = 'take a schedule away; its ledger stays, what waits is cancelled'
  static override examples = ['<%= config.bin %> <%= command.id %> digest', '<%= config.bin %> <%= command.id %> digest --db /var/lib/cron.db --json']
  static override args = { name: Args.string({ description: 'the schedule', required: true }) }
  static override flags = cronFlags

  protected async work(): Promise<ExitCode> {
    await withCron(this.flags, ({ registry }) => registry.remove(this.args.name))
    this.emit({ ok: true, name: this.args.name })
    this.answer(`${this.args.name}: removed; what runs goes on`)
    return 0
  }
}
