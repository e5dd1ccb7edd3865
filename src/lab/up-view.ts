/** What a watcher of a world that stays open sees: the money and the webhooks. */
import type { Event } from '../events.ts'
import * as payment from '../engines/payment/view.ts'
import * as webhook from '../engines/webhook/view.ts'

export interface UpView {
  money: payment.PaymentView
  hooks: webhook.WebhookView
}

export function empty(): UpView {
  return { money: payment.empty(), hooks: webhook.empty() }
}

/** Takes one event into `view`, which it changes and answers. */
export function fold(view: UpView, event: Event): UpView {
  webhook.fold(view.hooks, event)
  // How lanes stand comes each second: among the latest events it would leave room for nothing else.
  if (event.type !== 'lanes.observed') payment.fold(view.money, event)
  return view
}

/** What became of both, in a few sentences. */
export function story({ money, hooks }: UpView): string {
  const isQuiet = webhook.owedOf(hooks) === 0 && hooks.outages.length === 0
  return isQuiet ? payment.story(money) : `${payment.story(money)} ${webhook.story(hooks)}`
}
