/**
 * A bank in the manner of Stripe: what really happened to the money in a run.
 *
 * | route                                      | answers |
 * |--------------------------------------------|---------|
 * | POST /v1/charges                           | 201 the charge; 402 the same with status `declined` and a reason; 409 `voided` when the reference's door is closed |
 * | GET /v1/charges?key= or ?reference=        | 200 `{charges, has_more}`: the newest LOOKUP_LIMIT, oldest first, declined ones too; by key only while the key lives |
 * | GET /v1/charges/{id}                       | 200 the charge; 404 |
 * | POST /v1/refunds {charge, amount}          | 201 the refund; 404 `no_such_charge`; 409 `not_refundable` (declined or voided); 400 `amount_too_large` (sum of refunds > captured) |
 * | POST /v1/voids {reference}                 | 200 `{status, reference, charges}`: gives the reference's charges back and closes its door for ever; again: the same answer |
 * | GET /ledger                                | 200 `{charges, refunds, voids, declines}`, at once |
 *
 * Charges and refunds take an Idempotency-Key, 1 to 255 characters; without one every request is a new one, as at Stripe:
 *
 * | the key's first request           | the key again, same parameters                  | other parameters |
 * |-----------------------------------|--------------------------------------------------|------------------|
 * | is in progress                    | 409 `idempotency_key_in_use`                     | 400 `idempotency_error` |
 * | was executed, whatever came of it | the first answer, with Idempotent-Replayed: true | 400 `idempotency_error` |
 * | was refused before it began       | executed                                         | executed |
 * | is older than the key's lifetime  | executed: the money moves again                  | executed |
 *
 * Problems carry their word in `code`. Nothing keeps more of a card number than its last four digits and, for a key's lifetime, a digest.
 */
import { hash } from 'node:crypto'
import { ResilError } from '../../errors.ts'
import { connectionCut, json, parseJson, problem } from '../../network.ts'
import type { HttpRequest, HttpResponse } from '../../network.ts'
import { answer, GARBAGE, internalError, isAmountMinor, isCard, isCurrency, isText, last4, ledgerFull, LEDGER_LIMIT, LieSchedule, malformed, objectOf, serve } from '../mock.ts'
import type { Asked, Latency, Lie, LieTable, Mock, MockSetup, Work } from '../mock.ts'

export const typicalLatency: Latency = { p50: 300, p99: 2000 }

/**
 * Charge lies spoil new charges of good cards; replays, declines, refused and malformed requests pass them uncounted.
 * What the key remembers afterwards is said with each lie; all that were charged are found by look-ups with the true amount.
 */
export const lies = {
  charge_then_500: { asks: 'charge', summary: 'charges, then answers 500; the key keeps answering that 500, as at Stripe' },
  charge_then_reset: { asks: 'charge', summary: 'charges, then resets the connection; the key remembers the charge' },
  error_500: { asks: 'charge', summary: 'answers 500 and does not charge; the failure came before the work, so the key remembers nothing' },
  delayed_apply: { asks: 'charge', ms: 5000, summary: 'answers 504 at once and charges ms later; until then the key is in use and look-ups find nothing' },
  late_answer: { asks: 'charge', ms: 5000, summary: 'charges after ms, then answers truthfully; until then the key is in use' },
  wrong_amount: { asks: 'charge', summary: 'charges the asked amount and answers a hundred times as much; the key repeats that answer' },
  garbage: { asks: 'charge', summary: 'charges, but 200 and a page of HTML arrive; the key remembers the charge' },
  portal: { asks: 'charge', summary: 'does not charge, and 200 and a page of HTML arrive; the request never got to the bank, so the key remembers nothing' },
  lookup_down: { asks: 'lookup', summary: 'answers 503 to look-ups' },
  lookup_lag: { asks: 'lookup', ms: 2000, summary: 'look-ups do not find charges younger than ms; look-ups with nothing to hide are not counted' },
} satisfies LieTable

/** How a provider treats its keys. */
export interface Dialect {
  name: string
  keyLifetimeMs: number
  /** What the same key with other parameters gets. */
  otherBody: 'refuse' | 'replay'
  /** Whether an executed request that answered 4xx or 5xx is replayed, or executed again. */
  keepsErrors: boolean
}

/** Stripe promises "at least 24 hours"; a mock must forget at a time that one can test. */
export const dialects: Record<string, Dialect> = {
  'stripe-v1': { name: 'stripe-v1', keyLifetimeMs: 24 * 3_600_000, otherBody: 'refuse', keepsErrors: true },
}

export interface BankOptions {
  /** One of `dialects`; `stripe-v1` when absent. Throws UNKNOWN_DIALECT. */
  dialect?: string
  /** Charges, refunds and voids to take on before 507; LEDGER_LIMIT when absent. */
  ledgerLimit?: number
}

