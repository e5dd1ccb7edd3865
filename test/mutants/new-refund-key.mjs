/** Every refund request goes out under a key of its own: what was given back once is given back again. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class NewRefundKey extends PaymentEngine {
  constructor(outside, settings) {
    const { network, random } = outside
    const rekeyed = (request) => (request.path === '/v1/refunds' ? { ...request, headers: { ...request.headers, 'idempotency-key': random.id('bk') } } : request)
    super({ ...outside, network: { call: (service, request, options) => network.call(service, rekeyed(request), options) } }, settings)
  }
}

export const createEngine = plant(NewRefundKey)
