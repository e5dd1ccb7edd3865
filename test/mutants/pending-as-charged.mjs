/** "Not known yet" is told as "charged": it will probably be true. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class PendingAsCharged extends PaymentEngine {
  constructor(outside, settings) {
    super(outside, settings)
    const honest = this.handle
    this.handle = async (request) => {
      const answer = await honest(request)
      return answer.status === 202 ? { ...answer, status: 201, body: answer.body.replace(/"state":"\w+"/, '"state":"succeeded"') } : answer
    }
  }
}

export const createEngine = plant(PendingAsCharged)
