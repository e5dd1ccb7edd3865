import { Args } from '@oclif/core'
import type { ProxyFacts } from '../../lab/proxy-client.ts'
import { segment } from '../../lab/proxy-client.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { controlFlags, withClient } from '../proxy-flags.ts'

export default class ProxyToggle extends BaseCommand<typeof ProxyToggle> {
  static override summary = 'turn a proxy off, or on again: off, connections are refused'
  static override examples = ['<%= config.bin %> <%= command.id %> redis', '<%= config.bin %> <%= command.id %> redis --quiet']
  static override args = { name: Args.string({ description: 'the proxy', required: true }) }
  static override flags = controlFlags

  protected async work(): Promise<ExitCode> {
    const path = `/proxies/${segment(this.args.name)}`
    const proxy = await withClient(this.flags, async (client) => {
      const { enabled } = await client.ask<ProxyFacts>('GET', path)
      return client.ask<ProxyFacts>('PATCH', path, { enabled: !enabled })
    })
    this.emit(proxy)
    this.answer(`${visible(proxy.name)} is ${proxy.enabled ? 'on' : 'OFF'}`)
    return 0
  }
}
