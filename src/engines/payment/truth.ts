/** The bank's ledger as the boundary events tell it, order by order: what the payment invariants have in common. */
import type { Event } from '../../events.ts'

export interface Charge {
  charge: string
  amount: number
  currency: string
  /** Given back or voided. */
  undone: boolean
  seq: number
  t: number
}

export interface OrderTruth {
  order: string
  /** Amounts that a client asked for under this order, as `amount currency`; a changed body is not one of them. */
  asked: Set<string>
  charges: Charge[]
}

/** Follows client.sent and the bank's events. Feed it every event first, then ask. */
export class Truth {
  readonly orders = new Map<string, OrderTruth>()
  /** Charges that belong to no order. */
  readonly stray: Charge[] = []
  /** Charge requests that reached the bank. */
  requests = 0
  readonly #charges = new Map<string, Charge>()
  /** Orders under which an amount was asked for, as `amount currency`: a storm has thousands of orders. */
  readonly #byAmount = new Map<string, Set<OrderTruth>>()
  /** Which order a bank reference was seen to belong to. */
  readonly #references = new Map<string, string>()

  /** Takes one event; answers the order that a bank.charged belongs to. */
  on(event: Event): OrderTruth | undefined {
    switch (event.type) {
      case 'client.sent':
        if (!event['changed']) this.#ask(this.#order(event['order']), `${event['amount']} ${event['currency']}`)
        return undefined
      case 'client.told':
        if (event['payment']) this.#references.set(event['payment'], event['order'])
        return undefined
      case 'bank.received':
        if (event['ask'] === 'charge') this.requests++
        return undefined
      case 'bank.charged': {
        const charge: Charge = { charge: event['charge'], amount: event['amount'], currency: event['currency'], undone: false, seq: event.seq, t: event.t }
        this.#charges.set(charge.charge, charge)
        const order = this.#belongs(event)
        if (order) order.charges.push(charge)
        else this.stray.push(charge)
        return order
      }
      case 'bank.refunded':
      case 'bank.voided': {
        const charge = this.#charges.get(event['charge'])
        if (charge) charge.undone = true
        return undefined
      }
      default:
        return undefined
    }
  }

  live(order: string): Charge[] {
    return this.orders.get(order)?.charges.filter((charge) => !charge.undone) ?? []
  }

  #ask(order: OrderTruth, amount: string): void {
    order.asked.add(amount)
    let orders = this.#byAmount.get(amount)
    if (!orders) this.#byAmount.set(amount, (orders = new Set()))
    orders.add(order)
  }

  #order(name: string): OrderTruth {
    let order = this.orders.get(name)
    if (!order) {
      order = { order: name, asked: new Set(), charges: [] }
      this.orders.set(name, order)
    }
    return order
  }

  /** By the reference when it names an order or a payment that a client was told of; else by the amount, which differs from order to order; else the only order there is. */
  #belongs(event: Event): OrderTruth | undefined {
    const reference = String(event['reference'] ?? '')
    const named = this.orders.get(this.#references.get(reference) ?? reference)
    if (named) return named
    const amount = `${event['amount']} ${event['currency']}`
    const byAmount = this.#byAmount.get(amount)
    if (byAmount?.size === 1) return [...byAmount][0]
    return this.orders.size === 1 ? [...this.orders.values()][0] : undefined
  }
}

export function money(amount: number, currency: string): string {
  const digits = new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2
  return new Intl.NumberFormat('en', { style: 'currency', currency }).format(amount / 10 ** digits)
}

export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}
