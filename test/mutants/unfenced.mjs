/** A life that has lost its payment writes on: no state is compared and no epoch. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

const GUARD = ' AND epoch = :wasEpoch AND state = :wasState'

class Unfenced extends PaymentEngine {
  constructor(outside, settings) {
    const { store } = outside
    const unguarded = (tx) => ({
      query: (sql, params = {}) => {
        if (!sql.includes(GUARD)) return tx.query(sql, params)
        const { wasEpoch, wasState, ...rest } = params
        return tx.query(sql.replace(GUARD, ''), rest)
      },
    })
    super({ ...outside, store: { insideTransaction: false, transaction: (name, work) => store.transaction(name, (tx) => work(unguarded(tx))) } }, settings)
  }
}

export const createEngine = plant(Unfenced)
