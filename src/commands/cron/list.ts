import { BaseCommand } from '../base.ts'
import { cronFlags, jobWords, localTime, stateWords, tickFacts, withCron } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'
import { table } from '../text.ts'

export default class CronList extends BaseCommand<typeof CronList> {
  static override summary = 'the schedules, when each is due next, and how its last tick ended'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --db /var/lib/cron.db --json']
  static override flags = cronFlags

  protected async work(): Promise<ExitCode> {
    return withCron(this.flags, async ({ registry }): Promise<ExitCode> => {
      const all = await registry.list()
      for (const { name, generation, paused, next_at, parsed, last, running, queued } of all) this.emit({ name, generation, paused: paused === 1, next: next_at, running, queued, last: last ? tickFacts(last) : null, ...parsed })
      if (all.length === 0) this.say('no schedules; resil cron add makes one')
      else {
        const rows = all.map(({ name, paused, next_at, parsed, last, running }) => [
          name,
          paused === 1 ? 'PAUSED' : next_at === null ? 'never' : localTime(next_at, parsed.zone),
          running > 0 ? `running${running > 1 ? ` ${running}` : ''}` : last ? stateWords(last.state) : '-',
          parsed.expr,
          parsed.zone,
          jobWords(parsed.job),
        ])
        for (const line of table([['name', 'next', 'last', 'when', 'zone', 'job'], ...rows])) this.answer(short(line, process.stdout.columns ?? Number.POSITIVE_INFINITY))
      }
      return 0
    })
  }
}

/** On a terminal a line is no longer than the terminal; resil cron show has it whole. */
const short = (line: string, width: number) => (line.length > width ? `${line.slice(0, width - 1)}…` : line)
