import { Args } from '@oclif/core'
import { diagnose, examine } from '../../engines/webhook/doctor.ts'
import { DEFAULTS } from '../../engines/webhook/settings.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { localFlags, withWebhooks } from '../webhook-flags.ts'

export default class WebhookDoctor extends BaseCommand<typeof WebhookDoctor> {
  static override summary = 'what is wrong with an endpoint, in words, with the numbers'
  static override description = 'Looks at its lane and its latest attempts. Exit code: 0 nothing is wrong, 1 something is.'
  static override examples = ['<%= config.bin %> <%= command.id %> ep_8kq2m1x9', '<%= config.bin %> <%= command.id %> ep_8kq2m1x9 --json']
  static override args = { endpoint: Args.string({ description: 'its id', required: true }) }
  static override flags = localFlags

  protected async work(): Promise<ExitCode> {
    return withWebhooks(this.flags, this.config.version, async ({ store, clock }): Promise<ExitCode> => {
      const findings = diagnose(await examine(store, clock, DEFAULTS, this.args.endpoint))
      for (const finding of findings) {
        this.emit(finding)
        this.answer(`${finding.severity === 'error' ? 'ERROR  ' : finding.severity === 'warning' ? 'warning' : 'note   '}  ${visible(finding.sentence)}`)
      }
      if (findings.length === 0) this.answer('nothing is wrong with it')
      const ok = findings.every(({ severity }) => severity === 'note')
      this.emit({ ok, findings: findings.length })
      return ok ? 0 : 1
    })
  }
}
