import { Flags } from '@oclif/core'
import { SystemClock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import { environmentOf, openProxyAlone, runCommand } from '../../lab/proxy-alone.ts'
import { openLog } from '../../lab/standing.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { endProxy, planFlags, planOf } from '../proxy-flags.ts'

export default class ProxyRun extends BaseCommand<typeof ProxyRun> {
  static override summary = 'run a command behind the chaos proxy, and tell which faults struck'
  static override description =
    "Starts the proxies, runs the command once they listen, stops them when it has ended, and ends with its exit code: no sleep and no kill in a script. The command finds each proxy in RESIL_PROXY_NAME (HOST:PORT), with _HOST, _PORT and _URL, and the control API in RESIL_CONTROL_URL. What the proxy has to say goes to stderr."
  static override examples = [
    '<%= config.bin %> <%= command.id %> --config proxies.yaml -- npm test',
    '<%= config.bin %> <%= command.id %> --listen 0 --upstream 127.0.0.1:5432 --toxic latency=200ms --strict -- sh -c \'psql -h $RESIL_PROXY_PROXY_HOST -p $RESIL_PROXY_PROXY_PORT\'',
  ]
  static override strict = false
  static override flags = {
    ...planFlags(0),
    strict: Flags.boolean({ summary: 'end with 3 when the command ended with 0 and a toxic never struck, or a replay differs' }),
  }

  protected async work(): Promise<ExitCode> {
    const clock = new SystemClock()
    if (this.rest.length === 0) throw new ResilError('NO_COMMAND', 'there is no command to run', 'write it behind --, as in resil proxy run --config FILE -- npm test')
    const plan = await planOf(this.flags, 0, this.config.version)
    // stdout is the command's: what the proxy says goes beside it.
    const voice = {
      json: this.flags.json,
      say: (line: string) => void (!this.flags.json && !this.flags.quiet && process.stderr.write(`${line}\n`)),
      answer: (line: string) => void (!this.flags.json && process.stderr.write(`${line}\n`)),
      emit: (record: object) => void (this.flags.json && process.stderr.write(`${JSON.stringify(record)}\n`)),
    }
    const log = openLog(clock, voice)
    const proxy = await openProxyAlone(plan, { log, clock })
    let exit: number
    try {
      voice.emit({ type: 'ready', url: proxy.url, seed: plan.seed })
      exit = await runCommand(this.rest, { env: { ...process.env, ...environmentOf(proxy) }, signal: this.interrupted, clock })
    } catch (error) {
      await proxy.close()
      throw error
    }
    const judged = await endProxy(proxy, this.flags.strict, voice)
    return (exit === 0 ? judged : exit) as ExitCode
  }
}
