import type { KnownBreaker } from '../../../engines/payment/operator.ts'
import { listBreakers } from '../../../engines/payment/operator.ts'
import type { BreakerState } from '../../../engines/policies/breaker.ts'
import { readPayments } from '../../../lab/standing-store.ts'
import { stampOf } from '../../../lab/standing.ts'
import { visible } from '../../../visible.ts'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { paymentsDb } from '../../flags.ts'
import { table } from '../../text.ts'

/** What a state means to those who pay. */
const MEANS: Record<BreakerState, string> = {
  'closed': 'calls go through; it opens by itself when they fail',
  'open': 'the service failed: no call goes through for now',
  'half-open': 'a few calls are let through to see whether the service is back',
  'forced-open': 'by hand: no call goes through until it is closed by hand',
  'disabled': 'by hand: every call goes through, and nothing is counted',
  'metrics-only': 'by hand: every call goes through; it only says when it would have opened',
}

export default class PayBreakerList extends BaseCommand<typeof PayBreakerList> {
  static override summary = 'the breakers before the services: what each lets through, and since when'
  static override description = 'As the nodes last wrote it down, at most a second ago while a service runs; after it has ended, as it left them. Reads only.'
  static override examples = ['<%= config.bin %> <%= command.id %> --db payments.db', '<%= config.bin %> <%= command.id %> --json']
  static override flags = { db: paymentsDb }

  protected async work(): Promise<ExitCode> {
    const breakers = await readPayments(this.flags.db, listBreakers)
    for (const breaker of breakers) this.emit({ ...breaker, means: MEANS[breaker.state] })
    const rows = breakers.map((breaker) => [visible(breaker.name), breaker.state, breaker.since === null ? '-' : stampOf(breaker.since), visible(`${MEANS[breaker.state]}${particulars(breaker)}`)])
    for (const line of table([['breaker', 'state', 'since', 'what it means'], ...rows])) this.answer(line)
    this.emit({ ok: true, count: breakers.length })
    return 0
  }
}

function particulars({ since, untilAt, forced, deed }: KnownBreaker): string {
  if (forced !== null && deed) return ` (${deed.who}: ${deed.why})`
  if (untilAt !== null) return ` (the next are let through from ${stampOf(untilAt)} on)`
  return since === null ? ' (it never has)' : ''
}
