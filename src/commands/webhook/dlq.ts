import { Flags } from '@oclif/core'
import { Book } from '../../engines/webhook/book.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { table } from '../text.ts'
import { localFlags, stamp, withWebhooks } from '../webhook-flags.ts'

export default class WebhookDlq extends BaseCommand<typeof WebhookDlq> {
  static override summary = 'what is dead, by endpoint and reason'
  static override description = 'Dead is a state, not another queue. resil webhook replay --dlq sends it again.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --endpoint ep_8kq2m1x9 --json']
  static override flags = { ...localFlags, endpoint: Flags.string({ summary: 'only for this endpoint', helpValue: 'ID' }) }

  protected async work(): Promise<ExitCode> {
    return withWebhooks(this.flags, this.config.version, async ({ store, clock }): Promise<ExitCode> => {
      const dead = await new Book({ store, clock }).dlq(this.flags.endpoint)
      for (const each of dead) this.emit(each)
      const rows = dead.flatMap(({ endpoint, reasons }) => reasons.map(({ reason, dead: n, oldest_at }) => [endpoint, visible(reason), String(n), stamp(oldest_at)]))
      if (rows.length === 0) this.answer('nothing is dead')
      else for (const line of table([['endpoint', 'reason', 'dead', 'the oldest since'], ...rows])) this.answer(line)
      return 0
    })
  }
}
