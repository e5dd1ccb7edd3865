import { Args, Flags } from '@oclif/core'
import type { ProxyFacts } from '../../lab/proxy-client.ts'
import { adHocProxy } from '../../lab/proxy-config.ts'
import { loadToxics } from '../../lab/units.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { controlFlags, withClient } from '../proxy-flags.ts'

export default class ProxyCreate extends BaseCommand<typeof ProxyCreate> {
  static override summary = 'a new proxy, with its toxics'
  static override examples = ['<%= config.bin %> <%= command.id %> redis --listen 26379 --upstream 127.0.0.1:6379 --toxic latency=200ms', '<%= config.bin %> <%= command.id %> db --listen 15432 --upstream db.internal:5432 --control http://127.0.0.1:18474']
  static override args = { name: Args.string({ description: 'what to call it', required: true }) }
  static override flags = {
    ...controlFlags,
    listen: Flags.string({ char: 'l', summary: 'PORT or HOST:PORT; 0 takes a free port', default: '0', helpValue: 'ADDRESS' }),
    upstream: Flags.string({ char: 'u', summary: 'where it goes', required: true, helpValue: 'HOST:PORT' }),
    toxic: Flags.string({ summary: 'a fault on it from the start, e.g. latency=200ms@upstream', multiple: true, helpValue: 'SPEC' }),
  }

  protected async work(): Promise<ExitCode> {
    const spec = { ...adHocProxy(this.flags.listen, this.flags.upstream, this.flags.toxic ?? [], await loadToxics()), name: this.args.name }
    const proxy = await withClient(this.flags, (client) => client.ask<ProxyFacts>('POST', '/proxies', spec))
    this.emit(proxy)
    this.answer(`${visible(proxy.name)}  ${proxy.listen} to ${visible(proxy.upstream)}`)
    return 0
  }
}
