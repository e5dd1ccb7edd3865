import { Flags } from '@oclif/core'
import { listEntries } from '../../engines/payment/dossier.ts'
import { money } from '../../engines/payment/truth.ts'
import { checkLedger, readPayments } from '../../lab/standing-store.ts'
import { stampOf } from '../../lab/standing.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { integer, paymentsDb } from '../flags.ts'
import { table } from '../text.ts'

/** How much of a hash is shown to people. */
const HASH_SHOWN = 12

const ANCHOR = {
  'holds': 'the anchor beside the file is in it',
  'none': 'no anchor beside the file: whether it was once longer cannot be told',
  'not compared': 'the anchor was not compared',
} as const

export default class PayLedger extends BaseCommand<typeof PayLedger> {
  static override summary = 'the entries of the ledger, and whether it is whole'
  static override description =
    'Shows the newest entries in the order in which they were appended. With --verify it walks the whole chain instead: every hash, that each currency sums to zero, and that the entry which the anchor remembers is there. Reads only, and may be asked while the service runs. Exit code: 1 when the ledger is broken.'
  static override examples = ['<%= config.bin %> <%= command.id %> --db payments.db --limit 10', '<%= config.bin %> <%= command.id %> --verify --json', '<%= config.bin %> <%= command.id %> --payment pay_0123456789abcdef']
  static override flags = {
    db: paymentsDb,
    verify: Flags.boolean({ summary: 'check chain, balance and anchor instead of showing entries', exclusive: ['payment'] }),
    payment: Flags.string({ summary: 'only the entries of this payment', helpValue: 'ID' }),
    limit: integer({ summary: 'most entries that are shown', min: 1, max: 10_000, default: 50 }),
  }

  protected async work(): Promise<ExitCode> {
    return this.flags.verify ? this.#verify() : this.#show()
  }

  async #verify(): Promise<ExitCode> {
    const { entries, head, anchor, broken } = await checkLedger(this.flags.db)
    if (broken) {
      this.answer(visible(broken.why))
      this.say(visible(broken.hint))
      this.emit({ ok: false, ...broken })
      return 1
    }
    this.answer(`the ledger is whole: ${entries} ${entries === 1 ? 'entry' : 'entries'}, every currency sums to zero; ${ANCHOR[anchor]}`)
    if (head !== '') this.say(`last hash ${head}`)
    this.emit({ ok: true, entries, head, anchor })
    return 0
  }

  async #show(): Promise<ExitCode> {
    const { db, payment, limit } = this.flags
    const entries = await readPayments(db, (store) => listEntries(store, payment, limit))
    for (const entry of entries) this.emit(entry)
    const rows = entries.map(({ seq, payment, account, amount, currency, at, hash }) => [String(seq), stampOf(at), visible(payment), `${amount < 0 ? '' : '+'}${money(amount, currency)}`, visible(account), hash.slice(0, HASH_SHOWN)])
    if (rows.length > 0) for (const line of table([['entry', 'appended', 'payment', 'amount', 'account', 'hash'], ...rows])) this.answer(line)
    this.say(rows.length === 0 ? 'no entries' : `${rows.length} ${rows.length === 1 ? 'entry' : 'entries'}${rows.length === limit ? '; --limit shows more' : ''}`)
    this.emit({ ok: true, count: entries.length })
    return 0
  }
}
