import { Args } from '@oclif/core'
import { ResilError } from '../../errors.ts'
import { visible } from '../../visible.ts'
import type { Dossier, Fact } from '../../engines/payment/dossier.ts'
import { openDossier, paymentsNear } from '../../engines/payment/dossier.ts'
import type { State } from '../../engines/payment/machine.ts'
import { money } from '../../engines/payment/truth.ts'
import { stampOf } from '../../lab/standing.ts'
import { readPayments } from '../../lab/standing-store.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { paymentsDb } from '../flags.ts'
import { table } from '../text.ts'

/** Ids that are proposed for one that does not exist. */
const NEAR = 5

/** What a state means to whoever has to act on it. */
const MEANS: Record<State, string> = {
  claimed: 'under way: the bank has not been asked',
  queued: 'not charged yet: with the consent of the payer it is, as soon as the bank can be asked',
  sent: 'under way: the bank was asked and has not answered',
  unknown: 'not known yet whether the bank charged; the engine finds out as long as it runs. Do not pay again',
  authorised: 'the money is held, and its capture is under way',
  succeeded: 'charged, once',
  declined: 'not charged, and never will be under this key',
  released: 'not charged; the same key may try again',
  voided: 'not charged: given up, and closed at the bank',
  review: 'a person must compare it with the bank, then say resil pay resolve: docs/operations.md, "What to do with review"',
}

export default class PayStatus extends BaseCommand<typeof PayStatus> {
  static override summary = 'all that is known of one payment, in order of time'
  static override description = 'Attempts at the bank, ledger entries, refunds, captures, voids and notifications that are owed or done, what operators did, and late answers that changed nothing. Reads only, and may be asked while the service runs or after it has ended.'
  static override examples = ['<%= config.bin %> <%= command.id %> pay_0123456789abcdef', '<%= config.bin %> <%= command.id %> pay_0123456789abcdef --db payments.db --json']
  static override args = { id: Args.string({ description: "the payment's id, as `resil pay list` shows it", required: true, ignoreStdin: true }) }
  static override flags = { db: paymentsDb }

  protected async work(): Promise<ExitCode> {
    const { payment, facts } = await readPayments(this.flags.db, async (store) => (await openDossier(store, this.args.id)) ?? this.#none(await paymentsNear(store, this.args.id, NEAR)))
    for (const fact of facts) this.emit(fact)
    for (const line of table(facts.map((fact) => [stampOf(fact.at), ...words(fact).map(visible)]))) this.say(line)
    this.say()
    this.answer(visible(`${payment.id} is ${payment.state}: ${MEANS[payment.state]}`))
    this.say(visible(`${money(payment.amount, payment.currency)} for ${payment.order}, ${owner(payment)}`))
    this.emit({ ok: true, payment, means: MEANS[payment.state] })
    return 0
  }

  #none(near: string[]): never {
    const hint = near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'resil pay list shows those that there are'
    throw new ResilError('NO_SUCH_PAYMENT', `${this.flags.db} holds no payment ${this.args.id}`, hint)
  }
}

function owner({ epoch, node, charge }: Dossier['payment']): string {
  return charge === null ? `epoch ${epoch}, with node ${node}` : `charge ${charge}, epoch ${epoch}, by node ${node}`
}

function words(fact: Fact): [who: string, what: string] {
  switch (fact.fact) {
    case 'payment.claimed':
      return ['client', `asked for ${money(Number(fact['amount']), String(fact['currency']))} for ${fact['order']} with key ${fact['key']}${fact['queueUntil'] ? `, agreed to be charged until ${stampOf(Number(fact['queueUntil']))}` : ''}${fact['twoStep'] ? ', held first and captured afterwards' : ''}`]
    case 'bank.asked':
      return ['bank', `asked, attempt ${fact['attempt']}, bank key ${fact['bankKey']}, epoch ${fact['epoch']}, ${fact['timeoutMs']} ms to answer`]
    case 'bank.answered':
      return ['bank', `attempt ${fact['attempt']} ended ${fact['outcome']}${fact['detail'] ? `: ${fact['detail']}` : ''}`]
    case 'payment.finished':
      return ['engine', `${fact['state']}, answer ${fact['answerStatus']} stored under the key${fact['reason'] ? `: ${fact['reason']}` : ''}`]
    case 'payment.rested':
      return ['engine', `${fact['state']}${fact['reason'] ? `: ${fact['reason']}` : ''}`]
    case 'ledger.appended':
      return ['ledger', `entry ${fact['seq']}: ${fact['account']} ${Number(fact['amount']) < 0 ? '' : '+'}${money(Number(fact['amount']), String(fact['currency']))}`]
    case 'payment.cancelled':
      return ['client', 'wants it undone, whatever the bank does']
    case 'refund.asked':
      return ['refund', `${fact['id']}: ${money(Number(fact['amount']), String(fact['currency']))} are to go back, key ${fact['key']}`]
    case 'refund.rested':
      return ['refund', `${fact['id']} is ${fact['state']} at attempt ${fact['attempts']}${fact['refund'] ? `, ${fact['refund']}` : ''}${fact['reason'] ? `: ${fact['reason']}` : ''}`]
    case 'notification.done':
      return ['notification', `${fact['id']} delivered at attempt ${fact['attempts']}`]
    case 'notification.due':
    case 'capture.due':
    case 'void.due':
      return [fact.fact.slice(0, -'.due'.length), `${fact['id']} is due at ${fact['service']}, ${fact['attempts']} attempts so far`]
    case 'capture.done':
    case 'void.done':
      return [fact.fact.slice(0, -'.done'.length), `${fact['id']} ended with ${fact['service']} at attempt ${fact['attempts']}`]
    case 'operator.acted':
      return ['operator', `${fact['who']}: ${fact['what']}: ${fact['why']}`]
    case 'reconciliation.differed':
      return ['reconciled', String(fact['what'])]
    case 'evidence.kept':
      // What the bank said by itself is a whole sentence; what a call brought too late is a word.
      return ['evidence', String(fact['what']).startsWith('the bank') ? String(fact['what']) : `epoch ${fact['epoch']} came too late with: ${fact['what']}`]
  }
}