export interface Charge {
  id: string
  status: 'succeeded' | 'declined' | 'voided'
  reason: string | null
  amount: number
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
  /** Ids of the charges that it gave back. */
  charges: string[]
  at: number
}

export interface BankLedger {
  /** The voided ones too. */
  charges: readonly Charge[]
  refunds: readonly Refund[]
  voids: readonly Void[]
  declines: readonly Charge[]
}

/** Stripe's published test cards, and the tokens that stand for them; every other card is good. */
const DECLINES = new Map([
  ['4000000000000002', 'generic_decline'],
  ['4000000000009995', 'insufficient_funds'],
  ['4000000000000069', 'expired_card'],
  ['tok_chargeDeclined', 'generic_decline'],
  ['tok_chargeDeclinedInsufficientFunds', 'insufficient_funds'],
  ['tok_chargeDeclinedExpiredCard', 'expired_card'],
])

/** Charges in one look-up: Stripe's largest page. */
const LOOKUP_LIMIT = 100

/** One life of a key. */
interface KeyRecord {
  fingerprint: string
  bornAt: number
  inProgress: boolean
  /** The answer that it replays. */
  kept: HttpResponse | undefined
  /** What was booked under it. */
  charges: Charge[]
}

interface ChargeAsked {
  amount: number
  currency: string
  reference: string
  card: string
}

