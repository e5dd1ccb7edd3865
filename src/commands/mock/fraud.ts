import { standMock } from '../../lab/mock-alone.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { mockFlags } from '../flags.ts'

export default class MockFraud extends BaseCommand<typeof MockFraud> {
  static override summary = 'a mock fraud service that allows, denies, and can be late'
  static override description = 'Stands alone on a port until Ctrl-C or SIGTERM and tells each thing that happens on a line. What really happened is at GET /ledger.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --port 0 --lie late_answer=3s --json']
  static override flags = mockFlags('fraud')

  protected async work(): Promise<ExitCode> {
    return standMock('fraud', this.flags, this.voice, this.interrupted)
  }
}
