import { Flags } from '@oclif/core'
import { listen } from '../../lab/webhook-listen.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { integer, port } from '../flags.ts'

export default class WebhookListen extends BaseCommand<typeof WebhookListen> {
  static override summary = 'a receiver on this machine that verifies what comes, says it, and answers'
  static override description = 'Says for each request whether its signature is good, which number it has, and what is missing before it. Until Ctrl-C or SIGTERM.'
  static override examples = ['<%= config.bin %> <%= command.id %> --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', '<%= config.bin %> <%= command.id %> --port 0 --bodies --json']
  static override flags = {
    host: Flags.string({ summary: 'address to listen on', default: '127.0.0.1', helpValue: 'ADDRESS' }),
    port: port({ summary: 'port to listen on', default: 4020 }),
    secret: Flags.string({ summary: 'whsec_ secret, or whpk_ key; may be given several times', multiple: true, helpValue: 'whsec_...' }),
    status: integer({ summary: 'what is answered', min: 200, max: 599, default: 204 }),
    bodies: Flags.boolean({ summary: 'print the bodies as well' }),
  }

  protected async work(): Promise<ExitCode> {
    const { host, port: at, secret, status, bodies } = this.flags
    return listen({ host, port: at, secrets: secret ?? [], status, bodies }, this.voice, this.interrupted)
  }
}
