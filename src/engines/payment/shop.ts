/** The clients of a scenario: shops that send payments, write down what they sent and what they were told, and ask again. */
import { createHash } from 'node:crypto'
import type { HttpRequest, Outcome, HttpResponse } from '../../network.ts'
import { ResilError } from '../../errors.ts'
import { parseJson } from '../../network.ts'
import type { World } from '../../scenario.ts'
import type { PaymentAdapter, PayOrder, Told, ToldOfRefund } from './adapter.ts'

export const GOOD_CARD = '4242424242424242'

/** How long a client waits for an answer unless it says otherwise: longer than the service's promise, so that a late answer is seen to be late. */
const PATIENCE_MS = 1500

/** Between two questions of a client that has not been told yet: it grows from the first to the second, ms. */
/** How long a customer looks for the payment that he wants undone. */
const FINDS_WITHIN_MS = 5000
const ASK_FROM_MS = 250
const ASK_TO_MS = 4000

/** What a final answer is: after it a client stops asking. */
const FINAL: readonly string[] = ['charged', 'authorised', 'declined', 'review', 'refunded', 'refused'] satisfies (Told['told'] | ToldOfRefund['told'])[]

/** How one question is asked out of the ordinary. */
export interface AskOptions {
  /** The body differs from the key's first one, on purpose. */
  changed?: boolean
  node?: string
  /** Ms after which the client leaves without an answer. */
  patienceMs?: number
  /** The request as it is really sent. */
  edit?(request: HttpRequest): HttpRequest
}

export interface Reply extends Told {
  outcome: Outcome<HttpResponse>['kind']
  status: number
  /** From the question to the answer, or until the client gave up. */
  ms: number
  /** When the answer asks the client to come again; null when it does not. */
  retryAfterMs: number | null
}

/** A question with further headers. */
export function headed(headers: Record<string, string>): AskOptions {
  return { edit: (request) => ({ ...request, headers: { ...request.headers, ...headers } }) }
}

/** A payment whose payer agrees to be charged later, and told by mail, when it cannot be done now. In the words of our own face. */
export function consenting(email: string): AskOptions {
  return { edit: (request) => ({ ...request, body: JSON.stringify({ ...(parseJson(request.body) as object), charge_later: { email } }) }) }
}

/** Money that somebody wants back, minor units; null for all that is left. */
export interface Wish {
  key: string
  amount: number | null
}

/** What a shop needs of a world. */
export type Street = Pick<World<PaymentAdapter>, 'adapter' | 'clock' | 'log' | 'options' | 'random' | 'send'>

export class Shop {
  readonly #world: Street
  readonly #orders: PayOrder[] = []
  /** The latest payment id that the service gave for an order. */
  readonly #payments = new Map<string, string>()

  constructor(world: Street) {
    this.#world = world
  }

