/** The charge request is written down when the bank has answered, not before it is asked. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class NoIntent extends PaymentEngine {
  async intend(payment, timeoutMs) {
    return { ...payment, state: 'sent', attempts: payment.attempts + 1, before: payment, timeoutMs }
  }

  async conclude({ before, timeoutMs }, meaning) {
    return super.conclude(await super.intend(before, timeoutMs), meaning)
  }
}

export const createEngine = plant(NoIntent)
