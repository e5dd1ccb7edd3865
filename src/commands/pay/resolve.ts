import { Args, Flags } from '@oclif/core'
import { resolvePayment } from '../../engines/payment/operator.ts'
import { money } from '../../engines/payment/truth.ts'
import { ResilError } from '../../errors.ts'
import { changePayments } from '../../lab/standing-store.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { deedFlags, paymentsDb } from '../flags.ts'

/** The bank's id of a charge. */
const LONGEST_CHARGE = 255

export default class PayResolve extends BaseCommand<typeof PayResolve> {
  static override summary = 'end a payment in doubt as the bank was found to have it'
  static override description =
    'For payments in state unknown or review, after somebody has looked at the bank: as charged it is booked, and the customer is told; as not-charged it ends, and its order may be paid again. Nothing is asked of the bank. It is written down who did it and why, and cannot be undone here. May be done while the service runs.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> pay_0123456789abcdef --as charged --charge ch_0123456789abcdef --by maria --why "seen in the portal of the bank"',
    '<%= config.bin %> <%= command.id %> pay_0123456789abcdef --as not-charged --by maria --why "the bank has voided it, mail of 3 May" --db payments.db --json',
  ]
  static override args = { id: Args.string({ description: "the payment's id, as `resil pay list` shows it", required: true, ignoreStdin: true }) }
  static override flags = {
    db: paymentsDb,
    as: Flags.string({ summary: 'what the bank was found to have done', required: true, options: ['charged', 'not-charged'] }),
    charge: Flags.string({ summary: "the bank's id of the charge, with --as charged", helpValue: 'ID' }),
    ...deedFlags,
  }

  protected async work(): Promise<ExitCode> {
    const { db, by, why } = this.flags
    const as = this.#found()
    const payment = await changePayments(db, (store, clock, random) => resolvePayment(store, clock, random, this.args.id, as, { who: by, why }))
    const ending = as.kind === 'charged' ? `charged by ${as.charge}: booked, and the customer is told` : 'not charged: its order may be paid again, under a new key'
    this.answer(visible(`${payment.id} is ${payment.state}, ${money(payment.amount, payment.currency)} for ${payment.order_ref}, ${ending}`))
    this.emit({ ok: true, payment: payment.id, state: payment.state, charge: payment.charge, by, why })
    return 0
  }

  #found(): { kind: 'charged'; charge: string } | { kind: 'not-charged' } {
    const { as, charge } = this.flags
    if (as === 'not-charged') {
      if (charge !== undefined) throw new ResilError('BAD_FLAG', '--charge says that there is one, and --as not-charged that there is none', 'give one of the two')
      return { kind: 'not-charged' }
    }
    if (charge === undefined || charge.trim() === '' || charge.length > LONGEST_CHARGE) throw new ResilError('CHARGE_MISSING', '--as charged needs the charge', `give the bank's id of it with --charge, ${LONGEST_CHARGE} characters at most`)
    return { kind: 'charged', charge: charge.trim() }
  }
}
