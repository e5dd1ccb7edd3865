/** The receipt lives in memory only: whoever dies before it is sent has forgotten it. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class NoOutbox extends PaymentEngine {
  async finish(payment, meaning) {
    const done = await super.finish(payment, meaning)
    await this.store.transaction('forget', (tx) => tx.query('DELETE FROM outbox WHERE payment = :id', { id: payment.id }))
    return done
  }
}

export const createEngine = plant(NoOutbox)
