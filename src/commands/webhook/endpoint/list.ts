import { Flags } from '@oclif/core'
import { visible } from '../../../visible.ts'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { table } from '../../text.ts'
import { endpointFacts, localFlags, stateWord, withWebhooks } from '../../webhook-flags.ts'

export default class WebhookEndpointList extends BaseCommand<typeof WebhookEndpointList> {
  static override summary = 'the endpoints, how each fares, and what waits for it'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --tenant acme --json']
  static override flags = { ...localFlags, tenant: Flags.string({ summary: 'only of this tenant', helpValue: 'NAME' }) }

  protected async work(): Promise<ExitCode> {
    return withWebhooks(this.flags, this.config.version, async ({ engine }): Promise<ExitCode> => {
      const all = await engine.endpoints.list(this.flags.tenant)
      for (const endpoint of all) this.emit(endpointFacts(endpoint))
      if (all.length === 0) this.say('no endpoints; resil webhook endpoint add makes one')
      else {
        const rows = all.map((endpoint) => [endpoint.id, stateWord(endpoint), String(endpoint.delivered), String(endpoint.waiting), String(endpoint.dead), String(endpoint.failures), visible(endpoint.url)])
        for (const line of table([['endpoint', 'state', 'delivered', 'waiting', 'dead', 'failures in a row', 'url'], ...rows])) this.answer(line)
      }
      return 0
    })
  }
}