  /** A new order with a key of its own. Amounts differ from order to order unless the price is given, so that a bank's ledger tells them apart. */
  order(card = GOOD_CARD, price: Partial<Pick<PayOrder, 'amount' | 'currency'>> = {}): PayOrder {
    const n = this.#orders.length
    const order = { order: `order-${n + 1}`, key: this.#world.random.id('key'), amount: this.#world.options.amountMinor + n * 100, currency: this.#world.options.currency, card, ...price }
    this.#orders.push(order)
    return order
  }

  /** All orders so far. */
  get orders(): readonly PayOrder[] {
    return this.#orders
  }

  /** Another key for the same order: what a client does that lost its key. */
  rekeyed(order: PayOrder): PayOrder {
    return { ...order, key: this.#world.random.id('key') }
  }

  /** Sends the payment once. `as` names the client. */
  pay(order: PayOrder, as = 'client', options: AskOptions = {}): Promise<Reply> {
    return this.#tell('pay', order, as, this.#world.adapter.pay(order), options)
  }

  /** Asks where the payment of the order stands; by the same key when the service has no other way. */
  ask(order: PayOrder, as = 'client', options: AskOptions = {}): Promise<Reply> {
    const request = this.#world.adapter.status(order, this.#payments.get(order.order) ?? null)
    return request ? this.#tell('status', order, as, request, options) : this.pay(order, as, options)
  }

  /** Pays, then pays again with the same key until told something final, at most `withinMs`. What a well-behaved client does. */
  async payUntilTold(order: PayOrder, as = 'client', withinMs = 60_000, options: AskOptions = {}): Promise<Reply> {
    return this.#untilFinal(() => this.pay(order, as, options), withinMs)
  }

  /** Asks until told something final about the order, at most `withinMs`. */
  async askUntilTold(order: PayOrder, as = 'client', withinMs = 60_000, options: AskOptions = {}): Promise<Reply> {
    return this.#untilFinal(() => this.ask(order, as, options), withinMs)
  }

  /** Asks once for money back, `amount` null for all that is left. Its key is the wish's: the same for every question about it. */
  async refund(order: PayOrder, wish: Wish, as = 'customer', node?: string): Promise<ToldOfRefund> {
    const { log, clock, adapter } = this.#world
    const payment = this.#payments.get(order.order)
    if (!adapter.refund || !adapter.readRefund) throw new ResilError('FACE_LACKS_REFUNDS', 'how the service wants to be asked for money back is not known', 'choose another scenario')
    if (payment === undefined) throw new ResilError('NO_SUCH_PAYMENT', `nobody was told the payment of ${order.order}`, 'pay first')
    const said = { client: as, key: wish.key, order: order.order, payment, currency: order.currency }
    log.emit('refund.asked', { ...said, amount: wish.amount })
    const start = clock.monotonic()
    const outcome = await this.#world.send(adapter.refund(payment, wish.key, wish.amount), { timeoutMs: adapter.deadlineMs + PATIENCE_MS, node })
    const told: ToldOfRefund = outcome.kind === 'ok' ? adapter.readRefund(outcome.value) : { told: 'nothing', amount: null }
    log.emit('refund.told', { ...said, ...told, status: outcome.kind === 'ok' ? outcome.value.status : 0, ms: Math.round((clock.monotonic() - start) * 10) / 10 })
    return told
  }

  /** A wish for money back, with a key of its own. */
  wish(amount: number | null): Wish {
    return { key: this.#world.random.id('key'), amount }
  }

  /** Asks by the same key until told something final, at most `withinMs`. */
  refundUntilTold(order: PayOrder, wish: Wish, as = 'customer', withinMs = 60_000): Promise<ToldOfRefund> {
    return this.#untilFinal(() => this.refund(order, wish, as), withinMs)
  }

  /** Wants the payment undone, whatever comes of it. Answers the status, 0 when there was no answer, or when there is no payment that one could ask about. */
  async cancel(order: PayOrder, as = 'customer'): Promise<number> {
    const { log, adapter } = this.#world
    if (!adapter.cancel) throw new ResilError('FACE_LACKS_CANCEL', 'how the service wants to be told that a payment shall be undone is not known', 'choose another scenario')
    if (!this.#payments.has(order.order)) await this.#untilKnown(order, as)
    const payment = this.#payments.get(order.order)
    if (payment === undefined) return 0
    const outcome = await this.#world.send(adapter.cancel(payment), { timeoutMs: adapter.deadlineMs + PATIENCE_MS })
    const status = outcome.kind === 'ok' ? outcome.value.status : 0
    log.emit('cancel.told', { client: as, order: order.order, payment, status })
    return status
  }

  /** Asks until the payment has a name, at most FINDS_WITHIN_MS: a node that has just died may not answer. */
  async #untilKnown(order: PayOrder, as: string): Promise<void> {
    const { clock } = this.#world
    const end = clock.monotonic() + FINDS_WITHIN_MS
    for (let told = await this.ask(order, as); told.told === 'nothing' && clock.monotonic() < end; told = await this.ask(order, as)) await clock.sleep(ASK_FROM_MS)
  }

  async #untilFinal<R extends { told: string }>(ask: () => Promise<R>, withinMs: number): Promise<R> {
    const { clock } = this.#world
    const end = clock.monotonic() + withinMs
    for (let wait = ASK_FROM_MS; ; wait = Math.min(ASK_TO_MS, wait * 2)) {
      const reply = await ask()
      if (FINAL.includes(reply.told) || clock.monotonic() + wait > end) return reply
      await clock.sleep(wait)
    }
  }

  async #tell(ask: 'pay' | 'status', order: PayOrder, client: string, request: HttpRequest, options: AskOptions): Promise<Reply> {
    const { log, clock, adapter } = this.#world
    const said = { client, ask, key: order.key, order: order.order, amount: order.amount, currency: order.currency, changed: options.changed ?? false }
    log.emit('client.sent', said)
    const start = clock.monotonic()
    const outcome = await this.#world.send(options.edit?.(request) ?? request, { timeoutMs: options.patienceMs ?? adapter.deadlineMs + PATIENCE_MS, node: options.node })
    const ms = Math.round((clock.monotonic() - start) * 10) / 10
    if (outcome.kind !== 'ok') {
      log.emit('client.told', { ...said, outcome: outcome.kind, status: 0, told: 'nothing', payment: null, digest: null, replayed: false, safeNewKey: null, why: outcome.error.code, ms })
      return { outcome: outcome.kind, status: 0, told: 'nothing', payment: null, safeNewKey: null, ms, retryAfterMs: null }
    }
    const { status, headers, body } = outcome.value
    const told = adapter.read(outcome.value)
    if (told.payment !== null) this.#payments.set(order.order, told.payment)
    const digest = createHash('sha256').update(body).digest('hex').slice(0, 16)
    log.emit('client.told', { ...said, outcome: 'ok', status, ...told, digest, replayed: headers['idempotent-replayed'] === 'true', ms })
    const retryAfter = headers['retry-after']
    return { outcome: 'ok', status, ...told, ms, retryAfterMs: retryAfter === undefined ? null : Number(retryAfter) * 1000 }
  }
}
