/** The customer is congratulated before the bank was asked. */
import { post } from '../../dist/engines/payment/bank.js'
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class NotifyFirst extends PaymentEngine {
  async intend(payment, timeoutMs) {
    const id = this.random.id('evt')
    await this.network.call('notification', post('/v1/notifications', id, 1000, { id, payment: payment.id, order: payment.order_ref, amount: payment.amount, currency: payment.currency }), { timeoutMs: 1000 })
    return super.intend(payment, timeoutMs)
  }
}

export const createEngine = plant(NotifyFirst)
