/** Sends the same bank key again however long ago it was first used; the bank has forgotten it by then. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class KeyOutlived extends PaymentEngine {
  constructor(outside, settings) {
    super(outside, { ...settings, resendHorizonMs: 1e12, bankKeyLifetimeMs: 1e13, keyLifetimeMs: 1e14 })
  }
}

export const createEngine = plant(KeyOutlived)
