import { Args } from '@oclif/core'
import { ResilError } from '../../errors.ts'
import { Book } from '../../engines/webhook/book.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { table } from '../text.ts'
import { localFlags, stamp, withWebhooks } from '../webhook-flags.ts'

/** Characters of an answer on a line. */
const BODY_SHOWN = 60

export default class WebhookAttempts extends BaseCommand<typeof WebhookAttempts> {
  static override summary = 'every attempt of an event, or of one delivery, and what was answered'
  static override examples = ['<%= config.bin %> <%= command.id %> evt_01k9', '<%= config.bin %> <%= command.id %> 4711 --json']
  static override args = { of: Args.string({ description: "an event's id, or a delivery's number", required: true }) }
  static override flags = localFlags

  protected async work(): Promise<ExitCode> {
    const { of } = this.args
    return withWebhooks(this.flags, this.config.version, async ({ store, clock }): Promise<ExitCode> => {
      const book = new Book({ store, clock })
      const deliveries = /^\d{1,15}$/.test(of) ? [Number(of)] : (await book.event(of)).deliveries.map(({ id }) => id)
      if (deliveries.length === 0) throw new ResilError('NO_SUCH_DELIVERY', `${visible(of)} was for no endpoint`, 'nobody is told of its type')
      for (const id of deliveries) {
        const { delivery, attempts } = await book.attempts(id)
        this.emit({ ...delivery, attempts })
        this.say(`${delivery.event} for ${delivery.endpoint}, number ${delivery.sequence}: ${delivery.state}${delivery.reason === null ? '' : `, ${visible(delivery.reason)}`}`)
        if (attempts.length === 0) this.answer('  not tried yet')
        else {
          const rows = attempts.map(({ n, at, ms, outcome, status, detail, body }) => [`  #${n}`, stamp(at), `${ms} ms`, String(status ?? '-'), outcome.replaceAll('_', ' '), visible(detail ?? ''), visible((body ?? '').slice(0, BODY_SHOWN))])
          for (const line of table(rows)) this.answer(line)
        }
      }
      return 0
    })
  }
}
