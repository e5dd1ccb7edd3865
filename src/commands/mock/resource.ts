import { standMock } from '../../lab/mock-alone.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { mockFlags } from '../flags.ts'

export default class MockResource extends BaseCommand<typeof MockResource> {
  static override summary = 'a mock resource that jobs act on, which refuses old fencing tokens'
  static override description = 'Stands alone on a port until Ctrl-C or SIGTERM and tells each thing that happens on a line. What took effect, what was refused and what came twice is at GET /ledger.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --port 0 --lie applied_then_500,times=2 --json']
  static override flags = mockFlags('resource')

  protected async work(): Promise<ExitCode> {
    return standMock('resource', this.flags, this.voice, this.interrupted)
  }
}
