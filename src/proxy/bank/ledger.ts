/**
 * What really happened to the money: the one thing that both faces of the bank write to.
 *
 *   authorised ──▶ succeeded ──▶ voided            declined: from the start, for ever
 *        └───────▶ voided, expired                 refunds hang on what was captured
 *
 * Each effect is one synchronous step, so two that come at once are one after the other: no refund, capture or void sees half of another.
 */
import type { Clock } from '../../clock.ts'
import type { Log } from '../../events.ts'
import type { Random } from '../../random.ts'
import { last4 } from '../mock.ts'

export interface Charge {
  id: string
  status: 'authorised' | 'succeeded' | 'declined' | 'voided' | 'expired'
  reason: string | null
  /** What was asked for: authorised, or captured at once. */
  amount: number
  /** What moved, before refunds; 0 while authorised, and for a decline. */
  captured: number
  currency: string
  reference: string
  key: string | null
  last4: string | null
  /** Sum of its refunds. */
  refunded: number
  /** ms since 1970, the bank's clock. */
  at: number
}

export interface Refund {
  id: string
  status: 'succeeded'
  charge: string
  reference: string
  amount: number
  key: string | null
  at: number
}

export interface Void {
  reference: string
  /** Ids of the charges that it gave back, and of the authorisations that it let go. */
  charges: string[]
  at: number
}

export interface ChargeAsked {
  amount: number
  currency: string
  reference: string
  card: string
  /** False to authorise only. */
  capture: boolean
}

/** Why nothing was done. */
export type Refusal =
  | { refused: 'voided' | 'no_such_charge' }
  | { refused: 'not_capturable' | 'not_refundable'; status: Charge['status'] }
  | { refused: 'amount_too_large'; left: number }

/** What the bank tells the world about, in its own words. */
export type Happening = 'charge.authorised' | 'charge.succeeded' | 'charge.declined' | 'charge.captured' | 'charge.voided' | 'charge.expired' | 'refund.succeeded'

/** Stripe's published test cards, and the tokens that stand for them; every other card is good. */
const DECLINES = new Map([
  ['4000000000000002', 'generic_decline'],
  ['4000000000009995', 'insufficient_funds'],
  ['4000000000000069', 'expired_card'],
  ['tok_chargeDeclined', 'generic_decline'],
  ['tok_chargeDeclinedInsufficientFunds', 'insufficient_funds'],
  ['tok_chargeDeclinedExpiredCard', 'expired_card'],
  ['pm_card_chargeDeclined', 'generic_decline'],
  ['pm_card_visa_chargeDeclined', 'generic_decline'],
  ['pm_card_chargeDeclinedInsufficientFunds', 'insufficient_funds'],
  ['pm_card_visa_chargeDeclinedInsufficientFunds', 'insufficient_funds'],
  ['pm_card_chargeDeclinedExpiredCard', 'expired_card'],
])

export const declines = (card: string): boolean => DECLINES.has(card)

/** How long an authorisation waits for its capture: Stripe's seven days for cards. */
export const AUTHORISATION_MS = 7 * 24 * 3_600_000

export interface LedgerSetup {
  clock: Clock
  ids: Random
  log: Log
  /** Told of every effect at once, with what it made. */
  tell: (what: Happening, made: Charge | Refund) => void
}

export class Ledger {
  readonly charges: Charge[] = []
  /** Those that began as an authorisation, whatever became of them; what was captured is among the charges too. */
  readonly authorisations: Charge[] = []
  readonly refunds: Refund[] = []
  readonly voids: Void[] = []
  readonly declines: Charge[] = []

  readonly #setup: LedgerSetup
  /** Charges of every status in the order of their making, and where in it each is. */
  readonly #all: Charge[] = []
  readonly #places = new Map<string, number>()
  readonly #byReference = new Map<string, Charge[]>()
  readonly #refundsOf = new Map<string, Refund[]>()
  readonly #refundById = new Map<string, Refund>()
  readonly #doors = new Map<string, Void>()
  /** How many authorisations are known to be past their time. */
  #expired = 0

  constructor(setup: LedgerSetup) {
    this.#setup = setup
  }

  isShut(reference: string): boolean {
    return this.#doors.has(reference)
  }

  find(id: string): Charge | undefined {
    this.#expire()
    const place = this.#places.get(id)
    return place === undefined ? undefined : this.#all[place]
  }

  withReference(reference: string): readonly Charge[] {
    this.#expire()
    return this.#byReference.get(reference) ?? []
  }

  findRefund(id: string): Refund | undefined {
    return this.#refundById.get(id)
  }

  refundsOf(charge: string): readonly Refund[] {
    return this.#refundsOf.get(charge) ?? []
  }