export function bank(setup: MockSetup, options: BankOptions = {}): Mock & { readonly ledger: BankLedger } {
  const { clock, log } = setup
  const dialectName = options.dialect ?? 'stripe-v1'
  const dialect = Object.hasOwn(dialects, dialectName) ? dialects[dialectName]! : undefined
  if (!dialect) throw new ResilError('UNKNOWN_DIALECT', `the bank does not speak ${dialectName}`, `it speaks ${Object.keys(dialects).join(', ')}`)
  const ledgerLimit = options.ledgerLimit ?? LEDGER_LIMIT
  const ids = setup.random.fork('ids')
  const schedule = new LieSchedule('bank', lies, log)

  const ledger = { charges: [] as Charge[], refunds: [] as Refund[], voids: [] as Void[], declines: [] as Charge[] }
  const byId = new Map<string, Charge>()
  const byReference = new Map<string, Charge[]>()
  const doors = new Map<string, Void>()
  /** In the order of their birth. */
  const keys = new Map<string, KeyRecord>()
  /** Requests with an effect so far; bounds all of the above. */
  let taken = 0

  function charge(asked: Asked): Work {
    const wanted = readCharge(asked)
    if (typeof wanted === 'string') return malformed(wanted)
    const key = keyOf(asked)
    if (key === undefined) return malformed('an Idempotency-Key has 1 to 255 characters')
    const { amount, currency, reference, card } = wanted
    log.emit('bank.received', { ask: 'charge', key, reference, amount, currency })
    return once(key, ['charge', amount, currency, reference, card], (record) => {
      const lie = DECLINES.has(card) || doors.has(reference) ? undefined : schedule.take('charge')
      return chargeUnder(lie, record, amount, () => book(wanted, key, record))
    })
  }

  /** `apply` charges, and gives the true answer. */
  function chargeUnder(lie: Lie | undefined, record: KeyRecord, amount: number, apply: () => HttpResponse): Work {
    switch (lie?.kind) {
      case 'charge_then_500':
        return { finish: () => (apply(), keep(record, internalError())) }
      case 'charge_then_reset':
        return { finish: () => {
          keep(record, apply())
          throw connectionCut('the bank charged and hung up')
        } }
      case 'error_500':
        return { finish: () => {
          record.inProgress = false
          return internalError()
        } }
      case 'portal':
        return { finish: () => {
          record.inProgress = false
          return GARBAGE
        } }
      case 'delayed_apply':
        clock.after(lie.ms, () => void keep(record, apply()))
        return answer(problem(504, 'gateway_timeout', 'the bank did not answer in time', { code: 'gateway_timeout' }), 0)
      case 'late_answer':
        return { waitMs: lie.ms, finish: () => keep(record, apply()) }
      case 'wrong_amount':
        return { finish: () => keep(record, inflated(apply(), amount)) }
      case 'garbage':
        return { finish: () => (keep(record, apply()), GARBAGE) }
      default:
        return { finish: () => keep(record, apply()) }
    }
  }

  /** The effect of a charge. The door is looked at here, so that a void also stops an original that is still on its way. */
  function book(wanted: ChargeAsked, key: string | null, record: KeyRecord): HttpResponse {
    const { amount, currency, reference, card } = wanted
    if (doors.has(reference)) return problem(409, 'voided', 'this reference was voided and takes no charge any more', { code: 'voided', reference })
    const reason = DECLINES.get(card) ?? null
    const made: Charge = {
      id: ids.id('ch'), status: reason === null ? 'succeeded' : 'declined', reason, amount, currency, reference, key, last4: last4(card), refunded: 0, at: clock.now(),
    }
    byId.set(made.id, made)
    const siblings = byReference.get(reference)
    if (siblings) siblings.push(made)
    else byReference.set(reference, [made])
    record.charges.push(made)
    if (reason !== null) {
      ledger.declines.push(made)
      log.emit('bank.declined', { key, reference, amount, currency, reason })
      return json(402, made)
    }
    ledger.charges.push(made)
    log.emit('bank.charged', { charge: made.id, key, reference, amount, currency })
    return json(201, made)
  }

  /** At most one execution in a key's life: `begin` is not called for a request that the key already answers. */
  function once(key: string | null, parameters: unknown[], begin: (record: KeyRecord) => Work): Work {
    forgetOldKeys()
    const fingerprint = hash('sha256', JSON.stringify(parameters), 'base64')
    const known = key === null ? undefined : keys.get(key)
    if (known && (known.inProgress || known.kept)) {
      if (known.fingerprint !== fingerprint && dialect!.otherBody === 'refuse') {
        return answer(problem(400, 'idempotency_error', 'keys for idempotent requests can only be used with the same parameters', { code: 'idempotency_error' }))
      }
      if (!known.kept) return answer(problem(409, 'idempotency_key_in_use', 'the first request with this key is still in progress', { code: 'idempotency_key_in_use' }, { 'retry-after': '1' }))
      log.emit('bank.replayed', { key, charge: known.charges.at(-1)?.id ?? null })
      return answer({ ...known.kept, headers: { ...known.kept.headers, 'idempotent-replayed': 'true' } })
    }
    const full = takeSlot()
    if (full) return full
    const record: KeyRecord = { fingerprint, bornAt: clock.monotonic(), inProgress: true, kept: undefined, charges: known?.charges ?? [] }
    if (key !== null) {
      keys.delete(key)
      keys.set(key, record)
    }
    return begin(record)
  }

  function keep(record: KeyRecord, response: HttpResponse): HttpResponse {
    record.inProgress = false
    if (response.status < 400 || dialect!.keepsErrors) record.kept = response
    return response
  }

  function forgetOldKeys(): void {
    const deadline = clock.monotonic() - dialect!.keyLifetimeMs
    for (const [key, record] of keys) {
      if (record.bornAt > deadline) return
      keys.delete(key)
    }
  }

  function takeSlot(): Work | undefined {
    if (taken >= ledgerLimit) return answer(ledgerFull(ledgerLimit))
    taken++
    return undefined
  }

  function lookUp(asked: Asked): Work {
    const query = new URLSearchParams(asked.query)
    const key = query.get('key')
    const reference = query.get('reference')
    if ((key === null) === (reference === null)) return malformed('look up by key or by reference')
    log.emit('bank.received', { ask: 'lookup', key, reference, amount: null, currency: null })
    return search(key === null ? 'reference' : 'key', (key ?? reference)!, (found) => json(200, { charges: found.slice(-LOOKUP_LIMIT), has_more: found.length > LOOKUP_LIMIT }), () => {
      forgetOldKeys()
      return (key === null ? byReference.get(reference!) : keys.get(key)?.charges) ?? []
    })
  }

  function retrieve(asked: Asked): Work {
    const id = asked.last
    log.emit('bank.received', { ask: 'lookup', key: null, reference: byId.get(id)?.reference ?? null, amount: null, currency: null })
    return search('id', id, (found) => (found[0] ? json(200, found[0]) : noSuchCharge()), () => {
      const made = byId.get(id)
      return made ? [made] : []
    })
  }

  /** Looks when the latency has passed: a look-up that crosses a charge sees it. */
  function search(by: 'key' | 'reference' | 'id', value: string, respond: (found: Charge[]) => HttpResponse, find: () => Charge[]): Work {
    return { finish: () => {
      let found = find()
      // Charges lie in the order of their making, so the last one is the youngest.
      const young = (lie: Lie) => (found.at(-1)?.at ?? Number.NEGATIVE_INFINITY) > clock.now() - lie.ms
      const lie = schedule.take('lookup', (due) => due.kind !== 'lookup_lag' || young(due))
      if (lie?.kind === 'lookup_down') return problem(503, 'lookup_down', 'look-ups are out of order', { code: 'lookup_down' })
      if (lie) found = found.slice(-LOOKUP_LIMIT).filter((made) => made.at <= clock.now() - lie.ms)
      log.emit('bank.looked_up', { by, value, found: found.length })
      return respond(found)
    } }
  }

  function refund(asked: Asked): Work {
    const body = objectOf(parseJson(asked.body))
    if (!body || !isText(body.charge) || !isAmountMinor(body.amount)) return malformed('a refund has a charge and an amount in minor units, from 1')
    const key = keyOf(asked)
    if (key === undefined) return malformed('an Idempotency-Key has 1 to 255 characters')
    const { charge: id, amount } = body as { charge: string; amount: number }
    const original = byId.get(id)
    log.emit('bank.received', { ask: 'refund', key, reference: original?.reference ?? null, amount, currency: original?.currency ?? null })
    return once(key, ['refund', id, amount], (record) => ({ finish: () => keep(record, giveBack(byId.get(id), amount, key)) }))
  }

  function giveBack(original: Charge | undefined, amount: number, key: string | null): HttpResponse {
    if (!original) return noSuchCharge()
    if (original.status !== 'succeeded') return problem(409, 'not_refundable', `the charge is ${original.status}`, { code: 'not_refundable' })
    if (original.refunded + amount > original.amount) return problem(400, 'amount_too_large', 'refunds cannot exceed what was captured', { code: 'amount_too_large', left: original.amount - original.refunded })
    original.refunded += amount
    const made: Refund = { id: ids.id('re'), status: 'succeeded', charge: original.id, reference: original.reference, amount, key, at: clock.now() }
    ledger.refunds.push(made)
    log.emit('bank.refunded', { refund: made.id, charge: original.id, reference: original.reference, amount })
    return json(201, made)
  }

  function voidReference(asked: Asked): Work {
    const body = objectOf(parseJson(asked.body))
    if (!body || !isText(body.reference)) return malformed('a void has a reference of 1 to 255 characters')
    const key = keyOf(asked)
    if (key === undefined) return malformed('an Idempotency-Key has 1 to 255 characters')
    const { reference } = body as { reference: string }
    log.emit('bank.received', { ask: 'void', key, reference, amount: null, currency: null })
    if (!doors.has(reference)) {
      const full = takeSlot()
      if (full) return full
    }
    return { finish: () => json(200, { status: 'voided', ...closeDoor(reference) }) }
  }

  /** From here on nothing is charged for the reference; what was charged is given back. */
  function closeDoor(reference: string): Void {
    const closed = doors.get(reference)
    if (closed) return closed
    const door: Void = { reference, charges: [], at: clock.now() }
    for (const made of byReference.get(reference) ?? []) {
      if (made.status !== 'succeeded') continue
      made.status = 'voided'
      door.charges.push(made.id)
      log.emit('bank.voided', { reference, charge: made.id })
    }
    if (door.charges.length === 0) log.emit('bank.voided', { reference, charge: null })
    doors.set(reference, door)
    ledger.voids.push(door)
    return door
  }

  const handle = serve(setup, {
    '/v1/charges': { POST: charge, GET: lookUp },
    '/v1/charges/*': { GET: retrieve },
    '/v1/refunds': { POST: refund },
    '/v1/voids': { POST: voidReference },
    '/ledger': { GET: () => answer(json(200, ledger), 0) },
  })
  return { name: 'bank', handle, ledger, lie: (lie) => schedule.add(lie), heal: () => schedule.clear() }
}

/** The charge that is asked for, or what is wrong with it. */
function readCharge(request: HttpRequest): ChargeAsked | string {
  const body = objectOf(parseJson(request.body))
  if (!body) return 'the body is a JSON object'
  const { amount, currency, reference, card } = body
  if (!isAmountMinor(amount)) return 'amount is an integer in minor units, from 1 to 999999999999'
  if (!isCurrency(currency)) return 'currency has three letters'
  if (!isText(reference)) return 'reference has 1 to 255 characters'
  if (!isCard(card)) return 'card is a card number or a token such as tok_visa'
  return { amount, currency: currency.toUpperCase(), reference, card }
}

/** null when there is none, undefined when it is no key. */
function keyOf(request: HttpRequest): string | null | undefined {
  const key = request.headers['idempotency-key'] ?? null
  return key === null || isText(key) ? key : undefined
}

function noSuchCharge(): HttpResponse {
  return problem(404, 'no_such_charge', 'there is no such charge', { code: 'no_such_charge' })
}

/** The answer of a bank that confuses major and minor units. */
function inflated(response: HttpResponse, amount: number): HttpResponse {
  return response.status === 201 ? { ...response, body: JSON.stringify({ ...JSON.parse(response.body), amount: amount * 100 }) } : response
}
