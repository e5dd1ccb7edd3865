/** The ledger lets its entries be changed. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

export const createEngine = plant(PaymentEngine, 'DROP TRIGGER ledger_refuses_update')
