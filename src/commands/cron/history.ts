import { Args } from '@oclif/core'
import { BaseCommand } from '../base.ts'
import { cronFlags, stateWords, tickFacts, utc, withCron } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'
import { integer } from '../flags.ts'
import { table } from '../text.ts'
import { span } from '../../lab/sentence.ts'

export default class CronHistory extends BaseCommand<typeof CronHistory> {
  static override summary = 'the ledger: what became of each slot, the newest first'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> digest --limit 100 --json']
  static override args = { name: Args.string({ description: 'of one schedule', ignoreStdin: true }) }
  static override flags = { ...cronFlags, limit: integer({ summary: 'at most so many', min: 1, max: 10_000, default: 20 }) }

  protected async work(): Promise<ExitCode> {
    const ticks = await withCron(this.flags, ({ registry }) => registry.history(this.flags.limit, this.args.name))
    for (const tick of ticks) this.emit(tickFacts(tick))
    if (ticks.length === 0) this.say('nothing yet')
    else {
      const rows = ticks.map((tick) => [
        utc(tick.slot_at),
        tick.schedule,
        tick.kind === 'cron' ? (tick.slots > 1 ? `${tick.slots} slots` : '') : tick.kind,
        stateWords(tick.state),
        tick.started_at === null ? '-' : span(Math.max(0, tick.started_at - tick.slot_at)),
        tick.started_at !== null && tick.ended_at !== null ? span(tick.ended_at - tick.started_at) : '-',
        tick.attempts === 0 ? '-' : String(tick.attempts),
        tick.reason,
      ])
      for (const line of table([['slot', 'schedule', '', 'state', 'late', 'took', 'attempts', 'why'], ...rows])) this.answer(line)
    }
    return 0
  }
}