  /** Charges of every status made in [sinceMs, untilMs), behind the one called `after`, oldest first, at most `limit`; and whether there are more. */
  page({ sinceMs, untilMs, after, limit }: { sinceMs: number; untilMs: number; after: string | null; limit: number }): { charges: Charge[]; more: boolean } {
    this.#expire()
    const behind = after === null ? 0 : (this.#places.get(after) ?? this.#all.length - 1) + 1
    const from = Math.max(behind, this.#firstAt(sinceMs))
    const end = this.#firstAt(untilMs)
    return { charges: this.#all.slice(from, Math.min(end, from + limit)), more: from + limit < end }
  }

  /** All of them, oldest first. */
  get all(): readonly Charge[] {
    this.#expire()
    return this.#all
  }

  /** The door is looked at here, so that a void also stops an original that is still on its way. */
  charge({ amount, currency, reference, card, capture }: ChargeAsked, key: string | null): Charge | Refusal {
    const { clock, ids, log, tell } = this.#setup
    if (this.#doors.has(reference)) return { refused: 'voided' }
    const reason = DECLINES.get(card) ?? null
    const status = reason !== null ? 'declined' : capture ? 'succeeded' : 'authorised'
    const made: Charge = {
      id: ids.id('ch'), status, reason, amount, captured: status === 'succeeded' ? amount : 0, currency, reference, key, last4: last4(card), refunded: 0, at: clock.now(),
    }
    this.#places.set(made.id, this.#all.length)
    this.#all.push(made)
    append(this.#byReference, reference, made)
    if (status === 'declined') {
      this.declines.push(made)
      log.emit('bank.declined', { key, reference, amount, currency, reason })
      tell('charge.declined', made)
    } else if (status === 'authorised') {
      this.authorisations.push(made)
      log.emit('bank.authorised', { charge: made.id, key, reference, amount, currency })
      tell('charge.authorised', made)
    } else {
      this.charges.push(made)
      log.emit('bank.charged', { charge: made.id, key, reference, amount, currency })
      tell('charge.succeeded', made)
    }
    return made
  }

  /** Moves the money of an authorisation, once; what is not captured is let go. `amount` undefined takes all of it. */
  capture(id: string, amount: number | undefined, key: string | null): Charge | Refusal {
    const made = this.find(id)
    if (!made) return { refused: 'no_such_charge' }
    if (made.status !== 'authorised') return { refused: 'not_capturable', status: made.status }
    const captured = amount ?? made.amount
    if (captured > made.amount) return { refused: 'amount_too_large', left: made.amount }
    made.status = 'succeeded'
    made.captured = captured
    this.charges.push(made)
    this.#setup.log.emit('bank.charged', { charge: made.id, key, reference: made.reference, amount: captured, currency: made.currency })
    this.#setup.tell('charge.captured', made)
    return made
  }

  /** `amount` undefined gives back what is left. */
  refund(id: string, amount: number | undefined, key: string | null): Refund | Refusal {
    const original = this.find(id)
    if (!original) return { refused: 'no_such_charge' }
    if (original.status !== 'succeeded') return { refused: 'not_refundable', status: original.status }
    const left = original.captured - original.refunded
    const given = amount ?? left
    if (given > left || given === 0) return { refused: 'amount_too_large', left }
    original.refunded += given
    const made: Refund = { id: this.#setup.ids.id('re'), status: 'succeeded', charge: original.id, reference: original.reference, amount: given, key, at: this.#setup.clock.now() }
    this.refunds.push(made)
    this.#refundById.set(made.id, made)
    append(this.#refundsOf, original.id, made)
    this.#setup.log.emit('bank.refunded', { refund: made.id, charge: original.id, reference: original.reference, amount: given })
    this.#setup.tell('refund.succeeded', made)
    return made
  }

  /** From here on nothing is charged for the reference; what was charged is given back, what was authorised is let go. */
  shut(reference: string): Void {
    const closed = this.#doors.get(reference)
    if (closed) return closed
    const door: Void = { reference, charges: [], at: this.#setup.clock.now() }
    for (const made of this.withReference(reference)) if (this.release(made)) door.charges.push(made.id)
    if (door.charges.length === 0) this.#setup.log.emit('bank.voided', { reference, charge: null })
    this.#doors.set(reference, door)
    this.voids.push(door)
    return door
  }

  /** Voids one charge; false when there is nothing to void. */
  release(made: Charge): boolean {
    if (made.status !== 'succeeded' && made.status !== 'authorised') return false
    made.status = 'voided'
    this.#setup.log.emit('bank.voided', { reference: made.reference, charge: made.id })
    this.#setup.tell('charge.voided', made)
    return true
  }

  /** Authorisations are made in the order in which they expire; each is looked at once. No timer: a bank that stands for a day waits for nothing. */
  #expire(): void {
    const deadline = this.#setup.clock.now() - AUTHORISATION_MS
    for (; this.#expired < this.authorisations.length; this.#expired++) {
      const made = this.authorisations[this.#expired]!
      if (made.at > deadline) return
      if (made.status !== 'authorised') continue
      made.status = 'expired'
      this.#setup.log.emit('bank.expired', { charge: made.id, reference: made.reference })
      this.#setup.tell('charge.expired', made)
    }
  }

  /** The place of the first charge that is not older than `ms`. */
  #firstAt(ms: number): number {
    let [low, high] = [0, this.#all.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#all[middle]!.at < ms) low = middle + 1
      else high = middle
    }
    return low
  }
}

function append<T>(lists: Map<string, T[]>, name: string, made: T): void {
  const list = lists.get(name)
  if (list) list.push(made)
  else lists.set(name, [made])
}
