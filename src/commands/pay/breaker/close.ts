import { Args } from '@oclif/core'
import { forceBreaker } from '../../../engines/payment/operator.ts'
import { changePayments } from '../../../lab/standing-store.ts'
import { visible } from '../../../visible.ts'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { deedFlags, paymentsDb } from '../../flags.ts'

export default class PayBreakerClose extends BaseCommand<typeof PayBreakerClose> {
  static override summary = 'close a breaker, and let it judge by itself again'
  static override description = 'Takes back what was forced, and closes one that opened by itself: with nothing remembered, so that it opens again only when calls fail again. Running services see it within a second. It is written down who did it and why.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> bank --by maria --why "the bank says that it is back"',
    '<%= config.bin %> <%= command.id %> fraud --by maria --why "drill of 3 May" --db payments.db --json',
  ]
  static override args = { name: Args.string({ description: 'the breaker, as `resil pay breaker list` shows it', required: true, ignoreStdin: true }) }
  static override flags = { db: paymentsDb, ...deedFlags }

  protected async work(): Promise<ExitCode> {
    const { db, by, why } = this.flags
    const { name } = this.args
    await changePayments(db, (store, clock) => forceBreaker(store, clock, name, null, { who: by, why }))
    this.answer(visible(`${name} is closed, and judges by itself again`))
    this.emit({ ok: true, breaker: name, forced: null, by, why })
    return 0
  }
}
