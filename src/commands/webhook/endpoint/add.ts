import { Args, Flags } from '@oclif/core'
import { ResilError } from '../../../errors.ts'
import type { NewEndpoint, Ordering } from '../../../engines/webhook/endpoints.ts'
import type { Demand } from '../../../engines/webhook/meaning.ts'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { duration, integer } from '../../flags.ts'
import { endpointFacts, endpointLines, given as onlyGiven, localFlags, withWebhooks } from '../../webhook-flags.ts'

export default class WebhookEndpointAdd extends BaseCommand<typeof WebhookEndpointAdd> {
  static override summary = 'a new endpoint; its secret is shown once, here'
  static override description = 'It is told of the types given, of all but resil.* when none is. The receiver verifies with the secret: docs/receiving-webhooks.md. Endpoints may be added while the service runs.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> https://customer.example/webhooks --type "order.*" --type refund.issued',
    '<%= config.bin %> <%= command.id %> http://127.0.0.1:4006/hook --plain-http --order key --rate 50',
  ]
  static override args = { url: Args.string({ description: 'where it listens', required: true }) }
  static override flags = {
    ...localFlags,
    'type': Flags.string({ summary: 'type of event: order.created, order.*, *; may be given several times', multiple: true, helpValue: 'TYPE' }),
    'tenant': Flags.string({ summary: 'whose endpoint it is: events of others never reach it', helpValue: 'NAME' }),
    'description': Flags.string({ summary: 'for people', helpValue: 'TEXT' }),
    'order': Flags.string({ summary: 'what arrives one after another: nothing, events with the same key, all', options: ['none', 'key', 'fifo'], default: 'none' }),
    'rate': integer({ summary: 'at most so many a second, evenly', min: 1, max: 10_000 }),
    'concurrency': integer({ summary: 'at most so many at a time', min: 1, max: 64 }),
    'deadline': duration({ summary: 'one attempt, 100ms to 30s' }),
    'weight': integer({ summary: 'its turns when the node is full, 1 to 100', min: 1, max: 100 }),
    'header': Flags.string({ summary: 'NAME: VALUE that goes with each request; may be given several times', multiple: true, helpValue: 'HEADER' }),
    'signature': Flags.string({ summary: 'v1 (HMAC) or v1a (ed25519)', options: ['v1', 'v1a'], default: 'v1' }),
    'receipts': Flags.boolean({ summary: 'an answer counts only with a signed receipt' }),
    'stripe-signature': Flags.boolean({ summary: "a stripe-signature as well, for receivers that verify with Stripe's SDK" }),
    'ack': duration({ summary: 'it may answer "later", and acknowledges within this' }),
  }

  protected async work(): Promise<ExitCode> {
    const { type, tenant, description, order, rate, concurrency, deadline, weight, header, receipts, ack } = this.flags
    const demand: Demand = receipts ? { receipt: true } : {}
    const given: NewEndpoint = {
      url: this.args.url,
      ordering: order as Ordering,
      signature: this.flags.signature as 'v1' | 'v1a',
      demand,
      headers: headersOf(header ?? []),
      ...onlyGiven({ patterns: type, tenant, description, perSecond: rate, places: concurrency, deadlineMs: deadline, weight, ackMs: ack }),
      ...(this.flags['stripe-signature'] ? { stripeSignature: true } : {}),
    }
    return withWebhooks(this.flags, this.config.version, async ({ engine }): Promise<ExitCode> => {
      const { endpoint, secret } = await engine.endpoints.add(given)
      this.reveal([...endpointLines(endpoint), `  secret     ${secret}   (shown this once)`].join('\n'), { ok: true, ...endpointFacts(endpoint), secret })
      return 0
    }, { creates: true })
  }
}

function headersOf(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      if (colon < 1) throw new ResilError('BAD_FLAG', '--header is no header', "write --header 'X-Team: payments'")
      return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()]
    }),
  )
}
