import { Flags } from '@oclif/core'
import { SystemClock } from '../../clock.ts'
import { openProxyAlone } from '../../lab/proxy-alone.ts'
import { openLog, untilTold } from '../../lab/standing.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { endProxy, planFlags, planOf, USUAL_PORT } from '../proxy-flags.ts'
import { table } from '../text.ts'

export default class ProxyStart extends BaseCommand<typeof ProxyStart> {
  static override summary = 'a chaos proxy in front of any service, driven as Toxiproxy is'
  static override description =
    "Stands until Ctrl-C or SIGTERM and tells each fault that strikes on a line. Toxiproxy's clients and command line drive it unchanged on its control port; a config file of Toxiproxy's is read as it is. With --listen and --upstream it needs no file."
  static override examples = [
    '<%= config.bin %> <%= command.id %> --listen 7001 --upstream 127.0.0.1:5432 --toxic latency=200ms',
    '<%= config.bin %> <%= command.id %> --config proxies.yaml --seed 7',
    '<%= config.bin %> <%= command.id %> --config toxiproxy.json --journal run.ndjson',
    '<%= config.bin %> <%= command.id %> --replay run.ndjson --strict',
  ]
  static override flags = {
    ...planFlags(USUAL_PORT),
    strict: Flags.boolean({ summary: 'end with 3 when a toxic never struck, or a replay differs' }),
  }

  protected async work(): Promise<ExitCode> {
    const clock = new SystemClock()
    const plan = await planOf(this.flags, USUAL_PORT, this.config.version)
    const log = openLog(clock, this.voice)
    const proxy = await openProxyAlone(plan, { log, clock })
    try {
      this.emit({ type: 'ready', url: proxy.url, seed: plan.seed, proxies: proxy.proxies.map(({ name, listen, upstream, enabled }) => ({ name, listen, upstream, enabled })) })
      for (const line of table([['control', proxy.url, `seed ${plan.seed}`], ...proxy.proxies.map(({ name, listen, upstream, enabled }) => [name, listen, `to ${upstream}${enabled ? '' : ', off'}`])])) this.answer(line)
      await untilTold(this.interrupted)
    } catch (error) {
      await proxy.close()
      throw error
    }
    return endProxy(proxy, this.flags.strict, this.voice)
  }
}
