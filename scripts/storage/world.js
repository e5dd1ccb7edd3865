// What stands outside of the process that is cut: bank, fraud and notification, which remember what they did; and what the clients were told.
// Everything that crosses the boundary is one line (a message), so that the world as it was at any moment is made again by telling a new one the same lines.
import { bank } from '../../dist/proxy/mocks/bank.js'
import { fraud } from '../../dist/proxy/mocks/fraud.js'
import { notification } from '../../dist/proxy/mocks/notification.js'
import { silentLog } from '../../dist/events.js'
import { Random } from '../../dist/random.js'

/** Each order has an amount of its own: by it a charge is known, whatever became of the payment. */
export const amountOf = (order) => 1000 + Number(order.slice(order.lastIndexOf('-') + 1))

export class World {
  /** Wall ms of the life that speaks. */
  now = 0
  /** By order: what its client was told last, and what it was told for good. */
  told = new Map()
  /** Keys of the charge requests that the bank has heard. */
  keys = new Set()
  /** What a life said of itself when it went wrong. */
  complaints = []
  /** The code with which the store refused to open for a life that was to be cut. */
  refused = undefined
  #services

  constructor() {
    const clock = { now: () => this.now, monotonic: () => this.now }
    const setup = { clock, random: Random.seeded('world'), log: silentLog, latency: { p50: 0, p99: 0 } }
    this.bank = bank(setup)
    this.notification = notification(setup)
    this.#services = { bank: this.bank, fraud: fraud(setup), notification: this.notification }
  }

  /** Takes a message; the answer is for the messages that ask. */
  async hear(message) {
    this.now = message.at
    if (message.request?.path === '/v1/charges') this.keys.add(message.request.headers['idempotency-key'])
    if (message.ask) return this.#services[message.ask].handle(message.request).catch(({ code }) => ({ cut: code }))
    if (message.sent) this.#of(message.sent).waiting = true
    if (message.answered) {
      const order = this.#of(message.answered)
      order.waiting = false
      order.last = message.response
      if ([201, 402].includes(message.response.status)) order.final = message.response
    }
    if (message.lie) this.bank.lie({ times: 1, after: 0, ms: 0, ...message.lie })
    if (message.refused) this.refused = message.refused
    if (message.complaint) this.complaints.push(message.complaint)
    return undefined
  }

  /** Standing charges of an order. */
  charges(order) {
    return this.bank.ledger.charges.filter(({ amount, status }) => amount === amountOf(order) && status === 'succeeded')
  }

  /** Whether the customer heard of the payment, by its id. */
  notified(payment) {
    return this.notification.ledger.notifications.some((note) => note.payment === payment)
  }

  /** Answers that a client has got: what must never be forgotten. */
  get acknowledged() {
    return [...this.told.values()].filter(({ last }) => last && last.status !== 503).length
  }

  #of(order) {
    if (!this.told.has(order)) this.told.set(order, { waiting: false })
    return this.told.get(order)
  }
}
