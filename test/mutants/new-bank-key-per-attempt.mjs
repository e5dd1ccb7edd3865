/** Every charge request goes out under a key of its own, so the bank cannot tell a repetition from a second payment. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class NewKeyPerAttempt extends PaymentEngine {
  async intend(payment, timeoutMs) {
    return { ...(await super.intend(payment, timeoutMs)), bank_key: this.random.id('bk') }
  }
}

export const createEngine = plant(NewKeyPerAttempt)
