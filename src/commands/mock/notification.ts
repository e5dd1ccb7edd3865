import { standMock } from '../../lab/mock-alone.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { mockFlags } from '../flags.ts'

export default class MockNotification extends BaseCommand<typeof MockNotification> {
  static override summary = 'a mock notification service that counts what it received twice'
  static override description = 'Stands alone on a port until Ctrl-C or SIGTERM and tells each thing that happens on a line. What really happened is at GET /ledger.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --port 0 --lie error_500,times=2 --json']
  static override flags = mockFlags('notification')

  protected async work(): Promise<ExitCode> {
    return standMock('notification', this.flags, this.voice, this.interrupted)
  }
}
