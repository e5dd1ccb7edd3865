/** A key is compared, what it was first used with is not. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class NoFingerprint extends PaymentEngine {
  fingerprint() {
    return 'any'
  }
}

export const createEngine = plant(NoFingerprint)
