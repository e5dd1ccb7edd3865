/** The capture is believed to be done without being sent: the money stays held, and the customer is told that it moved. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class CaptureImagined extends PaymentEngine {
  constructor(outside, settings) {
    const { network } = outside
    let held
    const call = async (service, request, options) => {
      if (request.path === '/v1/captures') return { kind: 'ok', value: { ...held, body: held.body.replace('"authorised"', '"succeeded"') } }
      const outcome = await network.call(service, request, options)
      if (request.path === '/v1/charges' && outcome.kind === 'ok') held = outcome.value
      return outcome
    }
    super({ ...outside, network: { call } }, settings)
  }
}

export const createEngine = plant(CaptureImagined)
