import { Args } from '@oclif/core'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { deedFlags } from '../../flags.ts'
import { localFlags, setEndpointState } from '../../webhook-flags.ts'

export default class WebhookEndpointPause extends BaseCommand<typeof WebhookEndpointPause> {
  static override summary = 'pause an endpoint: nothing is sent to it for a while; what comes for it is held'
  static override examples = ['<%= config.bin %> <%= command.id %> ep_8kq2m1x9 --by ops --why "asked for by the customer"', '<%= config.bin %> <%= command.id %> ep_8kq2m1x9 --by ops --why maintenance --json']
  static override args = { endpoint: Args.string({ description: 'its id', required: true }) }
  static override flags = { ...localFlags, ...deedFlags }

  protected async work(): Promise<ExitCode> {
    return setEndpointState(this.flags, this.config.version, this.args.endpoint, 'paused', this.voice)
  }
}
