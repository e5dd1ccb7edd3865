import { Args } from '@oclif/core'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { deedFlags } from '../../flags.ts'
import { localFlags, withWebhooks } from '../../webhook-flags.ts'

export default class WebhookEndpointRemove extends BaseCommand<typeof WebhookEndpointRemove> {
  static override summary = 'remove an endpoint: what waits for it is cancelled, its history stays'
  static override examples = ['<%= config.bin %> <%= command.id %> ep_8kq2m1x9 --by ops --why "the customer left"', '<%= config.bin %> <%= command.id %> ep_8kq2m1x9 --by ops --why moved --json']
  static override args = { endpoint: Args.string({ description: 'its id', required: true }) }
  static override flags = { ...localFlags, ...deedFlags }

  protected async work(): Promise<ExitCode> {
    return withWebhooks(this.flags, this.config.version, async ({ engine }): Promise<ExitCode> => {
      const { cancelled } = await engine.endpoints.remove(this.args.endpoint, { who: this.flags.by, why: this.flags.why })
      this.answer(`removed; ${cancelled} ${cancelled === 1 ? 'delivery' : 'deliveries'} cancelled`)
      this.emit({ ok: true, endpoint: this.args.endpoint, cancelled })
      return 0
    })
  }
}
