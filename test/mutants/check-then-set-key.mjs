/** Looks whether the key is known in one transaction and writes it in another; nothing in the store forbids two. */
import { PaymentEngine } from '../../dist/engines/payment/engine.js'
import { plant } from './plant.mjs'

class CheckThenSet extends PaymentEngine {
  async claim(scope, key, fingerprint, asked) {
    const [known] = await this.store.transaction('check', (tx) => tx.query('SELECT * FROM payments WHERE scope = :scope AND key = :key', { scope, key }))
    if (known && known.state !== 'released') return { kind: known.fingerprint === fingerprint ? 'same' : 'reused', payment: known }
    return super.claim(scope, key, fingerprint, asked)
  }
}

export const createEngine = plant(CheckThenSet, 'DROP INDEX IF EXISTS payments_key; DROP INDEX IF EXISTS payments_live_order')
