import { Args } from '@oclif/core'
import { forceBreaker } from '../../../engines/payment/operator.ts'
import { changePayments } from '../../../lab/standing-store.ts'
import { visible } from '../../../visible.ts'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { deedFlags, paymentsDb } from '../../flags.ts'

export default class PayBreakerForceOpen extends BaseCommand<typeof PayBreakerForceOpen> {
  static override summary = 'let no call through to a service, until it is closed by hand'
  static override description = 'For a service that does harm, or a drill. Without the bank, clients are told "not charged, try again", and who agreed to it is charged later; look-ups and voids still go through. Running services see it within a second. It is written down who did it and why.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> bank --by maria --why "the bank books twice"',
    '<%= config.bin %> <%= command.id %> fraud --by maria --why "drill of 3 May" --db payments.db --json',
  ]
  static override args = { name: Args.string({ description: 'the breaker, as `resil pay breaker list` shows it', required: true, ignoreStdin: true }) }
  static override flags = { db: paymentsDb, ...deedFlags }

  protected async work(): Promise<ExitCode> {
    const { db, by, why } = this.flags
    const { name } = this.args
    await changePayments(db, (store, clock) => forceBreaker(store, clock, name, 'open', { who: by, why }))
    this.answer(visible(`${name} is forced open: no call goes through until resil pay breaker close`))
    this.emit({ ok: true, breaker: name, forced: 'open', by, why })
    return 0
  }
}
