/** What operators do to a store, beside the engine that may be running on it: every deed is written down with who did it and why. */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Random } from '../../random.ts'
import type { Store, Tx } from '../store/store.ts'
import type { Payment } from './http.ts'
import { finalAnswer } from './http.ts'
import { append } from './ledger.ts'
import { endAttempt, keepEvidence, move } from './records.ts'

export interface Deed {
  who: string
  why: string
}

/** States in which only a person, or the bank, can say what happened. */
const IN_DOUBT = ['unknown', 'review']

/**
 * Ends a payment that is in doubt as a person has found it to be. `charged` books it, owes the customer a word, and keeps the bank's id of the charge;
 * `not-charged` ends it without: whoever says so has looked at the bank. Throws NO_SUCH_PAYMENT, NOT_IN_DOUBT, CHARGE_MISSING.
 */
export async function resolvePayment(store: Store, clock: Clock, random: Random, id: string, as: { kind: 'charged'; charge: string } | { kind: 'not-charged' }, { who, why }: Deed): Promise<Payment> {
  const now = clock.now()
  return store.transaction('operator', async (tx) => {
    const [payment] = await tx.query<Payment>('SELECT * FROM payments WHERE id = :id', { id })
    if (!payment) throw new ResilError('NO_SUCH_PAYMENT', `there is no payment ${id}`, 'resil pay list shows those that there are')
    if (!IN_DOUBT.includes(payment.state)) throw new ResilError('NOT_IN_DOUBT', `${id} is ${payment.state}; nobody has to decide about it`, 'only payments in state unknown or review are resolved by hand')
    const to = as.kind === 'charged' ? 'succeeded' : 'voided'
    const charge = as.kind === 'charged' ? as.charge : null
    const answer = finalAnswer({ ...payment, charge, state: to })
    const moved = await move(tx, payment, to, { charge, reason: `operator ${who}: ${why}`, card: null, epoch: payment.epoch + 1, answer_status: answer.status, answer_body: answer.body, finished_at: now }, now)
    await endAttempt(tx, payment, to, now, `operator ${who}`)
    if (as.kind === 'charged') {
      await append(tx, [
        { payment: id, account: `customer:${payment.order_ref}`, amount: -payment.amount, currency: payment.currency },
        { payment: id, account: 'merchant', amount: payment.amount, currency: payment.currency },
      ], now)
      const word = random.id('evt')
      await tx.query("INSERT INTO outbox (id, payment, body, state, attempts, due_at, lease_until) VALUES (:word, :id, :body, 'ready', 0, :now, :now)", {
        word,
        id,
        body: JSON.stringify({ id: word, type: 'payment.succeeded', payment: id, order: payment.order_ref, amount: payment.amount, currency: payment.currency }),
        now,
      })
    }
    await keepEvidence(tx, id, moved.epoch, `operator ${who}: ${as.kind}${charge === null ? '' : ` by ${charge}`}: ${why}`, now)
    await audit(tx, now, who, `resolve as ${as.kind}`, id, why)
    return moved
  })
}

export type Forced = 'open' | 'closed' | 'disabled' | 'metrics_only'

/** What breakers the store knows: what the nodes last wrote of each, and what an operator forced. */
export function listBreakers(store: Store): Promise<{ name: string; snapshot: string | null; forced: Forced | null; updated_at: number }[]> {
  return store.transaction('breakers', (tx) => tx.query('SELECT name, snapshot, forced, updated_at FROM breakers ORDER BY name'))
}

/** Forces a breaker, or with null lets it judge by itself again. The nodes see it at their next sweep. */
export async function forceBreaker(store: Store, clock: Clock, name: string, forced: Forced | null, { who, why }: Deed): Promise<void> {
  const now = clock.now()
  await store.transaction('operator', async (tx) => {
    await tx.query('INSERT INTO breakers (name, forced, updated_at) VALUES (:name, :forced, :now) ON CONFLICT (name) DO UPDATE SET forced = :forced, updated_at = :now', { name, forced, now })
    await audit(tx, now, who, `breaker ${forced ?? 'released'}`, name, why)
  })
}

async function audit(tx: Tx, at: number, who: string, what: string, subject: string, why: string): Promise<void> {
  await tx.query('INSERT INTO audits (at, who, what, subject, why) VALUES (:at, :who, :what, :subject, :why)', { at, who, what, subject, why })
}
