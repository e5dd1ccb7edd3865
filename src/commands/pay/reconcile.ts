import { Flags } from '@oclif/core'
import { SystemClock } from '../../clock.ts'
import { differenceInWords } from '../../engines/payment/reconcile.ts'
import { ResilError } from '../../errors.ts'
import { reconcileWithBank } from '../../lab/reconciling.ts'
import { stampOf } from '../../lab/standing.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { moment, paymentsDb, serviceUrl } from '../flags.ts'

const WEEK_MS = 7 * 86_400_000

/** What is younger may still be under way. */
const UNDER_WAY_MS = 60_000

export default class PayReconcile extends BaseCommand<typeof PayReconcile> {
  static override summary = "compare the payments with the bank's own listing"
  static override description =
    'Asks the bank page by page for its charges and says what differs, what it means, and what to do. Moves no payment and no money: what it finds is kept as evidence beside the payments (resil pay status), once. May be asked while the service runs. Exit code: 0 no difference, 1 some, 3 the bank cannot be asked.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --bank https://bank.example --db payments.db',
    '<%= config.bin %> <%= command.id %> --bank https://bank.example --since 2030-01-01 --until 2030-01-02T00:00:00Z --json',
  ]
  static override flags = {
    db: paymentsDb,
    bank: serviceUrl('bank'),
    acquirer: Flags.string({ summary: 'which of the banks it is, as the payments name it', default: 'bank', helpValue: 'NAME' }),
    since: moment({ summary: 'charges made from then on (default: 7d, a week ago)' }),
    until: moment({ summary: 'and before then (default: 1m, a minute ago: what is younger may be under way)' }),
  }

  protected async work(): Promise<ExitCode> {
    const { db, bank, acquirer } = this.flags
    const now = new SystemClock().now()
    const { since = now - WEEK_MS, until = now - UNDER_WAY_MS } = this.flags
    if (since >= until) throw new ResilError('BAD_FLAG', `--since ${stampOf(since)} is not before --until ${stampOf(until)}`, 'give a time that has passed')
    const { charges, payments, differences, more } = await reconcileWithBank({ db, bank, acquirer, since, until, signal: this.interrupted })
    for (const difference of differences) {
      const { what, act } = differenceInWords(difference)
      this.emit({ ...difference, what, act })
      this.say(visible(`${difference.kind}: ${what}`))
      this.say(visible(`  ${act}`))
    }
    const span = `from ${stampOf(since)} to ${stampOf(until)}`
    const compared = `${charges} ${charges === 1 ? 'charge' : 'charges'} of the bank and ${payments} ${payments === 1 ? 'payment' : 'payments'} ${span}`
    const found = `${more ? 'the first ' : ''}${differences.length} ${differences.length === 1 ? 'difference' : 'differences'}`
    this.answer(differences.length === 0 ? `no difference: ${compared}` : `${found}: ${compared}`)
    this.emit({ ok: differences.length === 0, charges, payments, differences: differences.length, more, since, until })
    return differences.length === 0 ? 0 : 1
  }
}
