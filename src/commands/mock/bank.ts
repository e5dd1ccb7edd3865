import { Flags } from '@oclif/core'
import { standMock } from '../../lab/mock-alone.ts'
import { dialects } from '../../proxy/bank/dialects.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { mockFlags } from '../flags.ts'

export default class MockBank extends BaseCommand<typeof MockBank> {
  static override summary = 'a mock bank in the manner of Stripe, with keys, look-ups, voids and lies'
  static override description = 'Stands alone on a port until Ctrl-C or SIGTERM and tells each thing that happens on a line. What really happened is at GET /ledger.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --port 0 --lie charge_then_500,times=1 --json', '<%= config.bin %> <%= command.id %> --dialect checkout']
  static override flags = {
    ...mockFlags('bank'),
    dialect: Flags.string({ summary: 'whose habits with idempotency keys it has', options: Object.keys(dialects), default: 'stripe-v1' }),
  }

  protected async work(): Promise<ExitCode> {
    return standMock('bank', this.flags, this.voice, this.interrupted)
  }
}
