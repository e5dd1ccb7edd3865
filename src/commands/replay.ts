import { Args, Flags } from '@oclif/core'
import { BaseCommand } from './base.ts'
import type { ExitCode } from './failure.ts'

export default class Replay extends BaseCommand<typeof Replay> {
  static override summary = 'a recorded run once more, and whether it ends the same'
  static override description =
    'Every run is recorded under .resil/runs. In virtual time its events must come again byte for byte; over sockets only the verdict is compared. Exit code: that of the new run (with --show: 0); 2 when there is no such recording.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> 7f3a2c1d --json', '<%= config.bin %> <%= command.id %> 7f3a --show']
  static override args = {
    run: Args.string({ description: 'a run by its id, the beginning of it, or its file; the newest when not given', ignoreStdin: true }),
  }
  static override flags = {
    show: Flags.boolean({ summary: 'only print what was recorded, run nothing' }),
  }

  protected async work(): Promise<ExitCode> {
    const { newestRecording, readRecording } = await import('../lab/recording.ts')
    const { reporters } = await import('../catalog.ts')
    const recording = readRecording(this.args.run ?? newestRecording())
    const reporter = this.flags.json ? await reporters.ndjson() : await reporters.plain()
    const reading = this.flags.quiet ? undefined : reporter.open({ write: (text) => void process.stdout.write(text), columns: process.stdout.isTTY ? process.stdout.columns : undefined })

    if (this.flags.show) {
      recording.events.forEach((event) => reading?.event(event))
      await reading?.end?.()
      return 0
    }

    const { replay } = await import('../lab/replay.ts')
    const { EXIT } = await import('../lab/run.ts')
    const { result, before, events, firstDifference } = await replay(recording, { sinks: reading ? [(event) => reading.event(event)] : [], signal: this.interrupted })
    await reading?.end?.()
    const sameVerdict = before === undefined ? null : before === result.verdict
    const sameEvents = recording.plan.mode === 'sim' ? firstDifference === undefined : null
    const verdict = before === undefined ? `${result.verdict}; the recorded run was cut short` : sameVerdict ? `${result.verdict}, as before` : `${result.verdict}; it was ${before}`
    const stream = sameEvents === null ? '' : sameEvents ? `; the same ${events} events, byte for byte` : `; the events differ from number ${firstDifference} on`
    this.say()
    this.answer(`replayed: ${verdict}${stream}`)
    this.emit({ replayed: recording.events[0]?.run ?? null, verdict: result.verdict, before: before ?? null, sameVerdict, sameEvents, firstDifference: firstDifference ?? null })
    return EXIT[result.verdict]
  }
}
