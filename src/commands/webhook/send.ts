import { Args, Flags } from '@oclif/core'
import { ResilError } from '../../errors.ts'
import { refuseOwnFamily } from '../../engines/webhook/events.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { given, localFlags, readText, withWebhooks } from '../webhook-flags.ts'

export default class WebhookSend extends BaseCommand<typeof WebhookSend> {
  static override summary = 'an event, for every endpoint that is told of its type'
  static override description = 'It is in the database once this ends with 0; a node that runs on it sends it (resil webhook serve). The same --idempotency-key again makes no second one.'
  static override examples = [
    `<%= config.bin %> <%= command.id %> order.created --data '{"order": 7}'`,
    '<%= config.bin %> <%= command.id %> order.created --data @order.json --key order-7 --idempotency-key 4f1c',
  ]
  static override args = { type: Args.string({ description: 'its type: order.created', required: true }) }
  static override flags = {
    ...localFlags,
    'data': Flags.string({ summary: 'JSON, or @FILE, or @- for standard input', default: '{}', helpValue: 'JSON' }),
    'body': Flags.string({ summary: 'the whole body as it is, or @FILE; in place of --data', exclusive: ['data'], helpValue: 'TEXT' }),
    'tenant': Flags.string({ summary: 'whose event it is', helpValue: 'NAME' }),
    'key': Flags.string({ summary: 'events with the same one arrive in order, where an endpoint asks for it', helpValue: 'KEY' }),
    'idempotency-key': Flags.string({ summary: 'your own: the same one again makes no second event', helpValue: 'KEY' }),
  }

  protected async work(): Promise<ExitCode> {
    const { tenant, key, 'idempotency-key': idempotencyKey } = this.flags
    const { type } = this.args
    refuseOwnFamily(type)
    const content = this.flags.body === undefined ? { data: jsonOf(read(this.flags.data)) } : { body: read(this.flags.body) }
    return withWebhooks(this.flags, this.config.version, async ({ engine }): Promise<ExitCode> => {
      const taken = await engine.events.take({ type, ...content, ...given({ tenant, key, idempotencyKey }) })
      this.answer(`${taken.id}  ${visible(type)}  for ${taken.deliveries} ${taken.deliveries === 1 ? 'endpoint' : 'endpoints'}${taken.replayed ? ', as before' : ''}`)
      this.emit({ ok: true, ...taken })
      return 0
    })
  }
}

const read = (text: string) => (text.startsWith('@') ? readText(text.slice(1), 'give the text itself, or a file that is there') : text)

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ResilError('BAD_FLAG', `--data is no JSON: ${visible(error instanceof Error ? error.message : String(error))}`, `write --data '{"order": 7}', or --body for other text`)
  }
}
