import { Args } from '@oclif/core'
import type { ToxicFacts } from '../../../lab/proxy-client.ts'
import { visible } from '../../../visible.ts'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { attributesInWords, controlFlags, withClient } from '../../proxy-flags.ts'
import { table } from '../../text.ts'

export default class ProxyToxicList extends BaseCommand<typeof ProxyToxicList> {
  static override summary = 'the faults that are on, with how often each struck'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> bank']
  static override args = { proxy: Args.string({ description: 'of one proxy', ignoreStdin: true }) }
  static override flags = controlFlags

  protected async work(): Promise<ExitCode> {
    const all = await withClient(this.flags, (client) => client.ask<(ToxicFacts & { proxy: string; hits: number })[]>('GET', '/resil/rules'))
    const rules = all.filter(({ proxy }) => this.args.proxy === undefined || proxy === this.args.proxy)
    for (const rule of rules) this.emit(rule)
    const rows = rules.map(({ proxy, name, type, stream, toxicity, attributes, hits }) => [visible(proxy), visible(name), type, stream, hits === 0 ? 'never struck' : hits === 1 ? 'struck once' : `struck ${hits} times`, `${toxicity === 1 ? '' : `${toxicity} of connections  `}${attributesInWords(attributes)}`])
    if (rows.length === 0) this.say('no toxics')
    else for (const line of table(rows)) this.answer(line)
    return 0
  }
}
