import { Args } from '@oclif/core'
import { segment } from '../../lab/proxy-client.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { controlFlags, withClient } from '../proxy-flags.ts'

export default class ProxyDelete extends BaseCommand<typeof ProxyDelete> {
  static override summary = 'take a proxy away; its connections are closed'
  static override examples = ['<%= config.bin %> <%= command.id %> redis', '<%= config.bin %> <%= command.id %> redis --json']
  static override args = { name: Args.string({ description: 'the proxy', required: true }) }
  static override flags = controlFlags

  protected async work(): Promise<ExitCode> {
    await withClient(this.flags, (client) => client.ask('DELETE', `/proxies/${segment(this.args.name)}`))
    this.emit({ ok: true, deleted: this.args.name })
    this.answer(`${visible(this.args.name)} is gone`)
    return 0
  }
}
