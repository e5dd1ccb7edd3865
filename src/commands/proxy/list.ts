import type { ProxyFacts } from '../../lab/proxy-client.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { controlFlags, withClient } from '../proxy-flags.ts'
import { table } from '../text.ts'

export default class ProxyList extends BaseCommand<typeof ProxyList> {
  static override summary = 'the proxies of a running chaos proxy'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --control http://127.0.0.1:18474 --json']
  static override flags = controlFlags

  protected async work(): Promise<ExitCode> {
    const proxies = Object.values(await withClient(this.flags, (client) => client.ask<Record<string, ProxyFacts>>('GET', '/proxies')))
    for (const proxy of proxies) this.emit(proxy)
    if (proxies.length === 0) this.say('no proxies; resil proxy create makes one')
    else {
      const rows = proxies.map(({ name, listen, upstream, enabled, toxics }) => [visible(name), listen, visible(upstream), enabled ? 'on' : 'OFF', toxics.map((toxic) => visible(toxic.name)).join(', ') || '-'])
      for (const line of table([['name', 'listens on', 'goes to', '', 'toxics'], ...rows])) this.answer(line)
    }
    return 0
  }
}
