/** Nobody looks for what a dead life left behind. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class NoRecovery extends PaymentEngine {
  constructor(outside, settings) {
    const { store } = outside
    super({ ...outside, store: { insideTransaction: false, transaction: (name, work) => (name === 'sweep' ? Promise.resolve({ abandoned: [], dropped: [], queued: [], refunds: [], owed: [], breakers: [] }) : store.transaction(name, work)) } }, settings)
  }
}

export const createEngine = plant(NoRecovery)
