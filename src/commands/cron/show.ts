import { Args } from '@oclif/core'
import { crontabOf } from '../../engines/cron/spec.ts'
import { BaseCommand } from '../base.ts'
import { cronFlags, jobWords, localTime, stateWords, tickFacts, utc, withCron } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'
import { table } from '../text.ts'
import { span } from '../../lab/sentence.ts'

/** Ticks and instants that are shown. */
const SHOWN = 5

export default class CronShow extends BaseCommand<typeof CronShow> {
  static override summary = 'one schedule: what it says, when it is due next, what became of its last ticks'
  static override examples = ['<%= config.bin %> <%= command.id %> digest', '<%= config.bin %> <%= command.id %> digest --db /var/lib/cron.db --json']
  static override args = { name: Args.string({ description: 'the schedule', required: true }) }
  static override flags = cronFlags

  protected async work(): Promise<ExitCode> {
    return withCron(this.flags, async ({ registry, clock }): Promise<ExitCode> => {
      const { name, generation, paused, created_at, parsed, min_build, running, queued } = await registry.show(this.args.name)
      const ticks = await registry.history(SHOWN, name)
      const crontab = crontabOf(name, parsed, created_at)
      const next: number[] = []
      for (let at = crontab.next(clock.now()); at !== null && next.length < SHOWN; at = crontab.next(at)) next.push(at)
      this.emit({ name, generation, paused: paused === 1, minBuild: min_build, running, queued, next, ticks: ticks.map(tickFacts), notes: crontab.lint(clock.now()), ...parsed })
      const facts: [string, string][] = [
        ['name', `${name}, generation ${generation}${paused === 1 ? ', PAUSED' : ''}`],
        ['when', `${parsed.expr}, ${parsed.zone}`],
        ['job', jobWords(parsed.job)],
        ['overlap', stateWords(parsed.overlap)],
        ['misfire', `${parsed.misfire}, later than ${span(parsed.graceMs)}, within ${span(parsed.windowMs)}`],
        ['attempts', `${parsed.attempts}, each at most ${span(parsed.timeoutMs)}`],
        ['now', `${running} running, ${queued} queued`],
        ...next.map((at, i): [string, string] => [i === 0 ? 'next' : '', `${localTime(at, crontab.zone)}${crontab.zone === 'UTC' ? '' : `   ${utc(at)}`}`]),
        ...ticks.map((tick, i): [string, string] => [i === 0 ? 'last' : '', `${utc(tick.slot_at)}  ${stateWords(tick.state)}${tick.reason === '' ? '' : ` (${tick.reason})`}`]),
        ...crontab.lint(clock.now()).map((note): [string, string] => ['note', note]),
      ]
      for (const line of table(facts)) this.answer(line)
      return 0
    })
  }
}
