import { Flags } from '@oclif/core'
import type { DeliveryState } from '../../engines/webhook/book.ts'
import { Book } from '../../engines/webhook/book.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { integer, moment } from '../flags.ts'
import { table } from '../text.ts'
import { given, localFlags, stamp, withWebhooks } from '../webhook-flags.ts'

const STATES = ['pending', 'chained', 'delivered', 'dead', 'cancelled']

export default class WebhookDeliveries extends BaseCommand<typeof WebhookDeliveries> {
  static override summary = 'one event for one endpoint each: where it stands, and why'
  static override examples = ['<%= config.bin %> <%= command.id %> --endpoint ep_8kq2m1x9 --state pending', '<%= config.bin %> <%= command.id %> --state dead --since 2d --json']
  static override flags = {
    ...localFlags,
    endpoint: Flags.string({ summary: 'only for this endpoint', helpValue: 'ID' }),
    state: Flags.string({ summary: 'only in this state', options: STATES }),
    type: Flags.string({ summary: 'only of this type: order.created, order.*', helpValue: 'TYPE' }),
    since: moment({ summary: 'only of events from then on: 2d (ago), 2030-01-31' }),
    limit: integer({ summary: 'at most so many', min: 1, max: 1000, default: 50 }),
    cursor: Flags.string({ summary: 'where the page before ended', helpValue: 'CURSOR' }),
  }

  protected async work(): Promise<ExitCode> {
    const { endpoint, state, type, since, limit, cursor } = this.flags
    const filter = given({ endpoint, state: state as DeliveryState | undefined, type, since, limit, cursor })
    return withWebhooks(this.flags, this.config.version, async ({ store, clock }): Promise<ExitCode> => {
      const { deliveries, next } = await new Book({ store, clock }).deliveries(filter)
      for (const delivery of deliveries) this.emit(delivery)
      if (deliveries.length === 0) this.say('none')
      else {
        const rows = deliveries.map(({ id, event, type: what, endpoint: to, sequence, state: now, tries, due, reason }) => [String(id), now, event, visible(what), to, String(sequence), String(tries), now === 'pending' && due > 0 ? `again ${stamp(due)}` : visible(reason ?? '')])
        for (const line of table([['delivery', 'state', 'event', 'type', 'endpoint', 'number', 'attempts', 'why'], ...rows])) this.answer(line)
      }
      if (next !== null) this.say(`there may be more: --cursor ${next}`)
      return 0
    })
  }
}
