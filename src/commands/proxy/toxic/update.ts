import { Args, Flags } from '@oclif/core'
import { ResilError } from '../../../errors.ts'
import type { ToxicFacts } from '../../../lab/proxy-client.ts'
import { segment } from '../../../lab/proxy-client.ts'
import { readShortToxic } from '../../../lab/proxy-config.ts'
import { loadToxics } from '../../../lab/units.ts'
import { visible } from '../../../visible.ts'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { attributesInWords, controlFlags, withClient } from '../../proxy-flags.ts'

export default class ProxyToxicUpdate extends BaseCommand<typeof ProxyToxicUpdate> {
  static override summary = 'change a fault while it stands'
  static override examples = ['<%= config.bin %> <%= command.id %> bank latency_downstream latency=2s', '<%= config.bin %> <%= command.id %> bank sometimes --toxicity 0.5']
  static override args = {
    proxy: Args.string({ description: 'the proxy', required: true }),
    name: Args.string({ description: 'the toxic', required: true }),
    attributes: Args.string({ description: 'ATTRIBUTE=VALUE,ATTRIBUTE=VALUE', ignoreStdin: true }),
  }
  static override flags = { ...controlFlags, toxicity: Flags.string({ summary: 'chance of each connection, 0 to 1', helpValue: 'P' }) }

  protected async work(): Promise<ExitCode> {
    const { proxy, name, attributes } = this.args
    const { toxicity } = this.flags
    if (attributes === undefined && toxicity === undefined) throw new ResilError('NOTHING_TO_CHANGE', 'there is nothing to change', 'give attributes, as in latency=2s, or --toxicity')
    const change = {
      attributes: attributes === undefined ? undefined : readShortToxic(`noop,${attributes}`, await loadToxics()).attributes,
      toxicity: toxicity === undefined ? undefined : Number(toxicity),
    }
    const toxic = await withClient(this.flags, (client) => client.ask<ToxicFacts>('PATCH', `/proxies/${segment(proxy)}/toxics/${segment(name)}`, change))
    this.emit(toxic)
    this.answer(`${visible(toxic.name)}  ${toxic.type}, ${toxic.stream}  ${attributesInWords(toxic.attributes)}`.trimEnd())
    return 0
  }
}
