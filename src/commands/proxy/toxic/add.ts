import { Args, Flags } from '@oclif/core'
import type { ToxicFacts } from '../../../lab/proxy-client.ts'
import { segment } from '../../../lab/proxy-client.ts'
import { readShortToxic } from '../../../lab/proxy-config.ts'
import { loadToxics } from '../../../lab/units.ts'
import { visible } from '../../../visible.ts'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { attributesInWords, controlFlags, withClient } from '../../proxy-flags.ts'

export default class ProxyToxicAdd extends BaseCommand<typeof ProxyToxicAdd> {
  static override summary = 'put a fault on a proxy; open connections have it at once'
  static override examples = ['<%= config.bin %> <%= command.id %> bank latency=200ms,jitter=50ms', '<%= config.bin %> <%= command.id %> bank http_error=503,path=/v1/**,every=3 --name sometimes']
  static override args = {
    proxy: Args.string({ description: 'the proxy', required: true }),
    toxic: Args.string({ description: 'TYPE=VALUE,ATTRIBUTE=VALUE@STREAM (resil list toxics)', required: true }),
  }
  static override flags = {
    ...controlFlags,
    name: Flags.string({ char: 'n', summary: 'what to call it; TYPE_STREAM when not given', helpValue: 'NAME' }),
    toxicity: Flags.string({ summary: 'chance of each connection, 0 to 1', helpValue: 'P', default: '1' }),
  }

  protected async work(): Promise<ExitCode> {
    const spec = { ...readShortToxic(this.args.toxic, await loadToxics()), name: this.flags.name, toxicity: Number(this.flags.toxicity) }
    const toxic = await withClient(this.flags, (client) => client.ask<ToxicFacts>('POST', `/proxies/${segment(this.args.proxy)}/toxics`, spec))
    this.emit(toxic)
    this.answer(`${visible(toxic.name)}  ${toxic.type}, ${toxic.stream}  ${attributesInWords(toxic.attributes)}`.trimEnd())
    return 0
  }
}
