import { Args } from '@oclif/core'
import { forceBreaker } from '../../../engines/payment/operator.ts'
import { changePayments } from '../../../lab/standing-store.ts'
import { visible } from '../../../visible.ts'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { deedFlags, paymentsDb } from '../../flags.ts'

export default class PayBreakerMetricsOnly extends BaseCommand<typeof PayBreakerMetricsOnly> {
  static override summary = 'let every call through, and only say when it would have opened'
  static override description = 'How settings are tried on real traffic: calls are counted, and breaker.trip_observed is said where it would have opened. Running services see it within a second; resil pay breaker close takes it back. It is written down who did it and why.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> bank --by maria --why "new settings, tried for a week"',
    '<%= config.bin %> <%= command.id %> fraud --by maria --why "drill of 3 May" --db payments.db --json',
  ]
  static override args = { name: Args.string({ description: 'the breaker, as `resil pay breaker list` shows it', required: true, ignoreStdin: true }) }
  static override flags = { db: paymentsDb, ...deedFlags }

  protected async work(): Promise<ExitCode> {
    const { db, by, why } = this.flags
    const { name } = this.args
    await changePayments(db, (store, clock) => forceBreaker(store, clock, name, 'metrics_only', { who: by, why }))
    this.answer(visible(`${name} only counts: every call goes through until resil pay breaker close`))
    this.emit({ ok: true, breaker: name, forced: 'metrics_only', by, why })
    return 0
  }
}
