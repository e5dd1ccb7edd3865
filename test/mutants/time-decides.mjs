/** An outcome that stays unknown for the settle time is declared a failure, without a look-up. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class TimeDecides extends PaymentEngine {
  async resolve(payment, attempt) {
    if (payment.state === 'sent') return super.resolve(payment, attempt)
    await this.clock.sleep(this.settings.settleMs)
    return this.finish(payment, { kind: 'declined', reason: 'timed out' })
  }
}

export const createEngine = plant(TimeDecides)
