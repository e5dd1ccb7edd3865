import { Args } from '@oclif/core'
import { segment } from '../../../lab/proxy-client.ts'
import { visible } from '../../../visible.ts'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { controlFlags, withClient } from '../../proxy-flags.ts'

export default class ProxyToxicRemove extends BaseCommand<typeof ProxyToxicRemove> {
  static override summary = 'take a fault away; what it held passes at once'
  static override examples = ['<%= config.bin %> <%= command.id %> bank latency_downstream', '<%= config.bin %> <%= command.id %> bank sometimes --json']
  static override args = { proxy: Args.string({ description: 'the proxy', required: true }), name: Args.string({ description: 'the toxic', required: true }) }
  static override flags = controlFlags

  protected async work(): Promise<ExitCode> {
    const { proxy, name } = this.args
    await withClient(this.flags, (client) => client.ask('DELETE', `/proxies/${segment(proxy)}/toxics/${segment(name)}`))
    this.emit({ ok: true, removed: name })
    this.answer(`${visible(name)} is gone`)
    return 0
  }
}
