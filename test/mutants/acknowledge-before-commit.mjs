/** The client is told "charged" while the outcome is still on its way to the disk. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

const COMMIT_LAG_MS = 400

class AcknowledgeFirst extends PaymentEngine {
  async finish(payment, meaning) {
    const commit = () => super.finish(payment, meaning)
    void this.clock.sleep(COMMIT_LAG_MS).then(commit)
    return { ...payment, state: meaning.kind, charge: meaning.charge ?? null, answer_status: 201, answer_body: JSON.stringify({ payment_id: payment.id, state: meaning.kind }) }
  }
}

export const createEngine = plant(AcknowledgeFirst)
