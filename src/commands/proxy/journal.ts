import { Flags } from '@oclif/core'
import type { Event } from '../../events.ts'
import { wallLine } from '../../lab/standing.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { integer } from '../flags.ts'
import { controlFlags, withClient } from '../proxy-flags.ts'

export default class ProxyJournal extends BaseCommand<typeof ProxyJournal> {
  static override summary = 'which faults struck, and what was changed, the oldest first'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --proxy bank --json']
  static override flags = {
    ...controlFlags,
    proxy: Flags.string({ summary: 'of one proxy', helpValue: 'NAME' }),
    after: integer({ summary: 'only lines behind that number (seq)', min: 0, max: Number.MAX_SAFE_INTEGER, default: 0 }),
    limit: integer({ summary: 'at most so many', min: 1, max: 1000, default: 1000 }),
  }

  protected async work(): Promise<ExitCode> {
    const query = new URLSearchParams({ after: String(this.flags.after), limit: String(this.flags.limit), ...(this.flags.proxy === undefined ? {} : { proxy: this.flags.proxy }) })
    const { lines } = await withClient(this.flags, (client) => client.ask<{ lines: Event[] }>('GET', `/resil/journal?${query}`))
    for (const line of lines) {
      this.emit(line)
      const told = wallLine(line)
      if (told !== undefined) this.answer(told)
    }
    if (lines.length === 0) this.say('nothing yet')
    return 0
  }
}
