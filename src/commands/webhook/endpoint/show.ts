import { Args } from '@oclif/core'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { endpointFacts, endpointLines, localFlags, withWebhooks } from '../../webhook-flags.ts'

export default class WebhookEndpointShow extends BaseCommand<typeof WebhookEndpointShow> {
  static override summary = 'one endpoint: how it wants to be spoken to, how it fares, which secrets sign'
  static override examples = ['<%= config.bin %> <%= command.id %> ep_8kq2m1x9', '<%= config.bin %> <%= command.id %> ep_8kq2m1x9 --json']
  static override args = { endpoint: Args.string({ description: 'its id', required: true }) }
  static override flags = localFlags

  protected async work(): Promise<ExitCode> {
    return withWebhooks(this.flags, this.config.version, async ({ engine }): Promise<ExitCode> => {
      const endpoint = await engine.endpoints.show(this.args.endpoint)
      const secrets = await engine.endpoints.secrets(endpoint.id)
      for (const line of endpointLines(endpoint)) this.answer(line)
      for (const { fingerprint, expires_at } of secrets) this.answer(`  secret     ${fingerprint}${expires_at === null ? '' : `, signs until ${new Date(expires_at).toISOString()}`}`)
      this.emit({ ...endpointFacts(endpoint), secrets })
      return 0
    })
  }
}
