import { Args, Flags } from '@oclif/core'
import { adviceInWords } from '../../engines/payment/advice-words.ts'
import { advise } from '../../engines/payment/advise.ts'
import { DEFAULTS } from '../../engines/payment/settings.ts'
import { ResilError } from '../../errors.ts'
import { trafficOfRun, trafficOfStore } from '../../lab/recorded-traffic.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'

export default class PayAdvise extends BaseCommand<typeof PayAdvise> {
  static override summary = 'what recorded traffic says about time-outs, bulkheads, budgets and breakers'
  static override description =
    'When each service became slow, and when the first client was hurt; what its settings should be, with the reckoning; and for each of six breaker settings when it would have opened, how many good calls it would have refused and how many bad ones it would have spared. Changes nothing.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> .resil/runs/7f3a2c1d.ndjson --json',
    '<%= config.bin %> <%= command.id %> --db payments.db',
  ]
  static override args = { run: Args.string({ description: 'a run by its id, the beginning of it, or its file; or a file of what pay serve --json said; the newest run when not given', ignoreStdin: true }) }
  static override flags = { db: Flags.string({ summary: "a service's database instead: charges only, and answers as they must have been", helpValue: 'FILE' }) }

  protected async work(): Promise<ExitCode> {
    if (this.flags.db !== undefined && this.args.run !== undefined) throw new ResilError('BAD_FLAG', '--db and a run are two sources', 'give one of them')
    const { traffic, source } = this.flags.db === undefined ? trafficOfRun(this.args.run) : await trafficOfStore(this.flags.db)
    const advice = advise(traffic, DEFAULTS)
    for (const line of adviceInWords(advice, DEFAULTS)) this.answer(visible(line))
    for (const service of advice.services) this.emit(service)
    const { services: _, ...rest } = advice
    this.emit({ ok: true, source, ...rest })
    return 0
  }
}
