import { Args, Flags } from '@oclif/core'
import { Reconciler } from '../../engines/webhook/reconcile.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { integer, moment } from '../flags.ts'
import { given, localFlags, readText, withWebhooks } from '../webhook-flags.ts'

export default class WebhookReconcile extends BaseCommand<typeof WebhookReconcile> {
  static override summary = 'lay what a receiver has beside what it was sent, and send again what it lacks'
  static override description = "The receiver's ids, one a line, in a file or on standard input. Exit code: 0 no difference, 1 some."
  static override examples = ['psql -Atc "select webhook_id from inbox" | <%= config.bin %> <%= command.id %> ep_8kq2m1x9 --ids-from -', '<%= config.bin %> <%= command.id %> ep_8kq2m1x9 --ids-from inbox.txt --since 2d --redeliver --json']
  static override args = { endpoint: Args.string({ description: 'its id', required: true }) }
  static override flags = {
    ...localFlags,
    'ids-from': Flags.string({ summary: 'FILE with the ids that the receiver has, - for standard input', required: true, helpValue: 'FILE' }),
    'since': moment({ summary: 'events from then on: 2d (ago), 2030-01-31' }),
    'until': moment({ summary: 'events up to then' }),
    'from': integer({ summary: 'or: from this number on', min: 1, max: Number.MAX_SAFE_INTEGER }),
    'to': integer({ summary: 'up to this number', min: 1, max: Number.MAX_SAFE_INTEGER }),
    'redeliver': Flags.boolean({ summary: 'send again what it lacks: a replay' }),
    'by': Flags.string({ summary: 'who asks: kept with the replay', default: 'operator', helpValue: 'NAME' }),
  }

  protected async work(): Promise<ExitCode> {
    const { since, until, from, to, redeliver, by } = this.flags
    const ids = idsOf(this.flags['ids-from'])
    const window = given({ since, until, from, to })
    return withWebhooks(this.flags, this.config.version, async ({ engine, store }): Promise<ExitCode> => {
      const found = await new Reconciler({ store, replays: engine.replays }).compare(this.args.endpoint, { ids, redeliver, who: by, ...window })
      for (const id of found.missing) this.say(`missing      ${id}`)
      for (const id of found.extra) this.say(`not sent     ${visible(id)}`)
      for (const id of found.unconfirmed) this.say(`unconfirmed  ${id}`)
      this.answer(`numbers ${found.from} to ${found.to}: ${found.matched} match, ${found.missing.length} missing, ${found.extra.length} not sent in this window, ${found.unconfirmed.length} unconfirmed${found.job === null ? '' : `; replay ${found.job} sends the missing ones again`}`)
      const ok = found.missing.length === 0 && found.extra.length === 0 && found.unconfirmed.length === 0
      this.emit({ ok, ...found })
      return ok ? 0 : 1
    })
  }
}

function idsOf(file: string): string[] {
  return readText(file, 'give a file with one id a line, or - for standard input').split('\n').map((line) => line.trim()).filter((line) => line !== '')
}
