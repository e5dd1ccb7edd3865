import { Args } from '@oclif/core'
import type { ProxyFacts } from '../../lab/proxy-client.ts'
import { segment } from '../../lab/proxy-client.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { attributesInWords, controlFlags, withClient } from '../proxy-flags.ts'
import { table } from '../text.ts'

export default class ProxyInspect extends BaseCommand<typeof ProxyInspect> {
  static override summary = 'one proxy with its toxics'
  static override examples = ['<%= config.bin %> <%= command.id %> bank', '<%= config.bin %> <%= command.id %> bank --json']
  static override args = { name: Args.string({ description: 'the proxy', required: true }) }
  static override flags = controlFlags

  protected async work(): Promise<ExitCode> {
    const proxy = await withClient(this.flags, (client) => client.ask<ProxyFacts>('GET', `/proxies/${segment(this.args.name)}`))
    this.emit(proxy)
    this.answer(`${visible(proxy.name)}  ${proxy.listen} to ${visible(proxy.upstream)}, ${proxy.enabled ? 'on' : 'OFF'}`)
    const rows = proxy.toxics.map(({ name, type, stream, toxicity, attributes }) => [visible(name), type, visible(stream), toxicity === 1 ? '' : `${toxicity} of connections`, attributesInWords(attributes)])
    for (const line of rows.length > 0 ? table(rows) : ['no toxics']) this.answer(`  ${line}`)
    return 0
  }
}
