import { Args } from '@oclif/core'
import { BaseCommand } from '../base.ts'
import { cronFlags, withCron } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'

export default class CronTrigger extends BaseCommand<typeof CronTrigger> {
  static override summary = 'run a schedule now, beside its slots'
  static override examples = ['<%= config.bin %> <%= command.id %> digest', '<%= config.bin %> <%= command.id %> digest --db /var/lib/cron.db --json']
  static override args = { name: Args.string({ description: 'the schedule', required: true }) }
  static override flags = cronFlags

  protected async work(): Promise<ExitCode> {
    const tick = await withCron(this.flags, ({ registry }) => registry.trigger(this.args.name))
    this.emit({ ok: true, tick })
    this.answer(`${tick}: queued; a node takes it`)
    return 0
  }
}
