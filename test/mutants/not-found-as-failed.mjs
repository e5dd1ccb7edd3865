/** "The bank does not know the key" is taken for "the bank never will": there is no settle time. */
import { lookupRequest } from '../../dist/engines/payment/bank.js'
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class NotFoundAsFailed extends PaymentEngine {
  async conclude(payment, meaning) {
    if (meaning.kind !== 'unknown') return super.conclude(payment, meaning)
    const found = await this.network.call('bank', lookupRequest(payment.id, 500), { timeoutMs: 500 })
    const none = found.kind === 'ok' && JSON.parse(found.value.body).charges?.length === 0
    return super.conclude(payment, none ? { kind: 'not_applied', why: 'not found', ours: false } : meaning)
  }
}

export const createEngine = plant(NotFoundAsFailed)
