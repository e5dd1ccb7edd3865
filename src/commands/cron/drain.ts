import { Args } from '@oclif/core'
import { BaseCommand } from '../base.ts'
import { cronFlags, withCron } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'

export default class CronDrain extends BaseCommand<typeof CronDrain> {
  static override summary = 'let a node finish what it runs, claim nothing more, and end'
  static override examples = ['<%= config.bin %> <%= command.id %> web-1', '<%= config.bin %> <%= command.id %> web-1 --db /var/lib/cron.db --json']
  static override args = { node: Args.string({ description: 'the node', required: true }) }
  static override flags = cronFlags

  protected async work(): Promise<ExitCode> {
    await withCron(this.flags, ({ registry }) => registry.drain(this.args.node))
    this.emit({ ok: true, node: this.args.node })
    this.answer(`${this.args.node}: draining`)
    return 0
  }
}
