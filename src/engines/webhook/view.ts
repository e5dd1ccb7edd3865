/** What a watcher should see of webhooks. Pure. */
import type { Event } from '../../events.ts'

export interface WebhookView {
  accepted: number
  delivered: number
  requests: number
  died: number
}

export function empty(): WebhookView {
  return { accepted: 0, delivered: 0, requests: 0, died: 0 }
}

export function fold(view: WebhookView, event: Event): WebhookView {
  switch (event.type) {
    case 'event.accepted':
      return { ...view, accepted: view.accepted + event['deliveries'] }
    case 'customer.received':
      return { ...view, requests: view.requests + 1, delivered: view.delivered + (event['processed'] ? 1 : 0) }
    case 'delivery.died':
      return { ...view, died: view.died + 1 }
    case 'deliveries.aged':
      return { ...view, died: view.died + event['deliveries'] }
    default:
      return view
  }
}

export function story({ accepted, delivered, requests, died }: WebhookView): string {
  const each = delivered === 0 ? '' : `, ${(requests / delivered).toFixed(2)} requests each`
  return `${accepted} webhooks were owed, ${delivered} arrived${each}${died === 0 ? '' : `, ${died} are in the dead letter queue`}.`
}
