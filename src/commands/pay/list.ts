import { Flags } from '@oclif/core'
import { listPayments } from '../../engines/payment/dossier.ts'
import type { State } from '../../engines/payment/machine.ts'
import { MOVES } from '../../engines/payment/machine.ts'
import { money } from '../../engines/payment/truth.ts'
import { stampOf } from '../../lab/standing.ts'
import { readPayments } from '../../lab/standing-store.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { integer, paymentsDb } from '../flags.ts'
import { visible } from '../../visible.ts'
import { table } from '../text.ts'

export default class PayList extends BaseCommand<typeof PayList> {
  static override summary = 'the payments in a database, the newest first'
  static override description = 'Reads only, and may be asked while the service runs on the same file or after it has ended. --quiet gives bare ids.'
  static override examples = ['<%= config.bin %> <%= command.id %> --db payments.db', '<%= config.bin %> <%= command.id %> --state unknown --state review --json']
  static override flags = {
    db: paymentsDb,
    state: Flags.string({ summary: 'only payments in this state', multiple: true, options: Object.keys(MOVES) }),
    limit: integer({ summary: 'most payments that are listed', min: 1, max: 10_000, default: 50 }),
  }

  protected async work(): Promise<ExitCode> {
    const { db, limit, state } = this.flags
    const { payments, more } = await readPayments(db, (store) => listPayments(store, (state ?? []) as State[], limit))
    for (const payment of payments) this.emit(payment)
    if (this.flags.quiet) for (const { id } of payments) this.answer(id)
    const rows = payments.map(({ id, state, amount, currency, order, attempts, createdAt, reason }) => [stampOf(createdAt), id, state, money(amount, currency), visible(order), String(attempts), visible(reason ?? '')])
    if (rows.length > 0) for (const line of table([['created', 'payment', 'state', 'amount', 'order', 'attempts', 'reason'], ...rows])) this.say(line)
    this.say(rows.length === 0 ? 'no payments' : more ? `the newest ${rows.length}; --limit shows more` : `${rows.length} ${rows.length === 1 ? 'payment' : 'payments'}`)
    this.emit({ ok: true, count: payments.length, more })
    return 0
  }
}
