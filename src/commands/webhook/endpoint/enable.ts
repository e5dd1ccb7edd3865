import { Args } from '@oclif/core'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { deedFlags } from '../../flags.ts'
import { localFlags, setEndpointState } from '../../webhook-flags.ts'

export default class WebhookEndpointEnable extends BaseCommand<typeof WebhookEndpointEnable> {
  static override summary = 'enable an endpoint: what was held goes, and its failures are forgotten'
  static override examples = ['<%= config.bin %> <%= command.id %> ep_8kq2m1x9 --by ops --why "asked for by the customer"', '<%= config.bin %> <%= command.id %> ep_8kq2m1x9 --by ops --why maintenance --json']
  static override args = { endpoint: Args.string({ description: 'its id', required: true }) }
  static override flags = { ...localFlags, ...deedFlags }

  protected async work(): Promise<ExitCode> {
    return setEndpointState(this.flags, this.config.version, this.args.endpoint, 'enabled', this.voice)
  }
}
