// Recovers what a cut left, with a sound engine on a sound disk against the bank as it then was, and judges.
//
// | word     | what it says |
// |----------|--------------|
// | refused  | the file does not open, or its ledger or anchor is broken |
// | unwritten | the bank was asked to charge, and the file does not say so: the intent was not durable |
// | lost     | a client was given an answer about a payment that is not there, or stands otherwise |
// | orphan   | the bank holds a charge that the recovered engine does not know as succeeded |
// | doubled  | the bank holds two standing charges for one order |
// | lied     | a client was told charged or not charged, and the bank knows better |
// | changed  | the key of a final answer gets another one |
// | restless | a payment does not come to rest, or its success is not notified |
// | broke    | the engine threw something else than what a disk in trouble may make it throw |
import { VirtualClock } from '../../dist/clock.js'
import { verify } from '../../dist/engines/payment/ledger.js'
import { begin, pay } from './life.js'

/** Virtual ms between the cut and the life that recovers. */
const DOWN_MS = 2000
/** Virtual ms within which everything must rest: the settle time, a lease, some backoffs, and much more. */
const REST_MS = 600_000
const AT_REST = ['succeeded', 'declined', 'released', 'voided', 'review']
/** A client that asks again gets its final answer within so many tries. */
const TRIES = 60

/** `orders` are those whose clients ask again; `life` has not been lived yet. Answers `word: what` for each violation. */
export async function judge({ db, world, life, orders }) {
  const found = world.complaints.map((complaint) => `broke: ${complaint}`)
  const clock = new VirtualClock(world.now + DOWN_MS)
  const ask = (service, request) => world.hear({ at: clock.now(), ask: service, request })
  const say = (message) => world.hear({ at: clock.now(), ...message })
  await clock.run(recover(), { untilMs: 2 * REST_MS }).catch((error) => found.push(`refused: ${error.code ?? error.stack}`))
  return found

  async function recover() {
    const { store, handle, stop } = await begin({ db, clock, life, ask, look: intents, complain: (what) => found.push(`broke: ${what}`) })
    try {
      const known = await rest(handle, [...world.told.keys()])
      for (const [order, told] of world.told) remembers(known, order, told)
      for (const { reference, amount } of world.bank.ledger.charges.filter(({ status }) => status === 'succeeded')) {
        if (known.get(reference)?.state !== 'succeeded') found.push(`orphan: ${reference} of ${amount}`)
      }
      const asked = orders.filter((order) => world.told.has(order))
      for (const order of asked) {
        const before = world.told.get(order).final
        await pay({ handle, clock, say, order, tries: TRIES })
        const { final } = world.told.get(order)
        if (!final) found.push(`restless: ${order} has no final answer`)
        else if (before && (before.status !== final.status || before.body !== final.body)) found.push(`changed: ${order} was told ${before.status} ${before.body}, then ${final.status} ${final.body}`)
      }
      await rest(handle, asked)
      for (const [order, { final }] of world.told) {
        const standing = world.charges(order).length
        if (standing > 1) found.push(`doubled: ${order} was charged ${standing} times`)
        if (final?.status === 201 && standing === 0) found.push(`lied: ${order} was told charged and is not`)
        if (final?.status === 402 && standing > 0) found.push(`lied: ${order} was told declined and is charged`)
      }
      const charged = world.bank.ledger.charges.filter(({ status }) => status === 'succeeded').length
      const { entries } = await store.transaction('verify', verify)
      if (entries !== 2 * charged) found.push(`lost: the ledger has ${entries} entries for ${charged} charges`)
    } finally {
      await stop()
      await store.close()
    }
  }

  /** Every charge request was written down before it left. */
  async function intents(tx) {
    const rows = await tx.query('SELECT bank_key FROM attempts')
    const written = new Set(rows.map(({ bank_key }) => bank_key))
    for (const key of world.keys) if (!written.has(key)) found.push(`unwritten: ${key}`)
  }

  /** Waits until every payment of the orders rests and every success was notified; answers the payments by their ids. */
  async function rest(handle, orders) {
    const restless = new Map(orders.map((order) => [order, 'asked for']))
    const known = new Map()
    for (const until = clock.monotonic() + REST_MS; clock.monotonic() < until; await clock.sleep(1000)) {
      for (const order of restless.keys()) {
        const payments = await paymentsOf(handle, order)
        for (const payment of payments) known.set(payment.payment_id, payment)
        const moving = payments.find(({ state, payment_id }) => !AT_REST.includes(state) || (state === 'succeeded' && !world.notified(payment_id)))
        if (moving) restless.set(order, moving.state)
        else restless.delete(order)
      }
      if (restless.size === 0) return known
    }
    for (const [order, state] of restless) found.push(`restless: ${order} is ${state}`)
    return known
  }

  /** What its client was told last still holds. A client that waits has been told nothing that must. */
  function remembers(known, order, { last, waiting }) {
    if (!last) return
    const { payment_id, charge_state } = JSON.parse(last.body)
    const payment = known.get(payment_id)
    if (payment_id !== undefined && !payment) found.push(`lost: ${order} was told ${last.status} about ${payment_id}, which is gone`)
    if (last.status === 201 && payment && payment.charge_state !== 'charged') found.push(`lost: ${order} was told charged, ${payment_id} is ${payment.state}`)
    if (last.status === 402 && payment && payment.state !== 'declined') found.push(`lost: ${order} was told declined, ${payment_id} is ${payment.state}`)
    if (charge_state === 'none' && !waiting && world.charges(order).length > 0) found.push(`lied: ${order} was told not charged and is`)
  }

  async function paymentsOf(handle, order) {
    const { status, body } = await handle({ method: 'GET', path: `/v1/payments?order=${order}`, headers: {}, body: '' })
    return status === 200 ? JSON.parse(body).payments : []
  }
}
