import { Args, Flags } from '@oclif/core'
import { crontabOf } from '../../engines/cron/spec.ts'
import { readCronFile } from '../../lab/cron-file.ts'
import { BaseCommand } from '../base.ts'
import { cronFlags, localTime, withCron } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'

export default class CronApply extends BaseCommand<typeof CronApply> {
  static override summary = 'make the schedules what a file says'
  static override description = 'New ones are added, changed ones get a new generation, equal ones are left alone; --prune removes those that are not in the file. docs/scheduler.md shows what it may say.'
  static override examples = ['<%= config.bin %> <%= command.id %> schedules.yaml', '<%= config.bin %> <%= command.id %> schedules.yaml --prune --db /var/lib/cron.db --json']
  static override args = { file: Args.string({ description: 'YAML, or JSON', required: true }) }
  static override flags = { ...cronFlags, prune: Flags.boolean({ summary: 'remove schedules that are not in it' }) }

  protected async work(): Promise<ExitCode> {
    const wanted = readCronFile(this.args.file) // all of it is right before anything is changed
    return withCron(this.flags, async ({ registry, clock }): Promise<ExitCode> => {
      const before = new Map((await registry.list()).map(({ name, generation }) => [name, generation]))
      const tell = (name: string, done: string, more = '') => {
        this.emit({ name, done })
        this.answer(`${name}: ${done}${more}`)
      }
      for (const { name, spec, minBuild } of wanted) {
        const generation = await registry.put(name, spec, minBuild)
        const known = before.get(name)
        const crontab = crontabOf(name, spec, clock.now())
        const next = crontab.next(clock.now())
        tell(name, known === undefined ? 'added' : known === generation ? 'as it was' : 'changed', next === null ? '' : `, next ${localTime(next, crontab.zone)}`)
        before.delete(name)
      }
      if (this.flags.prune) {
        for (const name of before.keys()) {
          await registry.remove(name)
          tell(name, 'removed')
        }
      }
      return 0
    })
  }
}
