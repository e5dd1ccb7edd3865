import { Flags } from '@oclif/core'
import { standCustomer } from '../../lab/customer-alone.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { mockFlags } from '../flags.ts'

export default class MockCustomer extends BaseCommand<typeof MockCustomer> {
  static override summary = 'a mock customer who receives webhooks, with moods from slow to evil, and an inbox that is the truth'
  static override description =
    'Stands alone on a port until Ctrl-C or SIGTERM and tells each webhook on a line: whether its signature was good, whether it was processed, what was answered. The whole inbox is at GET /ledger. Moods that follow one another say how long each holds.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    '<%= config.bin %> <%= command.id %> --mood error:503:retry-after=5,for=2m --mood healthy --json',
    '<%= config.bin %> <%= command.id %> --port 0 --mood slowloris-body:1s',
  ]
  static override flags = {
    ...mockFlags('customer'),
    mood: Flags.string({ summary: 'how it fares: healthy, slow:10s, flapping:30s:30s, error:429:retry-after=120, lie-200, deferred:5s, endless, tls-expired ...; with ,for=30s before the next (docs/customer.md has all)', multiple: true, helpValue: 'MOOD' }),
    secret: Flags.string({ summary: 'what it trusts: whsec_ secrets and whpk_ keys; without one no signature is checked', multiple: true, helpValue: 'whsec_...' }),
    acks: Flags.string({ summary: 'base URL where deferred acknowledgements are posted, at /v1/acks', helpValue: 'URL' }),
    naive: Flags.boolean({ summary: 'does not know a webhook that comes again: every one has its effect' }),
  }

  protected async work(): Promise<ExitCode> {
    return standCustomer(this.flags, this.voice, this.interrupted)
  }
}
