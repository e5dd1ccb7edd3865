/** A timeout or a reset counts as "it did not happen". */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class UnknownAsFailed extends PaymentEngine {
  constructor(outside, settings) {
    super(outside, { ...settings, tries: 1 })
  }

  meaning(payment, outcome) {
    const meaning = super.meaning(payment, outcome)
    return meaning.kind === 'unknown' ? { kind: 'not_applied', why: meaning.why, ours: false } : meaning
  }
}

export const createEngine = plant(UnknownAsFailed)
